"""Placing and ending holds, by staff and by the clock; each beginning and each end is told once."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from chassis import versions
from chassis.ids import new_id
from chassis.transaction import Cause, Draft, Transaction
from contracts.envelope import Entity, Payload, Snapshot, Workflow
from contracts.events import HoldState as Told
from contracts.events import MemberHoldEnded, MemberHoldStarted, Named

from payments.holds import store
from payments.holds.domain import Change, Hold, HoldEnded, HoldKind, HoldStarted, end, evolve, place, tick
from payments.members import store as members


class NoSuchMemberError(Exception):
    """There is no member with this id."""


class NoSuchHoldError(Exception):
    """There is no hold with this id."""


async def start(
    tx: Transaction,
    member_id: str,
    kind: HoldKind,
    *,
    starts_at: datetime | None,
    ends_at: datetime | None,
    reason: str,
) -> Hold:
    """Put a member on hold, at once or from later on.

    Raises NoSuchMemberError, BadHoldError and OverlappingHoldError.
    """
    member = await members.load(tx.connection, member_id, lock=True)
    if member is None:
        raise NoSuchMemberError(member_id)
    planned = Hold(new_id(), member.id, member.name, kind, "planned", starts_at or tx.now, ends_at, reason)
    changes = place(planned, await store.of_member(tx.connection, member_id), now=tx.now)
    return await _save(tx, planned, changes)


async def finish(tx: Transaction, hold_id: str, *, expected: int | None, reason: str | None) -> Hold:
    """End a hold now, or withdraw one that lies ahead.

    Raises NoSuchHoldError, HoldOverError, and StaleVersionError for another version than `expected`.
    """
    hold = await store.find(tx.connection, hold_id, lock=True)
    if hold is None:
        raise NoSuchHoldError(hold_id)
    versions.require("hold", hold_id, expected=expected, version=hold.version)
    return await _save(tx, hold, end(hold, now=tx.now), reason=reason)


async def turn(tx: Transaction, *, limit: int) -> int:
    """Begin and end what the clock has reached; returns how many holds that were."""
    found = await store.due(tx.connection, now=tx.now, limit=limit)
    for hold in found:
        await _save(tx.automatically(Cause(new_id())), hold, tick(hold, now=tx.now))
    return len(found)


async def _save(tx: Transaction, hold: Hold, changes: Sequence[Change], *, reason: str | None = None) -> Hold:
    after = hold
    for change in changes:
        before, after = after, evolve(after, change)
        tx.emit(_told(before, after, change, reason))
    await store.save(tx.connection, after)
    return after


def _told(before: Hold, after: Hold, change: Change, reason: str | None) -> Draft[Payload]:
    told = Told(
        id=after.id,
        member=Named(id=after.member_id, name=after.member_name),
        kind=after.kind,
        starts_at=after.starts_at,
        ends_at=after.ends_at,
    )
    body: Payload
    why: str | None
    match change:
        case HoldStarted():
            body, why = MemberHoldStarted(hold=told), after.reason
        case HoldEnded(how, _):
            body, why = MemberHoldEnded(hold=told, how=how, condition=after.condition), reason
    return Draft(
        body,
        Entity(type="member_hold", id=after.id),
        Workflow(name="membership", id=after.member_id),
        key=after.member_id,
        before=_snapshot(before),
        after=_snapshot(after),
        reason=why,
    )


def _snapshot(hold: Hold) -> Snapshot:
    return {
        "kind": hold.kind,
        "state": hold.state,
        "starts_at": hold.starts_at.isoformat(),
        "ends_at": hold.ends_at.isoformat() if hold.ends_at else None,
    }
