"""Checks as other services hear of them."""

from __future__ import annotations

from chassis.transaction import Draft
from contracts.envelope import Entity, Snapshot, Workflow
from contracts.events import MaintenanceWindowUpdated, ProviderHealthChanged

from provider_health.checks.domain import Changed, Observation, Window
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


def window_updated(before: Window | None, after: Window, change: str, reason: str) -> Draft[MaintenanceWindowUpdated]:
    """The event that tells of a maintenance window."""
    return Draft(
        body=MaintenanceWindowUpdated(
            change=change, provider=after.provider, starts_at=after.starts_at, ends_at=after.ends_at
        ),
        entity=Entity(type="maintenance_window", id=after.id),
        workflow=Workflow(name="provider_health", id=after.provider),
        before=None if before is None else window_snapshot(before),
        after=window_snapshot(after),
        reason=reason,
    )


def window_snapshot(window: Window) -> Snapshot:
    """The window as plain JSON, for before and after."""
    return {
        "provider": window.provider,
        "starts_at": window.starts_at.isoformat(),
        "ends_at": window.ends_at.isoformat(),
        "reason": window.reason,
    }
