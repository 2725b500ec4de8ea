"""Examples of what the provider-health service tells, and of what its pauses are answered with."""

from __future__ import annotations

from typing import Final

from contracts.envelope import Entity, Event, Payload, Workflow
from contracts.events import (
    AutomationPauseAcknowledged,
    AutomationPauseHeartbeat,
    AutomationPauseUpdated,
    IncidentState,
    MaintenanceWindowUpdated,
    Named,
    PauseScope,
    PauseState,
    ProviderHealthChanged,
    ProviderHealthReviewed,
    ProviderIncidentUpdated,
)
from contracts.examples.shared import (
    INCIDENT_ID,
    MONTHLY,
    OPERATIONS,
    PAUSE_ID,
    REPLAY_ID,
    TASK_ID,
    TIME,
    example,
    system,
)

_INCIDENT: Final = Workflow(name="incident", id=INCIDENT_ID)
_PAUSES: Final = Workflow(name="automation_pauses", id="automation_pauses")
_WINDOW_ID: Final = "0198c2f4-9a10-7b20-8d30-4c50e60f7081"
_TITLE: Final = "GoCardless does not answer"
_SCOPE: Final = PauseScope(provider="gocardless", action="collection")

EXAMPLES: Final[tuple[Event[Payload], ...]] = (
    example(
        ProviderHealthChanged(
            provider="gocardless", category="api", status="down", previous="up", latency_ms=10000, observed_at=TIME
        ),
        actor=system("provider-health"),
        entity=Entity(type="provider_health_check", id="gocardless/api"),
        workflow=Workflow(name="provider_health", id="gocardless"),
        before={"status": "up"},
        after={"status": "down"},
        reason="3 checks in a row failed, the last with 503",
    ),
    example(
        MaintenanceWindowUpdated(change="planned", provider="gocardless", starts_at=TIME, ends_at=TIME),
        actor=OPERATIONS,
        entity=Entity(type="maintenance_window", id=_WINDOW_ID),
        workflow=Workflow(name="provider_health", id="gocardless"),
        after={"provider": "gocardless", "reason": "They announced it"},
        reason="they announced it",
    ),
    example(
        ProviderIncidentUpdated(
            change="opened",
            incident=IncidentState(
                id=INCIDENT_ID,
                title=_TITLE,
                provider="gocardless",
                state="detected",
                severity=2,
                impact="3 retries wait",
                money_at_risk=MONTHLY,
                detected_at=TIME,
                version=1,
            ),
        ),
        actor=system("provider-health"),
        entity=Entity(type="incident", id=INCIDENT_ID),
        workflow=_INCIDENT,
        after={"state": "detected", "severity": 2},
        reason="3 checks in a row failed",
    ),
    example(
        ProviderHealthReviewed(
            incident=Named(id=INCIDENT_ID, name=_TITLE),
            decision="the safe events were replayed, nothing was lost",
            filters={"provider": "gocardless", "window": "2026-03-02T09:00:00Z/2026-03-02T10:00:00Z"},
            counts={"deliveries": 40, "replayed": 3},
            replay_ids=(REPLAY_ID,),
            prevention_task_id=TASK_ID,
        ),
        actor=OPERATIONS,
        entity=Entity(type="incident", id=INCIDENT_ID),
        workflow=_INCIDENT,
        before={"state": "resolved"},
        after={"state": "reviewed"},
    ),
    example(
        AutomationPauseUpdated(
            change="paused",
            pause=PauseState(
                id=PAUSE_ID,
                scope=_SCOPE,
                mode="hold",
                state="active",
                reason=_TITLE,
                epoch=7,
                expires_at=TIME,
                incident_id=INCIDENT_ID,
            ),
            scope_words="collection at GoCardless",
        ),
        actor=OPERATIONS,
        entity=Entity(type="automation_pause", id=PAUSE_ID),
        workflow=_INCIDENT,
        after={"state": "active", "mode": "hold"},
        reason="GoCardless does not answer",
    ),
    example(
        AutomationPauseHeartbeat(epoch=7),
        actor=system("provider-health"),
        entity=Entity(type="automation_pause", id="heartbeat"),
        workflow=_PAUSES,
    ),
    example(
        AutomationPauseAcknowledged(
            service="payments", instance="payments-1", epoch=7, lease_seconds=30, applied_at=TIME
        ),
        actor=system("payments"),
        entity=Entity(type="automation_pause", id="payments-1"),
        workflow=_PAUSES,
    ),
)
