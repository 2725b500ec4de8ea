"""What runs beside the consumer: the projection behind the log, and the watch over the log's guards.

The projection makes records searchable by actor, action and time, a moment behind the log. Sequence numbers have no
gaps and never arrive late, so one number says how far it got. Processes take turns by that number's row lock; each
step is one transaction. Its lag is what `GET /coverage` tells as `last_seq - searchable_seq`.

The watch is for readiness alone: whoever appends looks at the guards in its own transaction.
"""

from __future__ import annotations

from typing import ClassVar, Final

from chassis.database import Database
from chassis.poller import Poller
from chassis.transaction import Transaction
from sqlalchemy import text

from audit import guards, sensitive

_STEP_RECORDS: Final = 5_000

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


_MAYBE_SENSITIVE = text(
    """
    SELECT seq, action, value, recorded_at FROM audit.audit_log
    WHERE seq > :after AND seq <= :until AND action = ANY(:actions) AND schema_status = 'known'
    """
)
_MARK = text("INSERT INTO audit.sensitive (seq, why, recorded_at) VALUES (:seq, :why, :at) ON CONFLICT DO NOTHING")


class GuardWatch(Poller):
    """Says on the readiness endpoint which guard of the log does not stand."""

    name: ClassVar[str] = "guards"
    idle_seconds = 5.0

    def __init__(self, database: Database) -> None:
        super().__init__(unready="not looked yet")
        self._database = database

    async def step(self) -> bool:
        """Look at every guard. Raises GuardsMissingError."""
        async with self._database.reading() as tx:
            await guards.require(tx.connection)
        return False


class Projection(Poller):
    """Follows the log."""

    name: ClassVar[str] = "search"
    idle_seconds = 0.5

    def __init__(self, database: Database) -> None:
        super().__init__(unready="not looked yet")
        self._database = database

    async def step(self) -> bool:
        """Project the next records; False once there are no more, or where another process has the turn."""
        async with self._database.reading() as tx:
            if not (await tx.connection.execute(_BEHIND)).scalar_one():
                return False
        async with self._database.transaction() as tx:
            after = (await tx.connection.execute(_TURN)).scalar_one_or_none()
            if after is None:
                return False
            moved = await tx.connection.execute(_PROJECT, {"after": after, "limit": _STEP_RECORDS})
            until = moved.scalar_one_or_none()
            if until is None:
                return False
            await self._mark_sensitive(tx, after, until)
            return bool(until - after >= _STEP_RECORDS)

    async def _mark_sensitive(self, tx: Transaction, after: int, until: int) -> None:
        """Note which of the records behind `after` somebody has to review."""
        given = {"after": after, "until": until, "actions": list(sensitive.ACTIONS)}
        rows = (await tx.connection.execute(_MAYBE_SENSITIVE, given)).all()
        found = [(row, sensitive.why_sensitive(row.action, bytes(row.value))) for row in rows]
        marked = [{"seq": row.seq, "why": why, "at": row.recorded_at} for row, why in found if why is not None]
        if marked:
            await tx.connection.execute(_MARK, marked)
