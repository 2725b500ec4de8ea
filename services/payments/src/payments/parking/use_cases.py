"""Asking people about what stays parked, and saying so when it came right by itself."""

from __future__ import annotations

from datetime import timedelta
from typing import Final
from zoneinfo import ZoneInfo

from chassis.transaction import Draft, Transaction
from contracts.envelope import Entity, Workflow
from contracts.events import OperationalTaskRequested, OperationalTaskSettled, TaskSource
from contracts.sentences import in_words
from contracts.tasks import UNKNOWN_OBJECT

from payments.parking import store
from payments.parking.store import Parked

BILLING: Final = "Billing"
_AT_ONCE: Final = 100
_DUE_AFTER: Final = timedelta(days=2)
_WORDS: Final = {
    "awaiting customer": "nobody knows whose it is",
    "awaiting payment": "what it is about has not been told",
    "awaiting order": "the order of its events is not known",
    "awaiting review": "a refund would give back more than was paid",
    "awaiting payout": "its amount has not been told",
    "awaiting explanation": "it is not what its lines add up to",
    "came back": "it did not reach the member, who is owed it again",
}


async def look(tx: Transaction, zone: ZoneInfo, wait: timedelta) -> int:
    """Note what is parked, ask about what has been for as long as `wait`, end what is no more; returns how many."""
    changed = await store.note_new(tx.connection, tx.now, limit=_AT_ONCE)
    for each in await store.due(tx.connection, tx.now - wait, limit=_AT_ONCE):
        _ask(tx, each, zone)
        await store.asked(tx.connection, each.id, tx.now)
        changed += 1
    for over in await store.take_over(tx.connection, limit=_AT_ONCE):
        changed += 1
        if over.asked_at is not None:
            _settled(tx, over.kind, str(over.entity_id))
    return changed


def dedupe_key(entity_id: str) -> str:
    """The key under which there is at most one open task about a parked object."""
    return f"{UNKNOWN_OBJECT}:{entity_id}"


def why(waits_for: str) -> str:
    """Why something is parked, in words."""
    return "; ".join(_WORDS.get(each, each) for each in waits_for.split(", "))


def _ask(tx: Transaction, parked: Parked, zone: ZoneInfo) -> None:
    amount = ""
    if parked.amount_minor is not None and parked.currency is not None:
        amount = f" of {in_words(parked.amount_minor, parked.currency)}"
    reason = why(parked.waits_for)
    if parked.difference_minor and parked.currency is not None:
        reason = f"it is {in_words(parked.difference_minor, parked.currency)} more than its lines add up to"
    workflow = Workflow(name="unknown_object", id=parked.entity_id)
    key = dedupe_key(parked.entity_id)
    tx.emit(
        Draft(
            OperationalTaskRequested(
                dedupe_key=key,
                kind=UNKNOWN_OBJECT,
                fields={"what": f"{parked.kind} {parked.reference}{amount}"[:200]},
                queue=BILLING,
                source=TaskSource(workflow=workflow, entity=Entity(type=parked.kind, id=parked.entity_id)),
                due_on=(tx.now.astimezone(zone) + _DUE_AFTER).date(),
                note=f"{reason[:1].upper()}{reason[1:]}.",
            ),
            Entity(type="task_request", id=key),
            workflow,
            reason=reason,
        )
    )


def _settled(tx: Transaction, kind: str, entity_id: str) -> None:
    key = dedupe_key(entity_id)
    body = OperationalTaskSettled(dedupe_key=key, outcome="matched")
    workflow = Workflow(name="unknown_object", id=entity_id)
    entity = Entity(type="task_request", id=key)
    tx.emit(Draft(body, entity, workflow, reason=f"the {kind} waits for nothing any more"))
