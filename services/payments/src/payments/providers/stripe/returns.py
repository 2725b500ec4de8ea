"""What takes money back at Stripe: refunds, disputes and credit notes.

A refund is the same in all versions. A dispute carries its balance transactions whole (none, one or two), or, where
they are named only, their ids. A credit note's tax stands in `tax_amounts` before basil, in `total_taxes` from it on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from payments.collection.facts import (
    CreditNoteTold,
    DisputeStatus,
    DisputeTold,
    Fact,
    RefundOutcome,
    RefundTold,
)
from payments.collection.objects import CHARGE, CREDIT_NOTE, DISPUTE, INTENT, INVOICE, REFUND, Key
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
    objects,
    reference_or_none,
    text,
    text_or_none,
    truth_or_none,
    words_or_none,
)
from payments.providers.stripe.balance import entry
from payments.providers.stripe.payments import Source

_REFUNDS: Final[Mapping[str, RefundOutcome]] = {
    "pending": "pending",
    "requires_action": "pending",
    "succeeded": "paid",
    "failed": "failed",
    "canceled": "canceled",
}
_DISPUTES: Final[Mapping[str, DisputeStatus]] = {
    "warning_needs_response": "inquiry",
    "warning_under_review": "inquiry",
    "warning_closed": "inquiry_closed",
    "needs_response": "open",
    "under_review": "open",
    "won": "won",
    "lost": "lost",
    "prevented": "prevented",
}


def refund(source: Source, given: Given, outcome: RefundOutcome | None = None) -> RefundTold:
    """Return what a refund tells. `outcome` is the event's where its type says it; else its status counts.

    Versions before 2022 may show no status: such a refund was paid at once.
    """
    status = text_or_none(given, "status")
    return RefundTold(
        told=source.told,
        refund=source.own(REFUND, given),
        outcome=outcome or _REFUNDS.get(status or "succeeded", "pending"),
        amount_minor=amount(given, "amount"),
        currency=currency(given),
        created_at=instant(given, "created"),
        payment=source.key(CHARGE, reference_or_none(given, "charge")),
        intent=source.key(INTENT, reference_or_none(given, "payment_intent")),
        reason=words_or_none(given, "reason"),
        failure=words_or_none(given, "failure_reason"),
    )


def dispute(source: Source, given: Given) -> Iterator[Fact]:
    """Yield what a dispute tells, then the balance transactions that it carries whole."""
    status = text(given, "status")
    if status not in _DISPUTES:
        # A status that is not known yet is one of a dispute that goes on: what moved stands in its entries.
        status = "warning_needs_response" if status.startswith("warning_") else "needs_response"
    details = object_or_none(given, "evidence_details") or {}
    key = source.own(DISPUTE, given)
    listed = given.get("balance_transactions")
    named = [each for each in listed if isinstance(each, str)] if isinstance(listed, list) else []
    single = reference_or_none(given, "balance_transaction")
    whole = objects(given, "balance_transactions")
    ids = {*named, *(text(each, "id") for each in whole), *([single] if single else [])}
    yield DisputeTold(
        told=source.told,
        dispute=key,
        status=_DISPUTES[status],
        amount_minor=amount(given, "amount"),
        currency=currency(given),
        created_at=instant(given, "created"),
        charge=source.key(CHARGE, reference_or_none(given, "charge")),
        intent=source.key(INTENT, reference_or_none(given, "payment_intent")),
        reason=words_or_none(given, "reason"),
        refundable=truth_or_none(given, "is_charge_refundable") or False,
        evidence_due_at=instant_or_none(details, "due_by"),
        entries=tuple(sorted(ids)),
    )
    for each in whole:
        yield entry(source, each, of=key)


def credit_note(source: Source, given: Given) -> CreditNoteTold:
    """Return what a credit note tells. What of it a refund pays, or was paid outside Stripe, is no credit."""
    total = amount(given, "total")
    refunded = sum(amount_or_none(each, "amount_refunded") or 0 for each in objects(given, "refunds"))
    if refunded == 0 and reference_or_none(given, "refund"):
        # Before basil the note names its refund and not the amount: all that was not credited otherwise.
        refunded = total
    refunded += amount_or_none(given, "out_of_band_amount") or 0
    if refunded > total:
        raise UnreadableError(UnreadableReason.BAD_AMOUNT, "more is refunded than the credit note is worth")
    invoice = reference_or_none(given, "invoice") or text(given, "invoice")
    return CreditNoteTold(
        told=source.told,
        credit_note=source.own(CREDIT_NOTE, given),
        invoice=Key("stripe", source.account, INVOICE, invoice),
        voided=text_or_none(given, "status") == "void" or source.told.type == "credit_note.voided",
        total_minor=total,
        currency=currency(given),
        created_at=instant(given, "created"),
        gst_minor=_tax(given, total),
        refunded_minor=refunded,
        number=text_or_none(given, "number"),
        voided_at=instant_or_none(given, "voided_at"),
        reason=words_or_none(given, "reason"),
    )


def _tax(given: Given, total: int) -> int | None:
    for name in ("total_taxes", "tax_amounts"):
        listed = objects(given, name)
        if listed:
            tax = sum(amount(each, "amount") for each in listed)
            if tax > total:
                raise UnreadableError(UnreadableReason.BAD_AMOUNT, "the tax is greater than the total")
            return tax
    return None
