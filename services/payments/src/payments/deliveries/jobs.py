"""Telling of rejected deliveries: one event for each provider and minute in which there were more than ten.

What was told of a minute is counted for as long as the setting says, and forgotten then.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, ClassVar, Final

from chassis.clock import real_now
from chassis.database import Database
from chassis.poller import Poller
from chassis.transaction import Cause, Draft, Transaction
from contracts.envelope import Entity, Workflow
from contracts.events import ProviderDeliveryRejected
from sqlalchemy import Row, text

TOLD_ABOVE_DELIVERIES: Final = 10
_EVERY_SECONDS: Final = 5.0
_MINUTES_AT_ONCE: Final = 200
# A minute is over, and every delivery that began in it has been received and kept.
_OVER_AFTER: Final = timedelta(seconds=60 + 30)

_DUE = text("SELECT EXISTS (SELECT FROM payments.rejections WHERE NOT told AND minute <= :until)")
# Whole minutes, and one statement: what is marked as told is what is told, whatever is counted meanwhile. The rows are
# locked in one order, and a process that waited for another finds them told.
_TELL = text(
    """
    WITH taken AS MATERIALIZED (
        SELECT provider, minute, refusal FROM payments.rejections
        WHERE NOT told AND (provider, minute) IN (
            SELECT DISTINCT provider, minute FROM payments.rejections
            WHERE NOT told AND minute <= :until ORDER BY minute, provider LIMIT :limit)
        ORDER BY provider, minute, refusal FOR UPDATE
    )
    UPDATE payments.rejections AS r SET told = true FROM taken
    WHERE r.provider = taken.provider AND r.minute = taken.minute AND r.refusal = taken.refusal
    RETURNING r.provider, r.minute, r.refusal, r.deliveries
    """
)

_PRUNE_EVERY_SECONDS: Final = 600.0
_PRUNE_MAX_ROWS: Final = 1_000
_PRUNE = text(
    """
    DELETE FROM payments.rejections AS r USING (
        SELECT provider, minute, refusal FROM payments.rejections WHERE told AND minute < :before
        ORDER BY minute LIMIT :limit FOR UPDATE SKIP LOCKED
    ) AS old
    WHERE r.provider = old.provider AND r.minute = old.minute AND r.refusal = old.refusal
    """
)


class RejectionReports(Poller):
    """Tells of each minute once it is over; several processes take turns by the rows' locks."""

    name: ClassVar[str] = "payments.rejections"
    idle_seconds = _EVERY_SECONDS

    def __init__(self, database: Database) -> None:
        super().__init__()
        self._database = database

    async def step(self) -> int:
        """Tell of every minute that is over; returns how many events that made."""
        until = {"until": real_now() - _OVER_AFTER}
        async with self._database.reading() as tx:
            if not (await tx.connection.execute(_DUE, until)).scalar_one():
                return 0
        async with self._database.transaction() as tx:
            found = await tx.connection.execute(_TELL, {**until, "limit": _MINUTES_AT_ONCE})
            rows = sorted(found, key=lambda row: (row.provider, row.minute, row.refusal))
            return self._tell(tx, rows)

    def _tell(self, tx: Transaction, rows: Sequence[Row[Any]]) -> int:
        minutes: dict[tuple[str, Any], list[Row[Any]]] = {}
        for row in rows:
            minutes.setdefault((row.provider, row.minute), []).append(row)
        told = 0
        for (provider, minute), reasons in minutes.items():
            count = sum(row.deliveries for row in reasons)
            if count > TOLD_ABOVE_DELIVERIES:
                body = ProviderDeliveryRejected(
                    provider=provider,
                    minute=minute,
                    count=count,
                    by_reason={row.refusal: row.deliveries for row in reasons},
                )
                entity, workflow = Entity(type="provider", id=provider), Workflow(name="ingress", id=provider)
                tx.automatically(Cause(f"{provider}-{minute.isoformat()}")).emit(Draft(body, entity, workflow))
                told += 1
        return told


class RejectionPruner(Poller):
    """Forgets minutes that are older than the setting says, by real time; several processes may do so at once."""

    name: ClassVar[str] = "payments.rejections.pruning"
    idle_seconds = _PRUNE_EVERY_SECONDS

    def __init__(self, database: Database, *, retention_days: int) -> None:
        super().__init__()
        self._database = database
        self._age = timedelta(days=retention_days)

    async def step(self) -> int:
        """Forget one batch; more may be left while it was full."""
        async with self._database.transaction() as tx:
            given = {"before": real_now() - self._age, "limit": _PRUNE_MAX_ROWS}
            pruned = await tx.connection.execute(_PRUNE, given)
        return int(pruned.rowcount >= _PRUNE_MAX_ROWS)
