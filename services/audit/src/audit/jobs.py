"""The projection that makes records searchable by actor, action and time, a moment behind the log.

Sequence numbers have no gaps and never arrive late, so one number says how far it got. Processes take turns by that
number's row lock; each step is one transaction. Its lag is what `GET /coverage` tells as `last_seq - searchable_seq`.
"""

from __future__ import annotations

import asyncio
from typing import Final

import structlog
from chassis.database import Database
from chassis.faults import Fault, classify
from chassis.web import Check
from sqlalchemy import text

log = structlog.get_logger()
_STEP_RECORDS: Final = 5_000
_IDLE_SECONDS: Final = 0.5
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


class Projection:
    """Follows the log for as long as the process lives."""

    name = "search"

    def __init__(self, database: Database) -> None:
        self._database = database
        self._stop = asyncio.Event()
        self._failure: str | None = None

    async def run(self) -> None:
        """Project until stopped; database trouble is waited out."""
        while not self._stop.is_set():
            try:
                moved = await self.step()
                self._failure = None
                await self._pause(0 if moved else _IDLE_SECONDS)
            except Exception as error:
                if classify(error) is Fault.POISON:
                    raise
                self._failure = type(error).__name__
                log.warning("search.waiting", error=self._failure)
                await self._pause(_BACK_OFF_SECONDS)

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stop.wait()
        except TimeoutError:
            return

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

    async def stop(self) -> None:
        """Finish the step in flight."""
        self._stop.set()

    def check(self) -> Check:
        """Whether the projection can follow."""
        return Check(self.name, self._failure is None, self._failure or "following the log")
