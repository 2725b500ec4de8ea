"""How the providers and our own doors are, and what each look has shown."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Final

from chassis.web import INVALID, MISSING_SCOPE, Listed, Page, Problem, ReadTx, documents
from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, Field

from provider_health.checks import queries
from provider_health.checks.domain import Outcome, Status
from provider_health.checks.queries import SeenBefore
from provider_health.checks.store import StoredCheck
from provider_health.names import name_of

router = APIRouter(tags=["providers"])
Provider = Annotated[str, Path(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=60, description="`stripe`")]
_STALE_AFTER_CADENCES: Final = 3
_AT: Final = datetime.fromisoformat("2026-03-02T09:00:30+00:00")


class CheckView(BaseModel):
    """One check. `status`: up, degraded, flapping, down, unknown, maintenance; times are business time.

    `stale`: nobody has looked for three cadences. `cadence_seconds` null: nobody looks, others tell. `score` alarms at
    16, `failures_in_row` at 3.
    """

    id: str
    provider: str
    name: str
    category: str
    status: Status
    status_since: datetime
    latency_ms: int | None
    last_observed_at: datetime | None
    last_success_at: datetime | None
    last_failure_at: datetime | None
    cadence_seconds: int | None
    dwell_seconds: int
    evidence: str | None
    score: int
    failures_in_row: int
    changes_percent: int
    stale: bool
    version: int


class ObservationView(BaseModel):
    """One look. `outcome`: ok, impaired, failed, limited, early, absent; `status` is what it led to."""

    id: int
    check_id: str
    observed_at: datetime
    outcome: Outcome
    latency_ms: int | None
    evidence: str
    status: Status


class ObservationFilters(BaseModel):
    """Which looks are asked for."""

    category: str | None = Field(None, max_length=60, description="One category of checks: `api`")


_CHECK: Final = CheckView(
    id="gocardless/api",
    provider="gocardless",
    name="GoCardless",
    category="api",
    status="down",
    status_since=_AT,
    latency_ms=12,
    last_observed_at=_AT,
    last_success_at=_AT - timedelta(seconds=90),
    last_failure_at=_AT,
    cadence_seconds=30,
    dwell_seconds=120,
    evidence="status 503",
    score=0,
    failures_in_row=0,
    changes_percent=2,
    stale=False,
    version=41,
)
_SEEN: Final = ObservationView(
    id=1042,
    check_id="gocardless/api",
    observed_at=_AT,
    outcome="failed",
    latency_ms=12,
    evidence="status 503",
    status="down",
)
_UNKNOWN_PARAMETER: Final = (INVALID, "Some parameters are not known here.")


@router.get(
    "/providers",
    **documents(
        scope="providers:read",
        example=Listed(items=[_CHECK], next=None),
        problems=[_UNKNOWN_PARAMETER, (MISSING_SCOPE, "This needs the scope providers:read.")],
    ),
)
async def list_providers(tx: ReadTx) -> Listed[CheckView]:
    """Every check of every provider and of our own doors; all of them on one page."""
    checks = await queries.every(tx.connection)
    return Listed(items=[_view(check, tx.now) for check in checks], next=None)


@router.get(
    "/providers/{provider}/checks",
    **documents(
        scope="providers:read",
        example=Listed(items=[_SEEN], next=None),
        problems=[Problem.not_found("provider", "gocardles"), _UNKNOWN_PARAMETER],
    ),
)
async def list_checks(
    provider: Provider, tx: ReadTx, filters: Annotated[ObservationFilters, Query()], page: Page
) -> Listed[ObservationView]:
    """What was seen of a provider, newest first, for about two days at the usual cadence."""
    if not await queries.of_provider(tx.connection, provider):
        raise Problem.not_found("provider", provider)
    found = await queries.observations(
        tx.connection, provider, category=filters.category, before=page.after_int(), limit=page.limit + 1
    )
    return page.listed([_seen(each) for each in found], key=lambda each: each.id)


def _view(check: StoredCheck, now: datetime) -> CheckView:
    detector, seen_at = check.detector, check.last_observed_at
    late = timedelta(seconds=_STALE_AFTER_CADENCES * (check.cadence_seconds or 0))
    return CheckView(
        id=check.id,
        provider=check.provider,
        name=name_of(check.provider),
        category=check.category,
        status=check.status,
        status_since=check.status_since,
        latency_ms=check.latency_ms,
        last_observed_at=seen_at,
        last_success_at=check.last_success_at,
        last_failure_at=check.last_failure_at,
        cadence_seconds=check.cadence_seconds,
        dwell_seconds=check.dwell_seconds,
        evidence=check.evidence,
        score=detector.impaired.points,
        failures_in_row=0 if detector.failing.tripped else detector.failing.in_a_row,
        changes_percent=detector.changes_percent,
        stale=check.cadence_seconds is not None and (seen_at is None or now - seen_at > late),
        version=check.version,
    )


def _seen(each: SeenBefore) -> ObservationView:
    return ObservationView(
        id=each.id,
        check_id=each.check_id,
        observed_at=each.observed_at,
        outcome=each.outcome,
        latency_ms=each.latency_ms,
        evidence=each.evidence,
        status=each.status,
    )
