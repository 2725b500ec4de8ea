"""What the provider-health service tells, and what every service answers to its pauses."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from contracts.envelope import Flag, Instant, Integer, Money, Payload, Wire
from contracts.events.shared import Change, Named
from contracts.registry import event_type
from contracts.topics import AUTOMATION_PAUSES, OWN_TOPICS, PROVIDER_HEALTH_EVENTS

Word = Annotated[str, Field(pattern="^[a-z0-9]+([-_][a-z0-9]+)*$", max_length=60)]
"""A word of an open vocabulary."""


@event_type(
    "provider_health.changed",
    version=1,
    topic=PROVIDER_HEALTH_EVENTS,
    entity="provider_health_check",
    sentence="{body.provider} {body.category} went from {body.previous} to {body.status}{reason: because {}}",
)
class ProviderHealthChanged(Payload):
    """A check's state changed; never told for each check.

    `provider` is a payment provider or a door of ours (`members-api`); `status` and `previous`: up, degraded,
    flapping, down, unknown, maintenance.
    """

    provider: Word
    category: Word
    status: Word
    previous: Word
    latency_ms: Integer | None = None
    observed_at: Instant


@event_type(
    "maintenance_window.updated",
    version=1,
    topic=PROVIDER_HEALTH_EVENTS,
    entity="maintenance_window",
    sentence="{actor} {body.change} maintenance of {body.provider}{reason: because {}}",
)
class MaintenanceWindowUpdated(Payload):
    """A maintenance window was planned or ended. While one lasts nothing is alarmed, and everything is recorded.

    `change`: planned, ended. Times are business time.
    """

    change: Change
    provider: Word
    starts_at: Instant
    ends_at: Instant


class IncidentState(Wire):
    """An incident as it stands. `state`: detected, acknowledged, mitigated, resolved, reviewed; `severity` 1 to 4."""

    id: str
    title: str
    provider: Word
    state: Word
    severity: Annotated[Integer, Field(ge=1, le=4)]
    impact: str | None = None
    money_at_risk: Money | None = None
    owner: Named | None = None
    prevention_task_id: str | None = None
    replay_ids: tuple[str, ...] = ()
    pause_ids: tuple[str, ...] = ()
    detected_at: Instant
    recovered_at: Instant | None = None
    version: Integer


@event_type(
    "provider_incident.updated",
    version=1,
    topic=PROVIDER_HEALTH_EVENTS,
    entity="incident",
    sentence="{actor} {body.change} the incident {body.incident.title}{reason: because {}}",
)
class ProviderIncidentUpdated(Payload):
    """An incident changed.

    `change`: opened, acknowledged, mitigated, resolved, escalated, assigned, noted (an entry of its timeline),
    recovered (what it is about works again), reopened (it fails again). A review is told by `provider.health.reviewed`.
    """

    change: Change
    incident: IncidentState
    note: str | None = None


@event_type(
    "provider.health.reviewed",
    version=1,
    topic=PROVIDER_HEALTH_EVENTS,
    entity="incident",
    sentence="{actor} reviewed the incident {body.incident}: {body.decision}",
)
class ProviderHealthReviewed(Payload):
    """An incident was reviewed: which filters were looked at, what was counted, and what was decided."""

    incident: Named
    decision: str
    filters: dict[str, str] = Field(default_factory=dict)
    counts: dict[str, Integer] = Field(default_factory=dict)
    replay_ids: tuple[str, ...] = ()
    prevention_task_id: str | None = None


class PauseScope(Wire):
    """What a pause stops: null is every provider, every account. `action`: collection, notices, replays, all."""

    provider: Word | None = None
    account: str | None = None
    action: Word

    @property
    def text(self) -> str:
        """The scope as the key of its records: `gocardless/*/collection`."""
        return "/".join((self.provider or "*", self.account or "*", self.action))


class PauseState(Wire):
    """A pause as it stands. `mode`: hold, shadow, reject; `state`: active, released, expired.

    `epoch` counts changes of all pauses; `expires_at` is business time. Staff's own actions are bound only where
    `binds_staff` says so.
    """

    id: str
    scope: PauseScope
    mode: Word
    state: Word
    reason: str
    epoch: Annotated[Integer, Field(gt=0)]
    expires_at: Instant
    incident_id: str | None = None
    binds_staff: Flag = False


@event_type(
    "automation_pause.updated",
    version=1,
    topic=AUTOMATION_PAUSES,
    entity="automation_pause",
    sentence="{actor} {body.change} the automation of {body.scope_words}{reason: because {}}",
)
class AutomationPauseUpdated(Payload):
    """A pause was set, extended, released or ran out: its full state. Keyed by the scope's text.

    `change`: paused, extended the pause of, released, resumed (it had run out).
    """

    change: Change
    pause: PauseState
    scope_words: str


@event_type(
    "automation_pause.heartbeat",
    version=1,
    topic=AUTOMATION_PAUSES,
    entity="automation_pause",
    sentence="The service that keeps the pauses is alive at epoch {body.epoch}",
    technical=True,
)
class AutomationPauseHeartbeat(Payload):
    """The highest epoch there is. A service that knows a lower one, or hears nothing, lets no money move."""

    epoch: Integer


@event_type(
    "automation_pause.acknowledged",
    version=1,
    topic=OWN_TOPICS,
    entity="automation_pause",
    sentence="{body.instance} has stopped what epoch {body.epoch} pauses",
    technical=True,
)
class AutomationPauseAcknowledged(Payload):
    """One process has applied every pause up to `epoch`: no call that they stop starts after this, and none is out.

    Told at every new epoch and repeated while the process lives; one that is silent for longer than its `lease_seconds`
    is gone. Keyed by the instance.
    """

    service: str
    instance: str
    epoch: Integer
    lease_seconds: Integer
    applied_at: Instant
