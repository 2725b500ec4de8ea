"""Checks as other services hear of them."""

from __future__ import annotations

from chassis.transaction import Draft
from contracts.envelope import Entity, Workflow
from contracts.events import ProviderHealthChanged

from provider_health.checks.domain import Changed, Observation
from provider_health.checks.store import StoredCheck


def changed(check: StoredCheck, change: Changed, seen: Observation) -> Draft[ProviderHealthChanged]:
    """The event that tells of a check's new status."""
    return Draft(
        body=ProviderHealthChanged(
            provider=check.provider,
            category=check.category,
            status=change.status,
            previous=change.previous,
            latency_ms=seen.latency_ms,
            observed_at=seen.at,
        ),
        entity=Entity(type="provider_health_check", id=check.id),
        workflow=Workflow(name="provider_health", id=check.provider),
        before={"status": change.previous},
        after={"status": change.status},
        reason=change.reason,
    )
