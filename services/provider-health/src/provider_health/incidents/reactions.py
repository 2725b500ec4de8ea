"""What incidents do by themselves: they open, gather, relapse and recover with the checks, and pause what would fail.

The policy pauses collection at a payment provider whose API is down or flapping, and lifts that pause when it works
again, unless a person has taken it over (decisions/an-outage-pauses-collection.md).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta

from chassis.ids import new_id
from chassis.transaction import Transaction
from contracts.envelope import Event
from contracts.events import OperationalTaskUpdated, ReplayUpdated

from provider_health.checks.domain import ALARMING, Status
from provider_health.incidents import store, translate
from provider_health.incidents.domain import (
    Incident,
    duration_words,
    identity,
    incident_of,
    may_notice,
    opening,
    still_gathers,
)
from provider_health.incidents.entries import Kind
from provider_health.incidents.use_cases import Prevention, ask_for_prevention, change, with_risk, write
from provider_health.names import API, PAYMENT_PROVIDERS, name_of
from provider_health.pauses import use_cases as pauses
from provider_health.pauses.domain import Pause, Scope
from provider_health.pauses.use_cases import Wish

_DROPPED = frozenset({"cancelled", "entered_in_error"})
_PAUSING = frozenset({"down", "flapping"})


@dataclass(frozen=True, slots=True)
class Policy:
    """What is done without asking: `pauses` collection for `pause_lasts` while a payment provider is away.

    `prevention` says whom to ask again where a prevention task was dropped.
    """

    pauses: bool
    pause_lasts: timedelta
    prevention: Prevention


@dataclass(frozen=True, slots=True)
class Symptom:
    """A check's status has changed."""

    provider: str
    category: str
    previous: Status
    status: Status
    reason: str


async def check_changed(tx: Transaction, symptom: Symptom, policy: Policy) -> None:
    """Open, gather, relapse or recover whatever this check's status is about."""
    if symptom.status in ALARMING:
        await _alarmed(tx, symptom, policy)
    elif symptom.status == "up":
        await _recovered(tx, symptom)


async def _alarmed(tx: Transaction, symptom: Symptom, policy: Policy) -> None:
    standing = await store.gathering(tx.connection, f"{symptom.provider}:{symptom.category}")
    if standing is not None and not still_gathers(standing, now=tx.now):
        words = "it is long over: what happens now is another incident"
        await change(tx, standing, replace(standing, gathers=False), "noted", "note", words, note=words)
        standing = None
    if standing is None:
        await _opened(tx, symptom, policy)
    else:
        await _gathered(tx, standing, symptom, policy)


async def _opened(tx: Transaction, symptom: Symptom, policy: Policy) -> None:
    found = opening(name_of(symptom.provider), symptom.category, symptom.status)
    made = Incident(
        id=new_id(),
        title=found.title,
        provider=symptom.provider,
        cause=found.cause,
        state="detected",
        severity=found.severity,
        detected_at=tx.now,
        noticed=(tx.now,),
    )
    made = with_risk(made, await store.at_risk(tx.connection, symptom.provider))
    paused = await _pause(tx, made, symptom, policy)
    if paused is not None:
        made = replace(made, pause_ids=(paused.id,))
    await store.add(tx.connection, made)
    await write(tx, made, "opened", symptom.reason, notice=True)
    await _write_pause(tx, made, paused)
    tx.emit(translate.updated(None, made, "opened", reason=symptom.reason))


async def _gathered(tx: Transaction, standing: Incident, symptom: Symptom, policy: Policy) -> None:
    """Another symptom of what is known: worse, again, or only another look of it."""
    found = opening(name_of(symptom.provider), symptom.category, symptom.status)
    again, worse = standing.recovered_at is not None, found.severity < standing.severity
    notice = (again or worse) and may_notice(standing.noticed, now=tx.now)
    after = replace(
        standing,
        title=found.title if worse else standing.title,
        severity=min(standing.severity, found.severity),
        recovered_at=None,
        relapses=standing.relapses + again,
        noticed=(*standing.noticed, tx.now) if notice else standing.noticed,
    )
    after = with_risk(after, await store.at_risk(tx.connection, symptom.provider))
    paused = await _pause(tx, after, symptom, policy)
    if paused is not None:
        after = replace(after, pause_ids=(*after.pause_ids, paused.id))
    verb = "escalated" if worse else "reopened" if again else "noted"
    kind: Kind = "escalated" if worse else "relapsed" if again else "symptom"
    after = await change(tx, standing, after, verb, kind, symptom.reason, reason=symptom.reason, notice=notice)
    await _write_pause(tx, after, paused)


async def _recovered(tx: Transaction, symptom: Symptom) -> None:
    standing = await store.gathering(tx.connection, f"{symptom.provider}:{symptom.category}")
    if standing is not None and standing.recovered_at is None:
        lasted = duration_words((tx.now - standing.detected_at).total_seconds())
        notice = may_notice(standing.noticed, now=tx.now)
        after = replace(
            standing,
            recovered_at=tx.now,
            noticed=(*standing.noticed, tx.now) if notice else standing.noticed,
        )
        words = f"{symptom.reason}, after {lasted}"
        standing = await change(
            tx, standing, after, "recovered", "recovered", words, reason=symptom.reason, notice=notice
        )
    if symptom.category != API or symptom.provider not in PAYMENT_PROVIDERS:
        return
    reason = f"{name_of(symptom.provider)} answers again"
    released = await pauses.release_by_policy(tx, _scope(symptom.provider), reason=reason)
    if released is not None and standing is not None:
        await write(tx, standing, "pause", f"collection goes on: {reason}", reference=released.id)


