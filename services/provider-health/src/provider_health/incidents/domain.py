"""What may happen to an incident: its states in one line, what gathers under it, and when people are told.

    detected -> acknowledged -> mitigated -> resolved -> reviewed

Symptoms of one cause gather under one incident, until it is resolved or has been over for a while. Severity 1 and 2
are not closed without a task that prevents another, which somebody owns and which is due some day.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

State = Literal["detected", "acknowledged", "mitigated", "resolved", "reviewed"]
Verb = Literal["acknowledge", "mitigate", "resolve", "review"]

STEPS: Final[dict[Verb, tuple[State, State]]] = {
    "acknowledge": ("detected", "acknowledged"),
    "mitigate": ("acknowledged", "mitigated"),
    "resolve": ("mitigated", "resolved"),
    "review": ("resolved", "reviewed"),
}
"""From which state each verb leads to which."""
OPEN: Final[frozenset[State]] = frozenset({"detected", "acknowledged", "mitigated"})
SEVERE: Final = 2
"""Incidents of this severity and above (1 is the worst) need a prevention task."""
PAYOUT: Final = "payout"
"""How the cause of an incident begins that is about one payout."""
GATHERS_AFTER_RECOVERY: Final = timedelta(hours=1)
NOTICES_AN_HOUR: Final = 2
_HOUR: Final = timedelta(hours=1)
_ID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True, slots=True)
class Owner:
    """Who looks after an incident."""

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class PreventionTask:
    """What is known of the task that prevents another incident: whose it is and by when, as of its `version`."""

    task_id: str
    incident_id: str
    owner_name: str | None
    due: str | None
    version: int

    @property
    def is_assured(self) -> bool:
        """Whether somebody is to do it, by some day."""
        return self.owner_name is not None and self.due is not None


@dataclass(frozen=True, slots=True)
class AtRisk:
    """Money that waits, and how many payments that is."""

    payments: int
    amount_minor: int
    currency: str


@dataclass(frozen=True, slots=True)
class Incident:
    """An incident as it stands. `noticed` are the newest moments at which people were told."""

    id: str
    title: str
    provider: str
    cause: str
    state: State
    severity: int
    detected_at: datetime
    gathers: bool = True
    impact: str | None = None
    at_risk_minor: int | None = None
    at_risk_currency: str | None = None
    owner: Owner | None = None
    prevention_task_id: str | None = None
    replay_ids: tuple[str, ...] = ()
    pause_ids: tuple[str, ...] = ()
    recovery_action: str | None = None
    decision: str | None = None
    recovered_at: datetime | None = None
    resolved_at: datetime | None = None
    reviewed_at: datetime | None = None
    relapses: int = 0
    noticed: tuple[datetime, ...] = ()
    version: int = 1

    @property
    def is_severe(self) -> bool:
        return self.severity <= SEVERE

    @property
    def is_of_a_payout(self) -> bool:
        """Whether it is about one payout, and about no money that waits."""
        return self.cause.partition(" ")[0] == PAYOUT

    @property
    def dedupe_key(self) -> str:
        """One incident gathers for each provider and cause."""
        return f"{self.provider}:{self.cause}"


@dataclass(frozen=True, slots=True)
class PayoutTold:
    """What was told of a payout: how much more it is than its lines, 0 where they explain it."""

    provider: str
    reference: str
    difference_minor: int
    currency: str
    told_at: datetime

    @property
    def cause(self) -> str:
        """The cause of the incident that it is where it does not add up."""
        return f"{PAYOUT} {self.reference}"


class WrongStateError(Exception):
    """The incident is not in the state from which this leads on."""

    def __init__(self, incident: Incident, verb: str) -> None:
        super().__init__(f"the incident {incident.id} is {incident.state}: one cannot {verb} it now")
        self.id = incident.id
        self.state = incident.state
        self.verb = verb


class PreventionMissingError(Exception):
    """A severe incident has no prevention task yet."""

    def __init__(self, incident: Incident) -> None:
        super().__init__(
            f"the incident {incident.id} has severity {incident.severity}: it needs a prevention task before its review"
        )
        self.id = incident.id
        self.severity = incident.severity


class PreventionUnassuredError(Exception):
    """Nobody owns the prevention task of a severe incident, or it has no due date: it prevents nothing yet."""

    def __init__(self, incident: Incident, task: PreventionTask) -> None:
        lacks = " and ".join(
            words for words, value in (("owner", task.owner_name), ("due date", task.due)) if value is None
        )
        super().__init__(f"the prevention task {task.task_id} of the incident {incident.id} has no {lacks} yet")
        self.id = incident.id
        self.task_id = task.task_id


def step(incident: Incident, verb: Verb, prevention: PreventionTask | None = None) -> State:
    """Return the state that `verb` leads to; `prevention` is what is known of the incident's task.

    Raises WrongStateError, PreventionMissingError and PreventionUnassuredError.
    """
    start, end = STEPS[verb]
    if incident.state != start:
        raise WrongStateError(incident, verb)
    if end == "reviewed" and incident.is_severe:
        if incident.prevention_task_id is None or prevention is None:
            raise PreventionMissingError(incident)
        if not prevention.is_assured:
            raise PreventionUnassuredError(incident, prevention)
    return end


def asks_for_prevention(incident: Incident, verb: Verb) -> bool:
    """Return whether this step asks for the prevention task: once somebody has said that the incident is one."""
    return verb == "acknowledge" and incident.is_severe and incident.prevention_task_id is None


def still_gathers(incident: Incident, *, now: datetime) -> bool:
    """Return whether a new symptom of the same cause belongs to this incident, not to a new one."""
    if not incident.gathers or incident.state not in OPEN:
        return False
    return incident.recovered_at is None or now - incident.recovered_at < GATHERS_AFTER_RECOVERY


def may_notice(noticed: Sequence[datetime], *, now: datetime) -> bool:
    """Return whether people may be told once more: a flapping provider must not wake anybody all night."""
    return sum(now - at < _HOUR for at in noticed) < NOTICES_AN_HOUR


@dataclass(frozen=True, slots=True)
class Opening:
    """What a check that has become `status` opens: how bad that is, and what it is called."""

    title: str
    cause: str
    severity: int


def opening(name: str, category: str, status: str) -> Opening:
    """Return the incident that such a status of `name` is. Down and slow are grades of one cause: its category."""
    webhooks = category == "webhooks"
    match status:
        case "down" if webhooks:
            return Opening(f"Deliveries of {name} are refused", category, 2)
        case "down":
            return Opening(f"{name} does not answer", category, 2)
        case "flapping":
            return Opening(f"{name} works on and off", category, 3)
        case _:
            return Opening(f"{name} is slow or fails now and then", category, 3)


def impact_of(risk: AtRisk | None) -> str | None:
    """Return what waits because of an incident, in words."""
    if risk is None or not risk.payments:
        return None
    return f"{risk.payments} payment{'' if risk.payments == 1 else 's'} wait{'s' if risk.payments == 1 else ''}"


def duration_words(seconds: float) -> str:
    """Return a length of time as an owner says it."""
    minutes = round(seconds / 60)
    if minutes < 1:
        return "less than a minute"
    if minutes < 120:
        return f"{minutes} minute{'' if minutes == 1 else 's'}"
    return f"{round(minutes / 60)} hours"


def prevention_key(incident_id: str) -> str:
    """Return the dedupe key under which the prevention task is asked for."""
    return f"prevention:{incident_id}"


def incident_of(dedupe_key: str | None) -> str | None:
    """Return the incident whose prevention task has this dedupe key, if any."""
    prefix, _, incident_id = (dedupe_key or "").partition(":")
    return identity(incident_id) if prefix == "prevention" else None


def identity(told: str | None) -> str | None:
    """Return what somebody else called an incident, if it can be one's id at all."""
    return told if told is not None and _ID.fullmatch(told) else None
