"""A worker's work for tests: pending rows become effects and events, and any of them may be faulty."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from chassis import dead_letters
from chassis.batch import Backoff, Claimed, Limits, Refused
from chassis.database import Database
from chassis.transaction import Cause, Draft, Transaction
from contracts.envelope import Actor, Entity, Workflow
from contracts.events import PaymentUpdated, Referenced
from sqlalchemy import text

from tests.support.consuming import SCHEMA, note

MARIA = Actor(kind="staff", id="staff_maria", name="Maria Rossi")
FAST = Limits(backoff=Backoff(first_seconds=0.001, cap_seconds=0.01))


@dataclass(frozen=True, slots=True)
class Row:
    id: int
    note: str


async def nothing(tx: Transaction, row: Row) -> None:
    """No fault."""


@dataclass(slots=True)
class PendingRows:
    """A worker's work: pending rows become effects and events."""

    fault: Callable[[Transaction, Row], object] = nothing
    unreadable: frozenset[int] = frozenset()
    attempts: list[list[int]] = field(default_factory=list)
    name: str = "payments.worker"

    async def claim(self, tx: Transaction, limit: int) -> Claimed[Row]:
        rows = await tx.connection.execute(
            text(f"SELECT id, note FROM {SCHEMA}.pending ORDER BY id LIMIT :most FOR UPDATE SKIP LOCKED"),
            {"most": limit},
        )
        found = [Row(row.id, row.note) for row in rows]
        return Claimed(
            [row for row in found if row.id not in self.unreadable],
            [Refused(row, ValueError("not readable")) for row in found if row.id in self.unreadable],
            last=len(found) < limit,
        )

    async def handle(self, tx: Transaction, items: Sequence[Row]) -> None:
        self.attempts.append([row.id for row in items])
        for row in items:
            acting = tx.acting(MARIA, Cause(correlation_id=f"row-{row.id}"))
            payment = Referenced(id=f"pay_{row.id}", reference=row.note)
            acting.emit(
                Draft(
                    PaymentUpdated(change="matched", payment=payment),
                    Entity(type="payment", id=payment.id),
                    Workflow(name="collection", id=payment.id),
                    key=row.note,
                )
            )
            await note(tx, str(row.id), row.note)
            fault = self.fault(tx, row)
            if asyncio.iscoroutine(fault):
                await fault
        await self._done(tx, items)

    async def set_aside(self, tx: Transaction, item: Row, error: Exception) -> None:
        await dead_letters.add(
            tx,
            SCHEMA,
            dead_letters.Letter(
                consumer=self.name, pointer=f"pending/{item.id}", message=item.note.encode(), error=error
            ),
        )
        await self._done(tx, [item])

    async def _done(self, tx: Transaction, items: Sequence[Row]) -> None:
        await tx.connection.execute(
            text(f"DELETE FROM {SCHEMA}.pending WHERE id = ANY(:ids)"), {"ids": [row.id for row in items]}
        )


async def pend(database: Database, count: int, *, after: int = 0) -> None:
    async with database.transaction() as tx:
        await tx.connection.execute(
            text(
                f"INSERT INTO {SCHEMA}.pending SELECT n, 'note ' || n "
                "FROM generate_series(CAST(:first AS int), CAST(:last AS int)) AS n"
            ),
            {"first": after + 1, "last": after + count},
        )
