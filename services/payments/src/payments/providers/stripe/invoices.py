"""Invoices and invoice payments.

Before basil an invoice names its PaymentIntent and charge, and its tax in `tax` and `total_tax_amounts`. From basil
on it names neither (unless `payments` is expanded), its tax stands in `total_taxes`, and an invoice payment joins it
to what paid it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from payments.collection.facts import InvoiceOutcome, InvoicePaymentTold, InvoiceTold
from payments.collection.objects import CHARGE, CUSTOMER, INTENT, INVOICE, INVOICE_PAYMENT, Key
from payments.deliveries.domain import UnreadableReason
from payments.providers.fields import (
    Given,
    UnreadableError,
    amount,
    amount_or_none,
    currency,
    instant,
    instant_or_none,
    object_or_none,
    reference_or_none,
    text,
    text_or_none,
    truth_or_none,
)
from payments.providers.stripe.payments import Source
from payments.providers.stripe.versions import Shape

_ENDS: Final[Mapping[str, str]] = {"voided": "voided_at", "uncollectible": "marked_uncollectible_at"}
Payers = tuple[tuple[Key, ...], tuple[Key, ...]]


def invoice(source: Source, given: Given, outcome: InvoiceOutcome) -> InvoiceTold:
    """Return what a finalised invoice tells. Each event of this kind proves that the invoice was issued."""
    total, due = amount(given, "total"), amount(given, "amount_due")
    moments = object_or_none(given, "status_transitions") or {}
    intents, charges = _PAYERS[source.shape](source, given)
    return InvoiceTold(
        told=source.told,
        invoice=source.own(INVOICE, given),
        outcome=outcome,
        total_minor=total,
        due_minor=due,
        currency=currency(given),
        issued_at=instant_or_none(moments, "finalized_at") or instant(given, "created"),
        stated_tax_minor=_stated_tax(source.shape, given, total),
        out_of_band_minor=_out_of_band(given, due) if outcome == "paid" else 0,
        number=text_or_none(given, "number"),
        customer=source.key(CUSTOMER, reference_or_none(given, "customer")),
        intents=intents,
        charges=charges,
        paid_at=instant_or_none(moments, "paid_at") if outcome == "paid" else None,
        ended_at=instant_or_none(moments, _ENDS[outcome]) if outcome in _ENDS else None,
        due_at=instant_or_none(given, "due_date"),
        provider_retries=True if outcome == "payment_failed" and given.get("next_payment_attempt") else None,
    )


_OUTCOMES: Final[Mapping[str, InvoiceOutcome]] = {
    "open": "finalized",
    "paid": "paid",
    "void": "voided",
    "uncollectible": "uncollectible",
}


def invoice_of_status(source: Source, given: Given) -> InvoiceTold:
    """Return what an invoice tells that is shown outside an event of its own: its status says how it stands."""
    status = text(given, "status")
    if status not in _OUTCOMES:
        raise UnreadableError(UnreadableReason.WRONG_SHAPE, "status is not one of an issued invoice")
    return invoice(source, given, _OUTCOMES[status])


def _out_of_band(given: Given, due: int) -> int:
    """Tell what was paid outside Stripe: the invoice is paid and Stripe received nothing, or says so itself."""
    paid = amount_or_none(given, "amount_paid") or 0
    if truth_or_none(given, "paid_out_of_band"):
        return max(due - paid, 0) or due
    return due if paid == 0 else 0


def _classic_payers(source: Source, given: Given) -> Payers:
    intent = source.key(INTENT, reference_or_none(given, "payment_intent"))
    charge = source.key(CHARGE, reference_or_none(given, "charge"))
    return (intent,) if intent else (), (charge,) if charge else ()


def _basil_payers(source: Source, given: Given) -> Payers:
    listed = object_or_none(given, "payments") or {}
    shown = listed.get("data")
    payments = (
        [each["payment"] for each in shown if isinstance(each, dict) and isinstance(each.get("payment"), dict)]
        if isinstance(shown, list)
        else []
    )
    intents = {source.key(INTENT, reference_or_none(each, "payment_intent")) for each in payments}
    charges = {source.key(CHARGE, reference_or_none(each, "charge")) for each in payments}
    return tuple(sorted(key for key in intents if key)), tuple(sorted(key for key in charges if key))


def _any_payers(source: Source, given: Given) -> Payers:
    classic, basil = _classic_payers(source, given), _basil_payers(source, given)
    return tuple(sorted({*classic[0], *basil[0]})), tuple(sorted({*classic[1], *basil[1]}))


_PAYERS: Final[Mapping[Shape, Callable[[Source, Given], Payers]]] = {
    Shape.CLASSIC: _classic_payers,
    Shape.BASIL: _basil_payers,
    Shape.UNKNOWN: _any_payers,
}
_TAX_LISTS: Final[Mapping[Shape, tuple[str, ...]]] = {
    Shape.CLASSIC: ("total_tax_amounts",),
    Shape.BASIL: ("total_taxes",),
    Shape.UNKNOWN: ("total_taxes", "total_tax_amounts"),
}


def _stated_tax(shape: Shape, given: Given, total: int) -> int | None:
    """Return the tax that Stripe put on the invoice; None where it put none and a setting must decide.

    A stated tax of zero (an exempt supply) is a statement too. Tax is part of the total, whatever its behaviour.
    """
    stated = None
    for name in _TAX_LISTS[shape]:
        listed = given.get(name)
        if isinstance(listed, list) and listed:
            stated = sum(amount(_item(each, name), "amount") for each in listed)
            break
    if stated is None and shape is not Shape.BASIL:
        stated = amount_or_none(given, "tax")
    if stated is not None and stated > total:
        raise UnreadableError(UnreadableReason.BAD_AMOUNT, "the tax is greater than the total")
    return stated


def _item(value: Any, name: str) -> Given:
    if not isinstance(value, dict):
        raise UnreadableError(UnreadableReason.WRONG_SHAPE, f"{name} holds something that is not an object")
    return value


def invoice_payment(source: Source, given: Given) -> InvoicePaymentTold:
    """Return which payment paid which invoice. A payment kept outside Stripe names neither intent nor charge."""
    payment = object_or_none(given, "payment") or {}
    paid = amount_or_none(given, "amount_paid")
    return InvoicePaymentTold(
        told=source.told,
        invoice_payment=source.own(INVOICE_PAYMENT, given),
        invoice=Key("stripe", source.account, INVOICE, reference_or_none(given, "invoice") or text(given, "invoice")),
        amount_minor=amount(given, "amount_requested") if paid is None else paid,
        currency=currency(given),
        intent=source.key(INTENT, reference_or_none(payment, "payment_intent")),
        charge=source.key(CHARGE, reference_or_none(payment, "charge")),
    )
