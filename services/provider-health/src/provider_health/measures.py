"""What this service measures for the readiness board."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from chassis.clock import real_now
from chassis.transaction import Transaction
from contracts.evidence import Measurement
from sqlalchemy import text

from contracts import evidence
from provider_health.checks import queries as checks
from provider_health.checks.store import StoredCheck

# Observations stand in business time; what the board compares is real time.
_SEVERE = text(
    """
    SELECT count(*) FROM provider_health.provider_incidents
    WHERE severity <= 2 AND state IN ('detected', 'acknowledged', 'mitigated')
    """
)


async def provider_states(tx: Transaction) -> Sequence[Measurement]:
    """How every provider and every door of ours is, as of its newest look; one that was never looked at is unknown."""
    now = real_now()
    return [
        evidence.PROVIDER_STATE.reading(
            check.status,
            now - _age(check, tx.now),
            of=check.id,
            detail_url=f"/providers/{check.provider}/checks?category={check.category}",
        )
        for check in await checks.every(tx.connection)
    ]


def _age(check: StoredCheck, now: datetime) -> timedelta:
    """How old a look is. What nobody looks at stands until somebody tells otherwise, so it is never old."""
    if check.cadence_seconds is None or check.last_observed_at is None:
        return timedelta()
    return max(now - check.last_observed_at, timedelta())


async def severe_incidents(tx: Transaction) -> Sequence[Measurement]:
    """How many incidents of severity 1 and 2 are open."""
    count = (await tx.connection.execute(_SEVERE)).scalar_one()
    return [evidence.SEVERE_INCIDENTS.reading(count, real_now(), detail_url="/incidents?open=true")]
