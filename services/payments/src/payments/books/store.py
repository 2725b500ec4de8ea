"""How closed periods are kept, and what holds posting and closing apart.

Whoever posts holds the books' lock in common, and takes it before any other; whoever closes a period holds it alone. So
no journal is under way into a period while it closes, and none that comes later can see it open.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from payments.books.domain import Period

_LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended('payments.books', 0))")
_SHARE = text("SELECT pg_advisory_xact_lock_shared(hashtextextended('payments.books', 0))")
_THROUGH = text("SELECT max(ends_on) FROM payments.periods")
_WAITING = text("SELECT count(*) FROM payments.pending_events WHERE received_at < :before")
_CLOSE = text(
    """
    INSERT INTO payments.periods (period, ends_on, closed_at, closed_by, closed_by_name)
    VALUES (:period, :ends_on, :at, :by, :name)
    """
)
_FIND = text(
    "SELECT period, ends_on, closed_at, closed_by, closed_by_name FROM payments.periods WHERE period = :period"
)
_LIST = text(
    """
    SELECT period, ends_on, closed_at, closed_by, closed_by_name FROM payments.periods
    WHERE CAST(:before AS text) IS NULL OR period < :before ORDER BY period DESC LIMIT :limit
    """
)


@dataclass(frozen=True, slots=True)
class ClosedPeriod:
    """A period with who closed it."""

    period: Period
    closed_at: datetime
    closed_by: str
    closed_by_name: str


async def keep_open(connection: AsyncConnection) -> None:
    """Hold off the closing of a period until the transaction ends: for whoever posts after locking something else."""
    await connection.execute(_SHARE)


async def lock(connection: AsyncConnection) -> None:
    """Wait until nobody posts, and let nobody post until the transaction ends."""
    await connection.execute(_LOCK)


async def closed_through(connection: AsyncConnection) -> date | None:
    """The last day that is closed."""
    through: date | None = (await connection.execute(_THROUGH)).scalar_one()
    return through


async def waiting(connection: AsyncConnection, before: datetime) -> int:
    """How many inputs from before this time wait for the worker."""
    return int((await connection.execute(_WAITING, {"before": before})).scalar_one())


async def save(connection: AsyncConnection, closed: ClosedPeriod) -> None:
    """Keep a period as closed."""
    given = {"period": closed.period.text, "ends_on": closed.period.ends_on, "at": closed.closed_at}
    await connection.execute(_CLOSE, {**given, "by": closed.closed_by, "name": closed.closed_by_name})


async def find(connection: AsyncConnection, period: Period) -> ClosedPeriod | None:
    """The period, if it was itself closed."""
    row = (await connection.execute(_FIND, {"period": period.text})).one_or_none()
    return None if row is None else _closed(row)


async def page(connection: AsyncConnection, *, before: str | None, limit: int) -> Sequence[ClosedPeriod]:
    """Periods that were closed, newest first."""
    return [_closed(row) for row in await connection.execute(_LIST, {"before": before, "limit": limit})]


def _closed(row: Row[Any]) -> ClosedPeriod:
    return ClosedPeriod(Period.parse(row.period), row.closed_at, row.closed_by, row.closed_by_name)
