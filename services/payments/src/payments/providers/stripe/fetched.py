"""What Stripe's API answers tell, by the kind of object that was asked for: read by the fields they have."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

from payments.collection.facts import Fact, IntentOutcome
from payments.collection.objects import (
    CHARGE,
    CREDIT_NOTE,
    DISPUTE,
    ENTRY,
    INTENT,
    INVOICE,
    INVOICE_PAYMENT,
    PAYOUT,
    REFUND,
    Key,
)
from payments.deliveries.domain import UnreadableReason
from payments.providers.fields import Given, UnreadableError, object_or_none, objects, text, text_or_none
from payments.providers.stripe.balance import entry, listing, payout
from payments.providers.stripe.invoices import invoice_of_status, invoice_payment
from payments.providers.stripe.notices import notice
from payments.providers.stripe.payments import Source, charge, charge_outcome, intent
from payments.providers.stripe.returns import credit_note, dispute, refund

_INTENTS: Final[Mapping[str, IntentOutcome]] = {
    "processing": "processing",
    "succeeded": "succeeded",
    "canceled": "canceled",
}


def read(source: Source, key: Key, given: Given) -> tuple[Fact, ...]:
    """Return what the answer for `key` tells. Raises UnreadableError for another object than was asked for."""
    shown = object_or_none(given, "payout") or {} if key.kind == PAYOUT and "items" in given else given
    reader = _READERS.get(key.kind)
    if reader is None or text(shown, "id") != key.id:
        raise UnreadableError(UnreadableReason.WRONG_SHAPE, "the answer is not what was asked for")
    return tuple(reader(source, given))


def _charge(source: Source, given: Given) -> Iterator[Fact]:
    """Yield the charge, then its balance transaction and its refunds where they were read with it."""
    told = charge(source, given, charge_outcome(given))
    yield told
    carried = given.get("balance_transaction")
    if isinstance(carried, dict):
        yield entry(source, carried, of=told.charge)
    for each in objects(given, "refunds"):
        yield refund(source, each)


def _intent(source: Source, given: Given) -> Iterable[Fact]:
    status = text(given, "status")
    if status in _INTENTS:
        return intent(source, given, _INTENTS[status])
    failed = status == "requires_payment_method" and object_or_none(given, "last_payment_error") is not None
    return intent(source, given, "failed" if failed else "requires_action")


def _invoice(source: Source, given: Given) -> Iterable[Fact]:
    draft = text_or_none(given, "status") == "draft"
    return (notice("invoice", source, given) if draft else invoice_of_status(source, given),)


def _payout(source: Source, given: Given) -> Iterable[Fact]:
    if "items" not in given:
        return (payout(source, given, "described"),)
    told = payout(source, object_or_none(given, "payout") or {}, "described")
    return (told, *listing(source, told, objects(given, "items")))


_READERS: Final[Mapping[str, Callable[[Source, Given], Iterable[Fact]]]] = {
    CHARGE: _charge,
    INTENT: _intent,
    INVOICE: _invoice,
    INVOICE_PAYMENT: lambda source, given: (invoice_payment(source, given),),
    REFUND: lambda source, given: (refund(source, given),),
    DISPUTE: dispute,
    CREDIT_NOTE: lambda source, given: (credit_note(source, given),),
    ENTRY: lambda source, given: (entry(source, given),),
    PAYOUT: _payout,
}
