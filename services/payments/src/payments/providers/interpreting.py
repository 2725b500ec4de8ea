"""From a provider event to facts. Total: what is not understood and what cannot be used are answers, not errors."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from payments.collection.facts import Fact, Pointed, Told
from payments.collection.objects import (
    CHARGE,
    CREDIT_NOTE,
    DEBIT,
    DISPUTE,
    ENTRY,
    INTENT,
    INVOICE,
    INVOICE_PAYMENT,
    PAYOUT,
    REFUND,
    Key,
)
from payments.deliveries.domain import OWN_ACCOUNT, ProviderEvent, Unreadable, UnreadableReason
from payments.providers.fields import Given, UnreadableError, object_or_none, text, text_or_none
from payments.providers.gocardless import events as gocardless
from payments.providers.gocardless import fetched as gocardless_fetched
from payments.providers.reading import THIN, read_json
from payments.providers.stripe import fetched as stripe_fetched
from payments.providers.stripe.events import READERS
from payments.providers.stripe.payments import Source
from payments.providers.stripe.versions import Shape, shape_of

FETCHED: Final = "fetched"
_POINTED: Final[Mapping[str, str]] = {
    "charge": CHARGE,
    "payment_intent": INTENT,
    "invoice": INVOICE,
    "invoice_payment": INVOICE_PAYMENT,
    "refund": REFUND,
    "dispute": DISPUTE,
    "credit_note": CREDIT_NOTE,
    "payout": PAYOUT,
    "balance_transaction": ENTRY,
}
_GOCARDLESS: Final[Mapping[str, Callable[[Told, Key, Given], Iterable[Fact]]]] = {
    DEBIT: lambda told, key, given: (gocardless_fetched.payment(told, key, given),),
    REFUND: lambda told, key, given: (gocardless_fetched.refund(told, key, given),),
    PAYOUT: gocardless_fetched.payout,
}


@dataclass(frozen=True, slots=True)
class Understood:
    """What an event tells; at least one fact."""

    facts: tuple[Fact, ...]


@dataclass(frozen=True, slots=True)
class NotUnderstood:
    """A type that nothing here reads: stored, acknowledged, counted."""

    type: str


Interpretation = Understood | NotUnderstood | Unreadable


def interpret(
    event: ProviderEvent, *, livemode: bool = False, accounts: Collection[str] | None = None
) -> Interpretation:
    """Return the facts of an event. What is live tells nothing to a set-up that is not, and the other way round.

    `accounts` are the connected accounts at Stripe whose money is ours; None: whatever account there is.
    """
    try:
        if event.identity.livemode is not livemode:
            kind = "live" if event.identity.livemode else "a test"
            raise UnreadableError(UnreadableReason.WRONG_MODE, f"the event is {kind}, this set-up is not")
        ours = accounts is None or event.identity.account in {OWN_ACCOUNT, *accounts}
        if not ours and event.identity.provider == "stripe":
            raise UnreadableError(UnreadableReason.WRONG_ACCOUNT, "the event is of an account that is not ours")
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
    if event.object.get("object") == THIN:
        return _thin(event)
    reader = READERS.get(event.type)
    if reader is None:
        return NotUnderstood(event.type)
    source = Source(_told(event), event.identity.account, shape_of(event.api_version))
    return Understood(tuple(reader(source, event.object)))


def _thin(event: ProviderEvent) -> Understood | NotUnderstood:
    """Read a thin event, which names the object that it is about; what is about none that we read is not understood."""
    related = object_or_none(event.object, "related_object") or {}
    kind = _POINTED.get(text_or_none(related, "type") or "")
    if kind is None:
        return NotUnderstood(event.type)
    return Understood((Pointed(_told(event), Key("stripe", event.identity.account, kind, text(related, "id"))),))


def _gocardless(event: ProviderEvent) -> Understood | NotUnderstood:
    if event.type not in gocardless.TYPES:
        return NotUnderstood(event.type)
    return Understood(tuple(gocardless.read(_told(event), event.object)))


def interpret_fetched(key: Key, body: bytes, *, at: datetime, reference: str) -> Understood | Unreadable:
    """Return the facts of an object that was read from its provider `at` (real time) and kept as `reference`."""
    told = Told(reference, FETCHED, at)
    try:
        given = read_json(body)
        if not isinstance(given, dict):
            raise UnreadableError(UnreadableReason.WRONG_SHAPE, "the answer is not an object")
        if key.provider == "gocardless":
            reader = _GOCARDLESS.get(key.kind)
            if reader is None:
                raise UnreadableError(UnreadableReason.WRONG_SHAPE, "the answer is not what was asked for")
            return Understood(tuple(reader(told, key, given)))
        return Understood(stripe_fetched.read(Source(told, key.account, Shape.UNKNOWN), key, given))
    except UnreadableError as error:
        return error.unreadable()
