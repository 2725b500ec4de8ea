"""From a provider event to facts. Total: what is not understood and what cannot be used are answers, not errors."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from payments.collection.facts import Fact, Told
from payments.collection.objects import CHARGE, DEBIT, Key
from payments.deliveries.domain import ProviderEvent, Unreadable, UnreadableReason
from payments.providers.fields import UnreadableError, text
from payments.providers.gocardless.events import ACTIONS, debit, fetched
from payments.providers.reading import read_json
from payments.providers.stripe.events import READERS
from payments.providers.stripe.payments import Source, charge, charge_outcome
from payments.providers.stripe.versions import Shape, shape_of

FETCHED = "fetched"


@dataclass(frozen=True, slots=True)
class Understood:
    """What an event tells; at least one fact."""

    facts: tuple[Fact, ...]


@dataclass(frozen=True, slots=True)
class NotUnderstood:
    """A type that nothing here reads: stored, acknowledged, counted."""

    type: str


Interpretation = Understood | NotUnderstood | Unreadable


def interpret(event: ProviderEvent) -> Interpretation:
    """Return the facts of an event."""
    try:
        match event.identity.provider:
            case "stripe":
                return _stripe(event)
            case "gocardless":
                return _gocardless(event)
    except UnreadableError as error:
        return error.unreadable(event.index, event.identity.id)


def _told(event: ProviderEvent) -> Told:
    if event.created_at is None:
        raise UnreadableError(UnreadableReason.BAD_TIME, "created is missing or absurd")
    return Told(event.identity.id, event.type, event.created_at)


def _stripe(event: ProviderEvent) -> Understood | NotUnderstood:
    reader = READERS.get(event.type)
    if reader is None:
        return NotUnderstood(event.type)
    source = Source(_told(event), event.identity.account, shape_of(event.api_version))
    return Understood(tuple(reader(source, event.object)))


def _gocardless(event: ProviderEvent) -> Understood | NotUnderstood:
    action = ACTIONS.get(event.type)
    if action is None:
        return NotUnderstood(event.type)
    return Understood((debit(_told(event), event.object, action),))


def interpret_fetched(key: Key, body: bytes, *, at: datetime, reference: str) -> Understood | Unreadable:
    """Return the facts of an object that was read from its provider `at` (real time) and kept as `reference`."""
    told = Told(reference, FETCHED, at)
    try:
        given = read_json(body)
        if not isinstance(given, dict):
            raise UnreadableError(UnreadableReason.WRONG_SHAPE, "the answer is not an object")
        if key.kind == DEBIT:
            return Understood((fetched(told, key, given),))
        if key.kind == CHARGE and text(given, "id") == key.id:
            outcome = charge_outcome(given)
            return Understood((charge(Source(told, key.account, Shape.UNKNOWN), given, outcome),))
        raise UnreadableError(UnreadableReason.WRONG_SHAPE, "the answer is not what was asked for")
    except UnreadableError as error:
        return error.unreadable()
