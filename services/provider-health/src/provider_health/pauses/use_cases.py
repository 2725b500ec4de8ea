"""What is done with pauses: each change takes the next epoch under the head's lock and is told with it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta

from chassis import versions
from chassis.ids import new_id
from chassis.transaction import Transaction
from contracts.envelope import Event
from contracts.events import AutomationPauseAcknowledged

from provider_health.names import name_of
from provider_health.pauses import store, translate
from provider_health.pauses.domain import (
    AlreadyPausedError,
    Mode,
    Pause,
    Scope,
    Who,
    due_next,
    ended,
    extended,
    until,
)


class NoSuchPauseError(LookupError):
    """There is no pause with this id."""

    def __init__(self, pause_id: str) -> None:
        super().__init__(f"there is no pause {pause_id}")
        self.id = pause_id


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody wants to pause, how, why and for how long."""

    scope: Scope
    mode: Mode
    reason: str
    lasts: timedelta
    incident_id: str | None = None
    binds_staff: bool = False
    by_policy: bool = False


async def pause(tx: Transaction, wish: Wish) -> Pause:
    """Pause what `wish` names. Raises AlreadyPausedError and TooLongError."""
    expires_at = until(tx.now, wish.lasts)
    epoch = await store.next_epoch(tx.connection)
    standing = await store.active(tx.connection, wish.scope.text)
    if standing is not None:
        raise AlreadyPausedError(wish.scope.text, standing.id)
    made = Pause(
        id=new_id(),
        scope=wish.scope,
        mode=wish.mode,
        state="active",
        reason=wish.reason,
        who=_who(tx),
        epoch=epoch,
        set_at=tx.now,
        anchored_at=tx.now,
        expires_at=expires_at,
        incident_id=wish.incident_id,
        binds_staff=wish.binds_staff,
        by_policy=wish.by_policy,
    )
    await store.add(tx.connection, made)
    await _tell(tx, None, made, translate.PAUSED, wish.reason)
    return made


async def pause_by_policy(tx: Transaction, wish: Wish) -> Pause | None:
    """Pause what `wish` names, unless it is paused already: whoever did that knows better. None: it was."""
    try:
        return await pause(tx, replace(wish, by_policy=True))
    except AlreadyPausedError:
        return None


async def extend(tx: Transaction, pause_id: str, *, lasts: timedelta, reason: str, expected: int | None) -> Pause:
    """Give a pause a new end. Raises NoSuchPauseError, StaleVersionError, EndedError and TooLongError."""
    epoch = await store.next_epoch(tx.connection)
    before = await _load(tx, pause_id, expected)
    after = replace(extended(before, lasts, by_policy=False, now=tx.now), epoch=epoch, version=before.version + 1)
    await store.save(tx.connection, after)
    await _tell(tx, before, after, translate.EXTENDED, reason)
    return after


async def release(tx: Transaction, pause_id: str, *, reason: str, expected: int | None) -> Pause:
    """End a pause. Raises NoSuchPauseError, StaleVersionError and EndedError."""
    epoch = await store.next_epoch(tx.connection)
    before = await _load(tx, pause_id, expected)
    return await _end(tx, before, replace(ended(before, "released", now=tx.now), epoch=epoch), reason)


async def release_by_policy(tx: Transaction, scope: Scope, *, reason: str) -> Pause | None:
    """End the pause that the policy has set for this scope, unless a person has taken it over. None: there is none."""
    epoch = await store.next_epoch(tx.connection)
    standing = await store.active(tx.connection, scope.text)
    if standing is None or not standing.by_policy:
        return None
    return await _end(tx, standing, replace(ended(standing, "released", now=tx.now), epoch=epoch), reason)


async def coming_to_its_end(tx: Transaction, pause_id: str) -> Pause | None:
    """The pause, locked, if it is in force and something is to be decided about its end now.

    The head is locked too, so that what is decided may be told with the next epoch.
    """
    await store.next_epoch(tx.connection)
    found = await store.load(tx.connection, pause_id)
    due = None if found is None else due_next(found, now=found.anchored_at)
    return found if due is not None and due <= tx.now else None


async def extend_by_policy(tx: Transaction, before: Pause, *, lasts: timedelta, reason: str) -> Pause:
    """Let a pause of the policy go on, from now."""
    epoch = await store.next_epoch(tx.connection)
    after = replace(extended(before, lasts, by_policy=True, now=tx.now), epoch=epoch, version=before.version + 1)
    await store.save(tx.connection, after)
    await _tell(tx, before, after, translate.EXTENDED, reason)
    return after


async def expire(tx: Transaction, before: Pause) -> Pause | None:
    """End a pause whose time is over; None while it is not."""
    if before.expires_at > tx.now:
        return None
    epoch = await store.next_epoch(tx.connection)
    after = replace(ended(before, "expired", now=tx.now), epoch=epoch)
    return await _end(tx, before, after, "it had run out")


async def acknowledge(tx: Transaction, event: Event[AutomationPauseAcknowledged]) -> None:
    """Keep that an instance has applied every pause up to an epoch, and that it lives."""
    body = event.data.body
    await store.acknowledged(
        tx.connection,
        service=body.service,
        instance=body.instance,
        epoch=body.epoch,
        applied_at=body.applied_at,
        leased_until=event.time + timedelta(seconds=body.lease_seconds),
    )


async def _load(tx: Transaction, pause_id: str, expected: int | None) -> Pause:
    found = await store.load(tx.connection, pause_id)
    if found is None:
        raise NoSuchPauseError(pause_id)
    versions.require("pause", pause_id, expected=expected, version=found.version)
    return found


async def _end(tx: Transaction, before: Pause, after: Pause, reason: str) -> Pause:
    after = replace(after, version=before.version + 1)
    await store.save(tx.connection, after)
    change = translate.RELEASED if after.state == "released" else translate.RESUMED
    await _tell(tx, before, after, change, reason)
    return after


async def _tell(tx: Transaction, before: Pause | None, after: Pause, change: str, reason: str) -> None:
    await store.note_change(tx.connection, after, change, who=_who(tx), reason=reason, now=tx.now)
    words = after.scope.words(after.scope.provider and name_of(after.scope.provider))
    tx.emit(translate.updated(before, after, change, words=words, reason=reason))


def _who(tx: Transaction) -> Who:
    return Who(tx.actor.kind, tx.actor.id, tx.actor.name)
