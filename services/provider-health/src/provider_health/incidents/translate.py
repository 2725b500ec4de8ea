"""Incidents as other services hear of them, and what incidents hear from others."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any, Final

from chassis.transaction import Draft
from contracts.envelope import Entity, Event, Money, Snapshot, Workflow
from contracts.events import (
    IncidentState,
    Named,
    OperationalTaskRequested,
    OperationalTaskUpdated,
    ProviderHealthReviewed,
    ProviderIncidentUpdated,
    TaskSource,
)
from contracts.tasks import INCIDENT_PREVENTION

from provider_health.incidents.domain import Incident, PayoutTold, PreventionTask, prevention_key

_WAITING: Final = frozenset({"scheduled", "held", "calling"})
_ENDED: Final = frozenset({"succeeded", "paid_out", "cancelled", "charged_back"})


def updated(
    before: Incident | None, after: Incident, change: str, *, reason: str | None = None, note: str | None = None
) -> Draft[ProviderIncidentUpdated]:
    """The event that tells of a change."""
    return Draft(
        body=ProviderIncidentUpdated(change=change, incident=state_of(after), note=note),
        entity=Entity(type="incident", id=after.id),
        workflow=Workflow(name="incident", id=after.id),
        before=None if before is None else snapshot(before),
        after=snapshot(after),
        reason=reason,
    )


def reviewed(
    before: Incident, after: Incident, *, filters: Mapping[str, str], counts: Mapping[str, int]
) -> Draft[ProviderHealthReviewed]:
    """The event that tells of a review: the one event of that step."""
    return Draft(
        body=ProviderHealthReviewed(
            incident=Named(id=after.id, name=after.title),
            decision=after.decision or "",
            filters=dict(filters),
            counts=dict(counts),
            replay_ids=after.replay_ids,
            prevention_task_id=after.prevention_task_id,
        ),
        entity=Entity(type="incident", id=after.id),
        workflow=Workflow(name="incident", id=after.id),
        before=snapshot(before),
        after=snapshot(after),
        reason=None,
    )


def prevention(incident: Incident, *, queue: str, due_on: date) -> Draft[OperationalTaskRequested]:
    """What asks for the task that prevents another such incident."""
    key = prevention_key(incident.id)
    workflow, entity = Workflow(name="incident", id=incident.id), Entity(type="incident", id=incident.id)
    return Draft(
        body=OperationalTaskRequested(
            dedupe_key=key,
            kind=INCIDENT_PREVENTION,
            fields={"incident": incident.title},
            queue=queue,
            source=TaskSource(workflow=workflow, entity=entity),
            due_on=due_on,
        ),
        entity=Entity(type="task_request", id=key),
        workflow=workflow,
        key=key,
        reason=f"an incident of severity {incident.severity} is not closed without one",
    )


def prevention_task(incident_id: str, event: Event[OperationalTaskUpdated]) -> PreventionTask:
    """What a task that prevents another such incident is by now; one that was completed had whoever did so."""
    task = event.data.body.task
    owner = None if task.owner is None else task.owner.name
    due = task.due_on or task.due_at
    if task.state == "completed":
        owner, due = owner or event.data.actor.name, due or event.time
    return PreventionTask(task.id, incident_id, owner, None if due is None else due.isoformat(), task.version)


def state_of(incident: Incident) -> IncidentState:
    """The incident on the wire."""
    return IncidentState(
        id=incident.id,
        title=incident.title,
        provider=incident.provider,
        state=incident.state,
        severity=incident.severity,
        impact=incident.impact,
        money_at_risk=money_at_risk(incident),
        owner=None if incident.owner is None else Named(id=incident.owner.id, name=incident.owner.name),
        prevention_task_id=incident.prevention_task_id,
        replay_ids=incident.replay_ids,
        pause_ids=incident.pause_ids,
        detected_at=incident.detected_at,
        recovered_at=incident.recovered_at,
        version=incident.version,
    )


def money_at_risk(incident: Incident) -> Money | None:
    """The most money that has waited because of an incident."""
    if incident.at_risk_minor is None or incident.at_risk_currency is None:
        return None
    return Money(amount_minor=incident.at_risk_minor, currency=incident.at_risk_currency)


def snapshot(incident: Incident) -> Snapshot:
    """The incident as plain JSON, for before and after."""
    return {
        "state": incident.state,
        "severity": incident.severity,
        "owner": incident.owner.name if incident.owner else None,
        "impact": incident.impact,
        "recovered": incident.recovered_at is not None,
        "prevention_task_id": incident.prevention_task_id,
    }


def waits(after: Mapping[str, Any] | None) -> bool | None:
    """Whether a payment's snapshot says that an attempt of ours waits; None when it says nothing about that."""
    told = after or {}
    if "retry" in told:
        retry = told["retry"]
        return isinstance(retry, Mapping) and retry.get("state") in _WAITING
    return False if told.get("state") in _ENDED else None


def payout_of(provider: str, after: Mapping[str, Any] | None, told_at: datetime) -> PayoutTold | None:
    """What a payout's snapshot says of how it adds up; None for anything else, and while its lines are not known."""
    match after:
        case {"id": str(reference), "arrives_on": _, "difference_minor": int(difference), "currency": str(currency)}:
            return PayoutTold(provider, reference, difference, currency, told_at)
        case _:
            return None


def had_failed(before: Mapping[str, Any] | None) -> bool:
    """Whether a payment's snapshot says that it had failed, so that an attempt of ours may have been planned."""
    told = before or {}
    return told.get("state") == "failed" or told.get("retry") is not None
