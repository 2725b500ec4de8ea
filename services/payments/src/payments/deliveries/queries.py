"""Reading deliveries: what arrived, whether it was believed, and what became of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, select
from sqlalchemy.ext.asyncio import AsyncConnection

from payments.deliveries.tables import pending_events, provider_events, webhook_deliveries

_SHOWN = tuple(column for column in webhook_deliveries.columns if column.name not in {"body", "headers"})


async def list_deliveries(
    connection: AsyncConnection, *, provider: str | None, state: str | None, before: str | None, limit: int
) -> Sequence[Row[Any]]:
    """Deliveries, newest first, without their bytes."""
    query = select(*_SHOWN).order_by(webhook_deliveries.c.id.desc()).limit(limit)
    if provider is not None:
        query = query.where(webhook_deliveries.c.provider == provider)
    if state is not None:
        query = query.where(webhook_deliveries.c.state == state)
    if state == "rejected":
        # The same rows, by their index: they may be few among millions.
        query = query.where(webhook_deliveries.c.refusal.is_not(None))
    if before is not None:
        query = query.where(webhook_deliveries.c.id < before)
    return (await connection.execute(query)).all()


async def get_delivery(connection: AsyncConnection, delivery_id: str) -> Row[Any] | None:
    """One delivery with its bytes."""
    query = select(webhook_deliveries).where(webhook_deliveries.c.id == delivery_id)
    return (await connection.execute(query)).one_or_none()


async def events_of(connection: AsyncConnection, delivery_id: str, *, limit: int = 5_000) -> Sequence[Row[Any]]:
    """The provider events that this delivery brought first, in their order."""
    query = (
        select(provider_events, pending_events.c.id.is_not(None).label("pending"))
        .outerjoin(pending_events, pending_events.c.provider_event_id == provider_events.c.id)
        .where(provider_events.c.delivery_id == delivery_id)
        .order_by(provider_events.c.position)
        .limit(limit)
    )
    return (await connection.execute(query)).all()
