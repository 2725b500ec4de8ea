"""Closing a period."""

from __future__ import annotations

from datetime import datetime, time
from zoneinfo import ZoneInfo

from chassis.clock import real_now
from chassis.transaction import Draft, Transaction
from contracts.envelope import Entity, Snapshot, Workflow
from contracts.events import PeriodClosed

from payments.books import store
from payments.books.domain import Period, close
from payments.books.store import ClosedPeriod
from payments.numbering import store as numbering


async def close_period(tx: Transaction, period: Period, zone: ZoneInfo) -> ClosedPeriod | None:
    """Close a period and everything before it, for good; None where a later one was closed before.

    Raises PeriodNotOverError and WorkLeftError.
    """
    await store.lock(tx.connection)
    through = await store.closed_through(tx.connection)
    ends_at = datetime.combine(period.next_on, time(), zone)
    left = await store.waiting(tx.connection, ends_at)
    done = close(period, closed_through=through, waiting=left, today=tx.now.astimezone(zone).date())
    if done is None:
        return await store.find(tx.connection, period)
    closed = ClosedPeriod(period, real_now(), tx.actor.id, tx.actor.name)
    await store.save(tx.connection, closed)
    await numbering.record_close(tx, period.text, period.ends_on)
    before: Snapshot = {"closed_through": through.isoformat() if through else None}
    tx.emit(
        Draft(
            PeriodClosed(period=period.text, words=period.words, ends_on=period.ends_on),
            Entity(type="period", id=period.text),
            Workflow(name="books", id=period.text),
            before=before,
            after={"closed_through": period.ends_on.isoformat()},
        )
    )
    return closed
