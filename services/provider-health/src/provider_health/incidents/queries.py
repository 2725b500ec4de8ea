"""What is asked about incidents: lists, timelines, and what a review counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from provider_health.incidents.domain import OPEN, Incident
from provider_health.incidents.store import incident_of
from provider_health.incidents.tables import incident_timeline, provider_incidents

_COUNTS = text(
    """
    SELECT
        (SELECT count(*) FROM provider_health.check_observations
         WHERE check_id = :check AND outcome = 'failed' AND observed_at BETWEEN :start AND :end) AS checks_failed,
        (SELECT count(*) FROM provider_health.check_observations
         WHERE check_id = :check AND observed_at BETWEEN :start AND :end) AS checks,
        (SELECT count(*) FROM provider_health.incident_timeline WHERE incident_id = :incident) AS timeline_entries
    """
)


@dataclass(frozen=True, slots=True)
class TimelineEntry:
    """One entry as it is stored; `at` is business time, `recorded_at` real time."""

    id: int
    at: datetime
    recorded_at: datetime
    kind: str
    words: str
    actor_kind: str
    actor_id: str
    actor_name: str
    reference: str | None
    notice: bool


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which incidents are asked for; None is any."""

    state: str | None = None
    provider: str | None = None
    severity: int | None = None
    open: bool | None = None


async def get(connection: AsyncConnection, incident_id: str) -> Incident | None:
    """The incident as it is now."""
    table = provider_incidents
    row = (await connection.execute(select(table).where(table.c.id == incident_id))).one_or_none()
    return None if row is None else incident_of(row)


async def listed(connection: AsyncConnection, wanted: Wanted, *, after: str | None, limit: int) -> Sequence[Incident]:
    """Incidents, newest first."""
    table = provider_incidents.c
    query = select(provider_incidents).order_by(table.id.desc()).limit(limit)
    if wanted.state is not None:
        query = query.where(table.state == wanted.state)
    if wanted.provider is not None:
        query = query.where(table.provider == wanted.provider)
    if wanted.severity is not None:
        query = query.where(table.severity == wanted.severity)
    if wanted.open is not None:
        is_open = table.state.in_(sorted(OPEN))
        query = query.where(is_open if wanted.open else ~is_open)
    if after is not None:
        query = query.where(table.id < after)
    return [incident_of(row) for row in await connection.execute(query)]


async def timeline(
    connection: AsyncConnection, incident_id: str, *, after: int | None, limit: int
) -> Sequence[TimelineEntry]:
    """The timeline of an incident, oldest entry first."""
    table = incident_timeline.c
    query = (
        select(incident_timeline).where(table.incident_id == incident_id, table.id > (after or 0)).order_by(table.id)
    )
    return [_entry(row) for row in await connection.execute(query.limit(limit))]


async def counts(connection: AsyncConnection, incident: Incident) -> Mapping[str, int]:
    """What a review counts: looks that failed while it lasted, relapses, replays and pauses."""
    end = incident.recovered_at or incident.resolved_at or incident.reviewed_at or incident.detected_at
    found = await connection.execute(
        _COUNTS,
        {
            "check": f"{incident.provider}/{incident.cause}",
            "incident": incident.id,
            "start": incident.detected_at,
            "end": end,
        },
    )
    row = found.one()
    return {
        "checks": row.checks,
        "checks_failed": row.checks_failed,
        "timeline_entries": row.timeline_entries,
        "minutes": round((end - incident.detected_at).total_seconds() / 60),
        "relapses": incident.relapses,
        "replays": len(incident.replay_ids),
        "pauses": len(incident.pause_ids),
    }


def _entry(row: Row[Any]) -> TimelineEntry:
    return TimelineEntry(
        row.id,
        row.at,
        row.recorded_at,
        row.kind,
        row.words,
        row.actor_kind,
        row.actor_id,
        row.actor_name,
        row.reference,
        row.notice,
    )
