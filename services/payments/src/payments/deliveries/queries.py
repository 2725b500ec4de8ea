"""Reading deliveries: what arrived, whether it was believed, and what became of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Row, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from payments.deliveries.domain import EventIdentity, Provider, ProviderEvent
from payments.deliveries.reading import read_items
from payments.deliveries.tables import provider_events, webhook_deliveries

_IDENTITIES_AT_ONCE: Final = 1_000
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
        # The same rows, in the words of an index: they may be few among millions.
        query = query.where(webhook_deliveries.c.refusal.is_not(None))
    if before is not None:
        query = query.where(webhook_deliveries.c.id < before)
    return (await connection.execute(query)).all()


async def get_delivery(connection: AsyncConnection, delivery_id: str) -> Row[Any] | None:
    """One delivery with its bytes."""
    query = select(webhook_deliveries).where(webhook_deliveries.c.id == delivery_id)
    return (await connection.execute(query)).one_or_none()


async def events_of(connection: AsyncConnection, delivery: Row[Any], *, limit: int = 5_000) -> Sequence[Row[Any]]:
    """The provider events in a delivery, in their order, whichever delivery brought them first."""
    if delivery.verified_by is None:
        return []
    query = select(provider_events).where(provider_events.c.delivery_id == delivery.id)
    brought = (await connection.execute(query.order_by(provider_events.c.position).limit(limit))).all()
    if len(brought) >= min(delivery.events, limit):
        return brought
    # Some were known already: which, only the body tells.
    return await _named(connection, delivery.provider, bytes(delivery.body), limit)


async def _named(connection: AsyncConnection, provider: Provider, body: bytes, limit: int) -> Sequence[Row[Any]]:
    # GoCardless events do not say whether they are live, so both are looked for.
    items = read_items(provider, body, livemode=True)
    named = {item.identity: item.index for item in reversed(items) if isinstance(item, ProviderEvent)}
    livemodes = (True,) if provider == "stripe" else (True, False)
    held = provider_events.c
    identity = tuple_(held.account, held.livemode, held.event_id)
    wanted = [(each.account, each.livemode and mode, each.id) for each in named for mode in livemodes]
    rows: list[tuple[int, Row[Any]]] = []
    for start in range(0, len(wanted), _IDENTITIES_AT_ONCE):
        some = wanted[start : start + _IDENTITIES_AT_ONCE]
        query = select(provider_events).where(held.provider == provider, identity.in_(some))
        for row in await connection.execute(query):
            known = EventIdentity(provider, row.account, row.livemode or provider == "gocardless", row.event_id)
            rows.append((named[known], row))
    return [row for _, row in sorted(rows, key=lambda each: each[0])][:limit]
