"""What runs beside the consumer: the projection behind the log, and the watch over the log's guards.

The projection makes records searchable by actor, action and time, a moment behind the log. Sequence numbers have no
gaps and never arrive late, so one number says how far it got. Processes take turns by that number's row lock; each
step is one transaction. Its lag is what `GET /coverage` tells as `last_seq - searchable_seq`.

The watch is for readiness alone: whoever appends looks at the guards in its own transaction.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final

import structlog
from chassis.batch import describe
from chassis.database import Database
from chassis.faults import Fault, classify
from chassis.web import Check
from sqlalchemy import text

from audit import guards

log = structlog.get_logger()
_STEP_RECORDS: Final = 5_000
_BACK_OFF_SECONDS: Final = 1.0

_BEHIND = text("SELECT h.last_seq > s.searchable_seq FROM audit.log_head AS h, audit.search_head AS s")
_TURN = text("SELECT searchable_seq FROM audit.search_head WHERE id = 1 FOR UPDATE SKIP LOCKED")
_PROJECT = text(
    """
    WITH fresh AS (
        INSERT INTO audit.search (seq, actor_id, action, occurred_at)
        SELECT seq, actor_id, action, occurred_at FROM audit.audit_log
        WHERE seq > :after ORDER BY seq LIMIT :limit
        RETURNING seq
    )
    UPDATE audit.search_head SET searchable_seq = (SELECT max(seq) FROM fresh)
    WHERE id = 1 AND EXISTS (SELECT FROM fresh)
    RETURNING searchable_seq
    """
)


class _Follower:
    """Does one step after the other for as long as the process lives; database trouble is waited out."""

    name = ""
    _idle_seconds = 0.0

    def __init__(self, database: Database) -> None:
        self._database = database
        self._stop = asyncio.Event()
        self._failure: str | None = "not looked yet"

    async def step(self) -> bool:
        """Do what is due; False when there is nothing more for now."""
        raise NotImplementedError

    async def run(self) -> None:
        """Step until stopped."""
        while not self._stop.is_set():
            try:
                pause_seconds = 0.0 if await self.step() else self._idle_seconds
                self._failure = None
            except Exception as error:
                if classify(error) is Fault.POISON:
                    raise
                if self._failure != describe(error):
                    log.error(f"{self.name}.waiting", error=describe(error))
                self._failure, pause_seconds = describe(error), _BACK_OFF_SECONDS
            await self._pause(pause_seconds)

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stop.wait()

    async def stop(self) -> None:
        """Finish the step in flight."""
        self._stop.set()

    def check(self) -> Check:
        """Whether the newest step succeeded."""
        return Check(self.name, self._failure is None, self._failure)


class GuardWatch(_Follower):
    """Says on the readiness endpoint which guard of the log does not stand."""

    name = "guards"
    _idle_seconds = 5.0

    async def step(self) -> bool:
        """Look at every guard. Raises GuardsMissingError."""
        async with self._database.reading() as tx:
            await guards.require(tx.connection)
        return False


class Projection(_Follower):
    """Follows the log."""

    name = "search"
    _idle_seconds = 0.5

    async def step(self) -> bool:
        """Project the next records; False when there are none or another process has the turn."""
        async with self._database.reading() as tx:
            if not (await tx.connection.execute(_BEHIND)).scalar_one():
                return False
        async with self._database.transaction() as tx:
            after = (await tx.connection.execute(_TURN)).scalar_one_or_none()
            if after is None:
                return False
            moved = await tx.connection.execute(_PROJECT, {"after": after, "limit": _STEP_RECORDS})
            return moved.scalar_one_or_none() is not None
