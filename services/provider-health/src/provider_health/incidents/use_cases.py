"""What people do about incidents. Each step locks the incident, is guarded by its version, and is told once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final
from zoneinfo import ZoneInfo

from chassis import versions
from chassis.ids import new_id
from chassis.transaction import Transaction

from provider_health.checks.domain import ALARMING
from provider_health.incidents import queries, store, translate
from provider_health.incidents.domain import (
    AtRisk,
    Incident,
    Owner,
    WrongStateError,
    asks_for_prevention,
    impact_of,
    step,
)
from provider_health.incidents.entries import Entry, Kind
from provider_health.settings import ProviderHealthSettings

REPORTED: Final = "reported"
_DONE: Final[Mapping[str, Kind]] = {
    "acknowledged": "acknowledged",
    "mitigated": "mitigated",
    "resolved": "resolved",
}


class NoSuchIncidentError(LookupError):
    """There is no incident with this id."""

    def __init__(self, incident_id: str) -> None:
        super().__init__(f"there is no incident {incident_id}")
        self.id = incident_id


class AlreadyOpenError(Exception):
    """An incident about the same is open already."""

    def __init__(self, incident: Incident) -> None:
        super().__init__(f"the incident {incident.id} about {incident.provider} is open already")
        self.id = incident.id


class StillFailingError(Exception):
    """What the incident is about does not work yet."""

    def __init__(self, incident: Incident, status: str) -> None:
        super().__init__(f"{incident.provider} {incident.cause} is still {status}: it cannot be resolved yet")
        self.id = incident.id
        self.status = status


@dataclass(frozen=True, slots=True)
class Prevention:
    """Whom to ask for the task that prevents another incident, and by when."""

    queue: str
    due_days: int
    zone: ZoneInfo

    @classmethod
    def of(cls, settings: ProviderHealthSettings) -> Prevention:
        return cls(settings.prevention_queue, settings.prevention_due_days, ZoneInfo(settings.business_timezone))


async def report(
    tx: Transaction, *, title: str, provider: str, severity: int, impact: str | None, note: str | None
) -> Incident:
    """Open an incident that a person reports. Raises AlreadyOpenError."""
    standing = await store.gathering(tx.connection, f"{provider}:{REPORTED}")
    if standing is not None:
        raise AlreadyOpenError(standing)
    made = Incident(
        id=new_id(),
        title=title,
        provider=provider,
        cause=REPORTED,
        state="detected",
        severity=severity,
        detected_at=tx.now,
        impact=impact,
        noticed=(tx.now,),
    )
    made = with_risk(made, await store.at_risk(tx.connection, provider))
    await store.add(tx.connection, made)
    await write(tx, made, "opened", note or title, notice=True)
    tx.emit(translate.updated(None, made, "opened", reason=note))
    return made


async def acknowledge(
    tx: Transaction, incident_id: str, *, note: str | None, expected: int | None, prevention: Prevention
) -> Incident:
    """Say that somebody is on it; the first one owns it. A severe one asks for the task that prevents another."""
    before = await load(tx, incident_id, expected)
    state = step(before, "acknowledge")
    after = replace(before, state=state, owner=before.owner or Owner(tx.actor.id, tx.actor.name))
    after = await _advance(tx, before, after, note)
    if asks_for_prevention(before, "acknowledge"):
        await ask_for_prevention(tx, after, prevention)
    return after


async def mitigate(tx: Transaction, incident_id: str, *, action: str, expected: int | None) -> Incident:
    """Say what was done so that the impact ends."""
    before = await load(tx, incident_id, expected)
    return await _advance(tx, before, replace(before, state=step(before, "mitigate"), recovery_action=action), action)


async def resolve(tx: Transaction, incident_id: str, *, note: str | None, expected: int | None) -> Incident:
    """Say that it is over: a further symptom is another incident. Raises StillFailingError."""
    before = await load(tx, incident_id, expected)
    state = step(before, "resolve")
    status = await store.check_status(tx.connection, before.provider, before.cause)
    if status in ALARMING:
        raise StillFailingError(before, status)
    return await _advance(tx, before, replace(before, state=state, gathers=False, resolved_at=tx.now), note)


async def review(
    tx: Transaction,
    incident_id: str,
    *,
    decision: str,
    filters: Mapping[str, str],
    replay_ids: Sequence[str],
    expected: int | None,
) -> Incident:
    """Close an incident with what was learned.

    Raises PreventionMissingError for a severe one without its task, PreventionUnassuredError where that is nobody's.
    """
    before = await load(tx, incident_id, expected)
    state = step(before, "review", await store.prevention_of(tx.connection, before))
    after = replace(
        before,
        state=state,
        decision=decision,
        reviewed_at=tx.now,
        replay_ids=tuple(dict.fromkeys((*before.replay_ids, *replay_ids))),
        version=before.version + 1,
    )
    looked_at = {**_looked_at(before), **filters}
    counts = await queries.counts(tx.connection, after)
    await store.save(tx.connection, before, after)
    await write(tx, after, "reviewed", decision)
    tx.emit(translate.reviewed(before, after, filters=looked_at, counts=counts))
    return after


async def note(tx: Transaction, incident_id: str, *, words: str, expected: int | None) -> Incident:
    """Add an entry to the timeline."""
    before = await load(tx, incident_id, expected)
    return await change(tx, before, before, "noted", "note", words, note=words)


async def assign(
    tx: Transaction, incident_id: str, *, owner: Owner, reason: str | None, expected: int | None
) -> Incident:
    """Give an incident to somebody."""
    before = await load(tx, incident_id, expected)
    after = replace(before, owner=owner)
    return await change(tx, before, after, "assigned", "assigned", f"to {owner.name}", reason=reason)


async def escalate(
    tx: Transaction,
    incident_id: str,
    *,
    severity: int,
    reason: str,
    expected: int | None,
    prevention: Prevention,
) -> Incident:
    """Give an incident another severity; a severe one that is being worked on asks for its prevention task.

    Raises WrongStateError for one that has been reviewed: its severity is what was reviewed.
    """
    before = await load(tx, incident_id, expected)
    if before.state == "reviewed":
        raise WrongStateError(before, "change its severity")
    after = replace(before, severity=severity)
    words = f"severity {before.severity} became {severity}: {reason}"
    after = await change(tx, before, after, "escalated", "escalated", words, reason=reason)
    if after.is_severe and not before.is_severe and after.state in {"acknowledged", "mitigated", "resolved"}:
        await ask_for_prevention(tx, after, prevention)
    return after


async def name_pause(tx: Transaction, incident: Incident, pause_id: str, words: str) -> Incident:
    """Say on the timeline that automation was paused because of this incident."""
    after = replace(incident, pause_ids=(*incident.pause_ids, pause_id))
    return await change(tx, incident, after, "noted", "pause", words, note=words, reference=pause_id)


async def load(tx: Transaction, incident_id: str, expected: int | None) -> Incident:
    """The incident, locked. Raises NoSuchIncidentError and StaleVersionError."""
    found = await store.load(tx.connection, incident_id)
    if found is None:
        raise NoSuchIncidentError(incident_id)
    versions.require("incident", incident_id, expected=expected, version=found.version)
    return found


async def ask_for_prevention(tx: Transaction, incident: Incident, prevention: Prevention) -> None:
    """Ask the tasks service for the task that prevents another such incident."""
    due_on = tx.now.astimezone(prevention.zone).date() + timedelta(days=prevention.due_days)
    await write(tx, incident, "task", f"asked {prevention.queue} to prevent another, due {due_on:%d %B %Y}")
    tx.emit(translate.prevention(incident, queue=prevention.queue, due_on=due_on))


async def change(
    tx: Transaction,
    before: Incident,
    after: Incident,
    verb: str,
    kind: Kind,
    words: str,
    *,
    reason: str | None = None,
    note: str | None = None,
    reference: str | None = None,
    notice: bool = False,
) -> Incident:
    """Store a change with its entry of the timeline, and tell it."""
    after = replace(after, version=before.version + 1)
    await store.save(tx.connection, before, after)
    await write(tx, after, kind, words, reference=reference, notice=notice)
    tx.emit(translate.updated(before, after, verb, reason=reason, note=note))
    return after


async def write(
    tx: Transaction,
    incident: Incident,
    kind: Kind,
    words: str,
    *,
    reference: str | None = None,
    notice: bool = False,
) -> None:
    """Add an entry to the timeline; what it says is told by somebody else's event, or by the caller's."""
    await store.note(tx.connection, incident.id, Entry(kind, words, tx.actor, reference, notice), now=tx.now)


def with_risk(incident: Incident, risk: AtRisk | None) -> Incident:
    """The incident with the money that waits now, where that is more than ever before."""
    if risk is None or incident.is_of_a_payout or risk.amount_minor <= (incident.at_risk_minor or 0):
        return incident
    return replace(
        incident,
        impact=incident.impact if incident.cause == REPORTED and incident.impact else impact_of(risk),
        at_risk_minor=risk.amount_minor,
        at_risk_currency=risk.currency,
    )


async def _advance(tx: Transaction, before: Incident, after: Incident, words: str | None) -> Incident:
    after = with_risk(after, await store.at_risk(tx.connection, before.provider))
    return await change(tx, before, after, after.state, _DONE[after.state], words or after.state, reason=words)


def _looked_at(incident: Incident) -> dict[str, str]:
    end = incident.recovered_at or incident.resolved_at
    window = f"{incident.detected_at.isoformat()}/{end.isoformat() if end else ''}"
    return {"provider": incident.provider, "cause": incident.cause, "window": window}