async def _pause(tx: Transaction, incident: Incident, symptom: Symptom, policy: Policy) -> Pause | None:
    """Pause collection where the policy says so; None where it does not, or where it is paused already."""
    wanted = policy.pauses and symptom.category == API and symptom.status in _PAUSING
    if not wanted or symptom.provider not in PAYMENT_PROVIDERS:
        return None
    wish = Wish(
        scope=_scope(symptom.provider),
        mode="hold",
        reason=incident.title,
        lasts=policy.pause_lasts,
        incident_id=incident.id,
    )
    return await pauses.pause_by_policy(tx, wish)


async def _write_pause(tx: Transaction, incident: Incident, paused: Pause | None) -> None:
    if paused is not None:
        lasts = duration_words((paused.expires_at - paused.set_at).total_seconds())
        words = f"collection at {name_of(incident.provider)} is paused for {lasts} at most"
        await write(tx, incident, "pause", words, reference=paused.id)


async def pause_comes_to_its_end(tx: Transaction, pause_id: str, policy: Policy) -> None:
    """Let a pause of the policy go on while its provider is still away; end any other once its time is over.

    Does nothing where it was ended or extended meanwhile.
    """
    pause = await pauses.coming_to_its_end(tx, pause_id)
    if pause is None:
        return
    provider = pause.scope.provider
    if policy.pauses and pause.by_policy and provider is not None and pause.scope == _scope(provider):
        status = await store.check_status(tx.connection, provider, API)
        if status in _PAUSING:
            reason = f"{name_of(provider)} is still {status}"
            after = await pauses.extend_by_policy(tx, pause, lasts=policy.pause_lasts, reason=reason)
            lasts = duration_words((after.expires_at - after.anchored_at).total_seconds())
            await _note_pause(tx, after, f"collection stays paused for {lasts} at most: {reason}")
            return
    ended = await pauses.expire(tx, pause)
    if ended is not None:
        await _note_pause(tx, ended, "a pause has run out")


async def _note_pause(tx: Transaction, pause: Pause, words: str) -> None:
    """Put what became of a pause on the timeline of the incident that it is for."""
    incident = None if pause.incident_id is None else await store.load(tx.connection, pause.incident_id)
    if incident is not None:
        await write(tx, incident, "pause", words, reference=pause.id)


def _scope(provider: str) -> Scope:
    return Scope(provider, None, "collection")


async def prevention_told(tx: Transaction, event: Event[OperationalTaskUpdated], policy: Policy) -> None:
    """Learn which task prevents another incident, and what becomes of it; one that was dropped is asked for again."""
    task = event.data.body.task
    incident_id = incident_of(task.dedupe_key)
    incident = None if incident_id is None else await store.load(tx.connection, incident_id)
    if incident is None:
        return
    await store.prevention_told(tx.connection, translate.prevention_task(incident.id, event))
    because = f" with the outcome {task.outcome.code}" if task.outcome is not None else ""
    words = f"{event.data.actor.name} {event.data.body.change} the task {task.title}{because}"
    if task.state in _DROPPED:
        await _prevention_dropped(tx, incident, task.id, words, policy)
    elif incident.prevention_task_id is None:
        after = replace(incident, prevention_task_id=task.id)
        await change(tx, incident, after, "noted", "task", words, note=words, reference=task.id)
    elif incident.prevention_task_id == task.id:
        await write(tx, incident, "task", words, reference=task.id)


async def _prevention_dropped(tx: Transaction, incident: Incident, task_id: str, words: str, policy: Policy) -> None:
    """A severe incident is not closed without a task, and a cancelled one prevents nothing."""
    if incident.prevention_task_id != task_id or incident.state == "reviewed":
        await write(tx, incident, "task", words, reference=task_id)
        return
    after = replace(incident, prevention_task_id=None)
    after = await change(tx, incident, after, "noted", "task", words, note=words, reference=task_id)
    if after.is_severe:
        await ask_for_prevention(tx, after, policy.prevention)


async def replay_told(tx: Transaction, event: Event[ReplayUpdated]) -> None:
    """Put a replay that names an incident on its timeline."""
    body = event.data.body
    incident_id = identity(body.incident_id)
    incident = None if incident_id is None else await store.load(tx.connection, incident_id)
    if incident is None:
        return
    replay_id, counts = event.data.entity.id, body.counts
    words = (
        f"{event.data.actor.name} {body.change} a {'dry run of a ' if body.dry_run else ''}replay: {counts.matched} "
        f"matched, {counts.replayed} replayed, {counts.unchanged} unchanged, {counts.refused} refused, "
        f"{counts.failed} failed"
    )
    if replay_id in incident.replay_ids or incident.state == "reviewed":
        await write(tx, incident, "replay", words, reference=replay_id)
    else:
        after = replace(incident, replay_ids=(*incident.replay_ids, replay_id))
        await change(tx, incident, after, "noted", "replay", words, note=words, reference=replay_id)
