"""Charges and PaymentIntents.

A charge is one attempt and says which PaymentIntent it belongs to, in every version. Before basil both also name
their invoice. A PaymentIntent names the charge of its latest attempt; versions before 2022-11-15 carry the charges
themselves, newer ones where the field is expanded: those are charges like any other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from payments.collection.facts import ChargeOutcome, ChargeTold, Fact, Failure, IntentOutcome, IntentTold, Told
from payments.collection.objects import CHARGE, CUSTOMER, INTENT, INVOICE, Key
from payments.deliveries.domain import UnreadableReason
from payments.providers.fields import (
    Given,
    UnreadableError,
    amount,
    amount_or_none,
    currency,
    instant,
    object_or_none,
    reference_or_none,
    text,
    text_or_none,
    truth_or_none,
    words_or_none,
)
from payments.providers.stripe.versions import Shape

_OUTCOME_OF_STATUS: Final[Mapping[str, ChargeOutcome]] = {
    "pending": "pending",
    "succeeded": "succeeded",
    "failed": "failed",
}


@dataclass(frozen=True, slots=True)
class Source:
    """Where an object was read: who told it, for which account, in which shape."""

    told: Told
    account: str
    shape: Shape

    def key(self, kind: str, id_: str | None) -> Key | None:
        """Return the key of another object of the same account."""
        return Key("stripe", self.account, kind, id_) if id_ else None

    def own(self, kind: str, given: Given) -> Key:
        """Return the key of the object itself, which must have an id."""
        return Key("stripe", self.account, kind, text(given, "id"))

    def invoice(self, given: Given) -> Key | None:
        """Return the invoice that a charge or PaymentIntent names; from basil on they name none."""
        return None if self.shape is Shape.BASIL else self.key(INVOICE, reference_or_none(given, "invoice"))


def charge(source: Source, given: Given, outcome: ChargeOutcome) -> ChargeTold:
    """Return what a charge tells. `outcome` is the event's: a snapshot may lag behind the type of its event."""
    whole = amount(given, "amount")
    return ChargeTold(
        told=source.told,
        charge=source.own(CHARGE, given),
        outcome=outcome,
        amount_minor=whole,
        captured_minor=_captured(given, whole) if outcome == "succeeded" else 0,
        currency=currency(given),
        created_at=instant(given, "created"),
        intent=source.key(INTENT, reference_or_none(given, "payment_intent")),
        invoice=source.invoice(given),
        customer=source.key(CUSTOMER, reference_or_none(given, "customer")),
        method=_method(given),
        failure=_charge_failure(given) if outcome == "failed" else None,
        refunded_minor=amount_or_none(given, "amount_refunded") or 0,
        entry=reference_or_none(given, "balance_transaction"),
    )


def charge_outcome(given: Given) -> ChargeOutcome:
    """Return the outcome of a charge that is shown outside an event of its own."""
    status = text(given, "status")
    if status not in _OUTCOME_OF_STATUS:
        raise UnreadableError(UnreadableReason.WRONG_SHAPE, "status is not one of a charge")
    return _OUTCOME_OF_STATUS[status]


def _captured(given: Given, whole: int) -> int:
    """Tell what moved: an authorisation that is not captured yet is no money."""
    if truth_or_none(given, "captured") is False:
        return 0
    captured = amount_or_none(given, "amount_captured")
    if captured is None:
        return whole
    if captured > whole:
        raise UnreadableError(UnreadableReason.BAD_AMOUNT, "amount_captured is greater than amount")
    return captured


def _method(given: Given) -> str | None:
    details = given.get("payment_method_details")
    return text_or_none(details, "type") if isinstance(details, dict) else None


def _charge_failure(given: Given) -> Failure:
    """Return why: the issuer's reason stands in `outcome`, Stripe's own code beside it."""
    judged = given.get("outcome")
    reason = words_or_none(judged, "reason") if isinstance(judged, dict) else None
    return Failure(words_or_none(given, "failure_code"), reason, words_or_none(given, "failure_message"))


def intent(source: Source, given: Given, outcome: IntentOutcome) -> Iterator[Fact]:
    """Yield what a PaymentIntent tells, then the charges that it carries in full.

    One that is cancelled, or waits for the customer, says nothing of the attempt that it names.
    """
    error = object_or_none(given, "last_payment_error") if outcome == "failed" else None
    attempt = reference_or_none(error, "charge") if error else None
    latest = reference_or_none(given, "latest_charge") or next(
        (text_or_none(each, "id") for each in _carried(given, "charges")), None
    )
    speaks = outcome not in ("canceled", "requires_action")
    yield IntentTold(
        told=source.told,
        intent=source.own(INTENT, given),
        outcome=outcome,
        amount_minor=amount(given, "amount"),
        currency=currency(given),
        created_at=instant(given, "created"),
        charge=source.key(CHARGE, attempt or latest) if speaks else None,
        invoice=source.invoice(given),
        customer=source.key(CUSTOMER, reference_or_none(given, "customer")),
        failure=_intent_failure(error) if error is not None else None,
    )
    for each in (*_carried(given, "charges"), *_expanded(given, "latest_charge")):
        yield charge(source, each, charge_outcome(each))


def _intent_failure(error: Given) -> Failure:
    return Failure(*(words_or_none(error, name) for name in ("code", "decline_code", "message")))


def _carried(given: Given, name: str) -> list[Mapping[str, Any]]:
    listed = given.get(name)
    data = listed.get("data") if isinstance(listed, dict) else None
    return [each for each in data if isinstance(each, dict)] if isinstance(data, list) else []


def _expanded(given: Given, name: str) -> list[Mapping[str, Any]]:
    value = given.get(name)
    return [value] if isinstance(value, dict) else []
