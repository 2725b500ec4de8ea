"""What is asked about pauses: which are in force, their history, and who has stopped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from provider_health.pauses.domain import Pause, Stop
from provider_health.pauses.store import pause_of
from provider_health.pauses.tables import automation_pause_changes, automation_pauses

# An acknowledgement of a later epoch acknowledges this one too. The newest 200 instances that have acknowledged
# anything: one that is long gone need not be shown for ever.
_STOPS = text(
    """
    SELECT i.service, i.instance, i.epoch, i.leased_until > now() AS live, (
        SELECT min(s.applied_at) FROM provider_health.pause_stops AS s
        WHERE s.service = i.service AND s.instance = i.instance AND s.epoch >= :epoch
    ) AS applied_at
    FROM provider_health.pause_instances AS i
    WHERE i.leased_until > now() - interval '1 hour'
    ORDER BY i.service, i.instance LIMIT 200
    """
)


@dataclass(frozen=True, slots=True)
class Change:
    """One entry of a pause's history; `changed_at` is real time, `at` business time."""

    epoch: int
    change: str
    reason: str
    expires_at: datetime
    actor_name: str
    at: datetime
    changed_at: datetime


async def get(connection: AsyncConnection, pause_id: str) -> Pause | None:
    """The pause, as it is now."""
    row = (await connection.execute(select(automation_pauses).where(automation_pauses.c.id == pause_id))).one_or_none()
    return None if row is None else pause_of(row)


async def listed(
    connection: AsyncConnection, *, state: str | None, provider: str | None, after: str | None, limit: int
) -> Sequence[Pause]:
    """Pauses, newest first, of one state or provider where these are given."""
    table = automation_pauses.c
    query = select(automation_pauses).order_by(table.id.desc()).limit(limit)
    if state is not None:
        query = query.where(table.state == state)
    if provider is not None:
        query = query.where(table.provider == provider)
    if after is not None:
        query = query.where(table.id < after)
    return [pause_of(row) for row in await connection.execute(query)]


async def history(connection: AsyncConnection, pause_id: str) -> Sequence[Change]:
    """Every change of a pause, oldest first; there are few."""
    table = automation_pause_changes.c
    found = await connection.execute(
        select(automation_pause_changes).where(table.pause_id == pause_id).order_by(table.epoch).limit(500)
    )
    return [_change(row) for row in found]


async def stops(connection: AsyncConnection, epoch: int) -> Sequence[Stop]:
    """Every instance that has acknowledged lately, and when it had first applied this epoch."""
    found = await connection.execute(_STOPS, {"epoch": epoch})
    return [Stop(row.service, row.instance, row.epoch, row.applied_at, row.live) for row in found]


def _change(row: Row[Any]) -> Change:
    return Change(row.epoch, row.change, row.reason, row.expires_at, row.actor_name, row.at, row.changed_at)
