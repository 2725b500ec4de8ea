"""Incidents as their callers see and give them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final, Literal

from contracts.envelope import Money
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from provider_health.incidents.domain import Incident, State
from provider_health.incidents.queries import TimelineEntry
from provider_health.incidents.translate import money_at_risk
from provider_health.words import Line, Words

Severity = Annotated[int, Field(strict=True, ge=1, le=4, description="1 is the worst")]


class OwnerView(BaseModel):
    """Who looks after an incident."""

    model_config = ConfigDict(extra="forbid")

    id: Line
    name: Line


class EntryView(BaseModel):
    """One entry of a timeline. `at` is business time, `recorded_at` real time; `notice`: people were to be told.

    `kind`: opened, symptom, relapsed, escalated, recovered, acknowledged, mitigated, resolved, reviewed, assigned,
    note, pause, replay, task; `reference` is the pause, replay or task meant.
    """

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

    @classmethod
    def of(cls, entry: TimelineEntry) -> EntryView:
        return cls.model_validate(entry, from_attributes=True)


class IncidentView(BaseModel):
    """An incident. `state`: detected, acknowledged, mitigated, resolved, reviewed.

    `cause` is the check's category, or `reported`; `money_at_risk` is the most that has waited; `recovered_at`: what it
    is about works again.
    """

    id: str
    title: str
    provider: str
    cause: str
    state: State
    severity: int
    impact: str | None
    money_at_risk: Money | None
    owner: OwnerView | None
    prevention_task_id: str | None
    replay_ids: list[str]
    pause_ids: list[str]
    recovery_action: str | None
    decision: str | None
    detected_at: datetime
    recovered_at: datetime | None
    resolved_at: datetime | None
    reviewed_at: datetime | None
    relapses: int
    version: int

    @classmethod
    def of(cls, incident: Incident) -> IncidentView:
        owner = incident.owner
        return cls(
            id=incident.id,
            title=incident.title,
            provider=incident.provider,
            cause=incident.cause,
            state=incident.state,
            severity=incident.severity,
            impact=incident.impact,
            money_at_risk=money_at_risk(incident),
            owner=None if owner is None else OwnerView(id=owner.id, name=owner.name),
            prevention_task_id=incident.prevention_task_id,
            replay_ids=list(incident.replay_ids),
            pause_ids=list(incident.pause_ids),
            recovery_action=incident.recovery_action,
            decision=incident.decision,
            detected_at=incident.detected_at,
            recovered_at=incident.recovered_at,
            resolved_at=incident.resolved_at,
            reviewed_at=incident.reviewed_at,
            relapses=incident.relapses,
            version=incident.version,
        )


class IncidentDetail(IncidentView):
    """An incident with its timeline, oldest entry first; `timeline_more`: there are more entries than are shown."""

    timeline: list[EntryView]
    timeline_more: bool


class IncidentFilters(BaseModel):
    """Which incidents are asked for."""

    state: State | None = Field(None, description="One state")
    provider: str | None = Field(None, max_length=60, description="One provider or door: `gocardless`")
    severity: int | None = Field(None, ge=1, le=4, description="One severity")
    open: bool | None = Field(None, description="Those that are not resolved yet, or those that are")


class Reported(BaseModel):
    """An incident that a person reports."""

    model_config = ConfigDict(extra="forbid")

    title: Line
    provider: Literal["stripe", "gocardless", "members-api", "payment-webhooks", "ai-decisions"]
    severity: Severity
    impact: Words | None = None
    note: Words | None = None


class Noted(BaseModel):
    """Words for the timeline, where there is something to say."""

    model_config = ConfigDict(extra="forbid")

    note: Words | None = None


class NoteGiven(BaseModel):
    """Words for the timeline."""

    model_config = ConfigDict(extra="forbid")

    note: Words


class Mitigated(BaseModel):
    """What was done so that the impact ends."""

    model_config = ConfigDict(extra="forbid")

    action: Words


class Assigned(BaseModel):
    """Who is to look after the incident."""

    model_config = ConfigDict(extra="forbid")

    owner: OwnerView
    reason: Words | None = None


class Escalated(BaseModel):
    """Another severity, and why."""

    model_config = ConfigDict(extra="forbid")

    severity: Severity
    reason: Words


class Reviewed(BaseModel):
    """What was decided. `filters` say what was looked at, beside the provider and the time; `replay_ids` followed."""

    model_config = ConfigDict(extra="forbid")

    decision: Words
    filters: dict[Annotated[str, StringConstraints(pattern=r"^[a-z_]{1,40}$")], Line] = Field(
        default_factory=dict, max_length=20
    )
    replay_ids: list[Annotated[str, StringConstraints(pattern=r"^[0-9a-f-]{36}$")]] = Field(
        default_factory=list, max_length=50
    )


INCIDENT_ID: Final = "0198c2f4-7d1e-7c35-9a51-6f0e4b8d2a17"
_AT: Final = datetime.fromisoformat("2026-03-02T09:01:30+00:00")
EXAMPLE: Final = IncidentView(
    id=INCIDENT_ID,
    title="GoCardless does not answer",
    provider="gocardless",
    cause="api",
    state="acknowledged",
    severity=2,
    impact="3 payments wait",
    money_at_risk=Money(amount_minor=33_000, currency="AUD"),
    owner=OwnerView(id="operations", name="Operations"),
    prevention_task_id=None,
    replay_ids=[],
    pause_ids=["0198c2f4-8f00-7a11-8c3d-2b1f0e9d8c7b"],
    recovery_action=None,
    decision=None,
    detected_at=_AT,
    recovered_at=None,
    resolved_at=None,
    reviewed_at=None,
    relapses=0,
    version=2,
)
ENTRY_EXAMPLE: Final = EntryView(
    id=7,
    at=_AT,
    recorded_at=_AT,
    kind="opened",
    words="3 of the last 3 checks failed, the last with: status 503",
    actor_kind="system",
    actor_id="provider-health",
    actor_name="Provider health",
    reference=None,
    notice=True,
)
