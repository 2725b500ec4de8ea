"""What is asked about checks: how each stands, and what the newest looks have shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, select
from sqlalchemy.ext.asyncio import AsyncConnection

from provider_health.checks.domain import Outcome, Status, Window
from provider_health.checks.store import StoredCheck, check_of, window_of
from provider_health.checks.tables import check_observations, maintenance_windows, provider_health_checks


@dataclass(frozen=True, slots=True)
class SeenBefore:
    """One look of the past; `status` is what it led to."""

    id: int
    check_id: str
    observed_at: datetime
    outcome: Outcome
    latency_ms: int | None
    evidence: str
    status: Status


async def every(connection: AsyncConnection) -> Sequence[StoredCheck]:
    """Every check; there are a handful."""
    table = provider_health_checks
    return [check_of(row) for row in await connection.execute(select(table).order_by(table.c.id).limit(500))]


async def of_provider(connection: AsyncConnection, provider: str) -> Sequence[StoredCheck]:
    """The checks of one provider."""
    table = provider_health_checks
    found = await connection.execute(select(table).where(table.c.provider == provider).order_by(table.c.id))
    return [check_of(row) for row in found]


async def observations(
    connection: AsyncConnection, provider: str, *, category: str | None, before: int | None, limit: int
) -> Sequence[SeenBefore]:
    """What was seen of a provider, newest first."""
    table, checks = check_observations.c, provider_health_checks.c
    mine = select(checks.id).where(checks.provider == provider)
    if category is not None:
        mine = mine.where(checks.category == category)
    query = select(check_observations).where(table.check_id.in_(mine)).order_by(table.id.desc()).limit(limit)
    if before is not None:
        query = query.where(table.id < before)
    return [_seen(row) for row in await connection.execute(query)]


async def windows(
    connection: AsyncConnection, *, provider: str | None, now: datetime, after: str | None, limit: int
) -> Sequence[Window]:
    """Maintenance windows that are in force or to come, newest entry first."""
    table = maintenance_windows.c
    query = select(maintenance_windows).where(table.ends_at > now).order_by(table.id.desc()).limit(limit)
    if provider is not None:
        query = query.where(table.provider == provider)
    if after is not None:
        query = query.where(table.id < after)
    return [window_of(row) for row in await connection.execute(query)]


def _seen(row: Row[Any]) -> SeenBefore:
    return SeenBefore(row.id, row.check_id, row.observed_at, row.outcome, row.latency_ms, row.evidence, row.status)
