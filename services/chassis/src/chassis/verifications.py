"""Verifications: a service looks again and again whether what it keeps holds together, and keeps what it found.

One process verifies at a time: whoever is first to write the row of a run does it, and a run that was begun and never
ended (its process died) may be begun again after `TURN`. A fault of the infrastructure leaves no result; the newest
result then grows old, which is what the readiness board looks at. Real time decides, never business time.
`verifications_table` binds the table; its role needs SELECT, INSERT, UPDATE and DELETE.
Tested in tests/chassis/test_verifications.py.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar, Final

import orjson
import structlog
from contracts.evidence import Measure, Measurement
from sqlalchemy import BigInteger, Boolean, Column, DateTime, Identity, MetaData, Table, Text, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection

from chassis.clock import real_now
from chassis.database import Database
from chassis.poller import Poller

TURN: Final = timedelta(minutes=15)
KEPT: Final = timedelta(days=30)
_LOOK_SECONDS: Final = 5.0
_WORDS_MAX_CHARACTERS: Final = 2_000
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Verified:
    """What a run found: whether all is as it should be, how much of what was looked at, and the first fault."""

    clean: bool
    counted: Mapping[str, int]
    words: str | None = None


@dataclass(frozen=True, slots=True)
class Kept:
    """The newest run that ended."""

    finished_at: datetime
    clean: bool
    counted: Mapping[str, int]
    words: str | None


Verify = Callable[[AsyncConnection], Awaitable[Verified]]


def verifications_table(metadata: MetaData) -> Table:
    """The runs of the service whose MetaData this is; one without `finished_at` is under way, or died."""
    return Table(
        "verifications",
        metadata,
        Column("id", BigInteger, Identity(always=True), primary_key=True),
        Column("started_at", DateTime(timezone=True), nullable=False),
        Column("finished_at", DateTime(timezone=True)),
        Column("clean", Boolean),
        Column("counted", JSONB),
        Column("words", Text),
    )


async def newest(connection: AsyncConnection, schema: str) -> Kept | None:
    """The newest run that ended, None where there is none yet."""
    statement = text(
        f"SELECT finished_at, clean, counted, words FROM {schema}.verifications"
        " WHERE finished_at IS NOT NULL ORDER BY id DESC LIMIT 1"
    )
    row = (await connection.execute(statement)).one_or_none()
    return None if row is None else Kept(**row._mapping)


async def measured(
    connection: AsyncConnection, schema: str, clean: Measure, counts: Mapping[str, Measure]
) -> Sequence[Measurement]:
    """What the newest run found, true when it ended: whether it was clean, and its counts by name."""
    kept = await newest(connection, schema)
    if kept is None:
        return ()
    told = [measure.reading(kept.counted[name], kept.finished_at) for name, measure in counts.items()]
    return [clean.reading(kept.clean, kept.finished_at), *told]


class Verifications(Poller):
    """Runs `verify` every `every_seconds`, in one process of the service at a time."""

    name: ClassVar[str] = "verification"
    idle_seconds = _LOOK_SECONDS

    def __init__(self, database: Database, verify: Verify, *, every_seconds: float) -> None:
        super().__init__()
        self._database = database
        self._verify = verify
        self._every = timedelta(seconds=every_seconds)

    async def step(self) -> bool:
        """Verify where a run is due and nobody else has it; False, so that the next look waits."""
        run = await self._begin()
        if run is None:
            return False
        try:
            async with self._database.reading() as tx:
                found = await self._verify(tx.connection)
        except BaseException:
            await self._give_up(run)
            raise
        await self._keep(run, found)
        return False

    async def _begin(self) -> int | None:
        """Write the row of a run that is due, unless another process has it."""
        schema, now = self._database.schema, real_now()
        async with self._database.reading() as tx:
            if not await self._is_due(tx.connection, now):
                return None
        async with self._database.transaction() as tx:
            key = f"{schema}.verifications"
            await tx.connection.execute(text("SELECT pg_advisory_xact_lock(hashtextextended(:key, 0))"), {"key": key})
            if not await self._is_due(tx.connection, now):
                return None
            await tx.connection.execute(
                text(f"DELETE FROM {schema}.verifications WHERE started_at < :until"), {"until": now - KEPT}
            )
            insert = text(f"INSERT INTO {schema}.verifications (started_at) VALUES (:now) RETURNING id")
            run: int = (await tx.connection.execute(insert, {"now": now})).scalar_one()
            return run

    async def _is_due(self, connection: AsyncConnection, now: datetime) -> bool:
        statement = text(
            f"""
            SELECT NOT EXISTS (
                SELECT FROM {self._database.schema}.verifications
                WHERE finished_at > :fresh OR finished_at IS NULL AND started_at > :alive)
            """
        )
        given = {"fresh": now - self._every, "alive": now - TURN}
        due: bool = (await connection.execute(statement, given)).scalar_one()
        return due

    async def _keep(self, run: int, found: Verified) -> None:
        if not found.clean:
            log.error("verification.not_clean", service=self._database.service, words=found.words)
        statement = text(
            f"UPDATE {self._database.schema}.verifications SET finished_at = :now, clean = :clean,"
            " counted = CAST(:counted AS jsonb), words = :words WHERE id = :id"
        )
        given = {
            "id": run,
            "now": real_now(),
            "clean": found.clean,
            "counted": orjson.dumps(dict(found.counted)).decode(),
            "words": None if found.words is None else found.words[:_WORDS_MAX_CHARACTERS],
        }
        async with self._database.transaction() as tx:
            await tx.connection.execute(statement, given)

    async def _give_up(self, run: int) -> None:
        """Let somebody else begin at once; where even that fails, the row's turn runs out by itself."""
        try:
            async with self._database.transaction() as tx:
                statement = text(f"DELETE FROM {self._database.schema}.verifications WHERE id = :id")
                await tx.connection.execute(statement, {"id": run})
        except Exception as error:
            log.warning("verification.not_given_up", error=type(error).__name__)
