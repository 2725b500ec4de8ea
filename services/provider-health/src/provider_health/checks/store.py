"""How checks are loaded and saved, with what they have shown for a while."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Row, insert, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from provider_health.checks.domain import Detector, Observation, Score, Status, Window
from provider_health.checks.tables import check_observations, maintenance_windows, provider_health_checks

OBSERVATIONS_KEPT: Final = 5_760
_PRUNE_EVERY: Final = 120

_PRUNE = text(
    """
    DELETE FROM provider_health.check_observations
    WHERE check_id = :check AND id < (
        SELECT id FROM provider_health.check_observations WHERE check_id = :check
        ORDER BY id DESC OFFSET :kept LIMIT 1
    )
    """
)
_IN_MAINTENANCE = text(
    """
    SELECT EXISTS (SELECT FROM provider_health.maintenance_windows
                   WHERE provider = :provider AND starts_at <= :now AND ends_at > :now)
    """
)


@dataclass(frozen=True, slots=True)
class Registered:
    """A check that there is; `cadence_seconds` None: nobody looks, it hears of what others saw."""

    provider: str
    category: str
    cadence_seconds: int | None

    @property
    def id(self) -> str:
        return f"{self.provider}/{self.category}"


@dataclass(frozen=True, slots=True)
class StoredCheck:
    """A check as it stands; `status` is what others were told last."""

    id: str
    provider: str
    category: str
    status: Status
    status_since: datetime
    detector: Detector
    cadence_seconds: int | None
    dwell_seconds: int
    latency_ms: int | None
    last_observed_at: datetime | None
    last_success_at: datetime | None
    last_failure_at: datetime | None
    evidence: str | None
    version: int


async def register(connection: AsyncConnection, check: Registered, *, dwell_seconds: int, now: datetime) -> None:
    """Add a check that is new, and take over the cadence and the dwell of the settings."""
    timing = {"cadence_seconds": check.cadence_seconds, "dwell_seconds": dwell_seconds}
    values = {
        "id": check.id,
        "provider": check.provider,
        "category": check.category,
        "status": "unknown",
        "status_since": now,
        "score": 0,
        "failures_in_row": 0,
        "detector": _detector_json(Detector()),
        "due_at": None if check.cadence_seconds is None else now,
        "claims": 0,
        "version": 1,
        **timing,
    }
    await connection.execute(
        upsert(provider_health_checks).values(**values).on_conflict_do_update(index_elements=["id"], set_=timing)
    )


async def load(connection: AsyncConnection, check_id: str) -> StoredCheck | None:
    """The check, locked until the transaction ends."""
    table = provider_health_checks
    row = (await connection.execute(select(table).where(table.c.id == check_id).with_for_update())).one_or_none()
    return None if row is None else check_of(row)


async def save(
    connection: AsyncConnection, check: StoredCheck, detector: Detector, status: Status, seen: Observation
) -> None:
    """Store what one observation has made of a check, and the observation itself."""
    success, failure = seen.outcome in {"ok", "impaired"}, seen.outcome == "failed"
    table = provider_health_checks
    await connection.execute(
        update(table)
        .where(table.c.id == check.id)
        .values(
            status=status,
            status_since=seen.at if status != check.status else check.status_since,
            score=detector.impaired.points,
            failures_in_row=0 if detector.failing.tripped else detector.failing.in_a_row,
            detector=_detector_json(detector),
            latency_ms=seen.latency_ms,
            last_observed_at=seen.at,
            last_success_at=seen.at if success else check.last_success_at,
            last_failure_at=seen.at if failure else check.last_failure_at,
            evidence=seen.evidence,
            version=check.version + 1,
        )
    )
    await connection.execute(
        insert(check_observations).values(
            check_id=check.id,
            observed_at=seen.at,
            outcome=seen.outcome,
            latency_ms=seen.latency_ms,
            evidence=seen.evidence,
            status=status,
        )
    )
    if check.version % _PRUNE_EVERY == 0:
        await connection.execute(_PRUNE, {"check": check.id, "kept": OBSERVATIONS_KEPT})


async def in_maintenance(connection: AsyncConnection, provider: str, now: datetime) -> bool:
    """Whether a maintenance window of this provider is in force."""
    return bool((await connection.execute(_IN_MAINTENANCE, {"provider": provider, "now": now})).scalar_one())


async def add_window(connection: AsyncConnection, window: Window) -> None:
    """Store a new maintenance window."""
    await connection.execute(
        insert(maintenance_windows).values(
            id=window.id,
            provider=window.provider,
            starts_at=window.starts_at,
            ends_at=window.ends_at,
            reason=window.reason,
            actor_id=window.actor_id,
            actor_name=window.actor_name,
            version=window.version,
        )
    )


async def load_window(connection: AsyncConnection, window_id: str) -> Window | None:
    """The window, locked until the transaction ends."""
    table = maintenance_windows
    row = (await connection.execute(select(table).where(table.c.id == window_id).with_for_update())).one_or_none()
    return None if row is None else window_of(row)


async def end_window(connection: AsyncConnection, window: Window) -> None:
    """Store when a window ends."""
    table = maintenance_windows
    values = {"starts_at": window.starts_at, "ends_at": window.ends_at, "version": window.version}
    await connection.execute(update(table).where(table.c.id == window.id).values(**values))


def window_of(row: Row[Any]) -> Window:
    """The window that a row of the table is."""
    return Window(
        row.id, row.provider, row.starts_at, row.ends_at, row.reason, row.actor_id, row.actor_name, row.version
    )


def check_of(row: Row[Any]) -> StoredCheck:
    """The check that a row of the table is."""
    return StoredCheck(
        id=row.id,
        provider=row.provider,
        category=row.category,
        status=row.status,
        status_since=row.status_since,
        detector=_detector(row.detector),
        cadence_seconds=row.cadence_seconds,
        dwell_seconds=row.dwell_seconds,
        latency_ms=row.latency_ms,
        last_observed_at=row.last_observed_at,
        last_success_at=row.last_success_at,
        last_failure_at=row.last_failure_at,
        evidence=row.evidence,
        version=row.version,
    )


def _detector_json(detector: Detector) -> dict[str, Any]:
    return {
        "status": detector.status,
        "since": _text(detector.since),
        "failing": _score_json(detector.failing),
        "impaired": _score_json(detector.impaired),
        "recent": "".join("x" if bad else "." for bad in detector.recent),
    }


def _detector(stored: dict[str, Any]) -> Detector:
    return Detector(
        status=stored["status"],
        since=_instant(stored["since"]),
        failing=_score(stored["failing"]),
        impaired=_score(stored["impaired"]),
        recent=tuple(sign == "x" for sign in stored["recent"]),
    )


def _score_json(score: Score) -> dict[str, Any]:
    return {
        "points": score.points,
        "in_a_row": score.in_a_row,
        "tripped": score.tripped,
        "since": _text(score.since),
    }


def _score(stored: dict[str, Any]) -> Score:
    return Score(stored["points"], stored["in_a_row"], stored["tripped"], _instant(stored["since"]))


def _text(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()


def _instant(stored: str | None) -> datetime | None:
    return None if stored is None else datetime.fromisoformat(stored)
