"""Which Stripe event types are understood, and what each tells: a type outside this table is not understood."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from payments.collection.facts import Fact, InvoiceOutcome
from payments.providers.fields import Given, text_or_none
from payments.providers.stripe.balance import payout
from payments.providers.stripe.invoices import invoice, invoice_of_status, invoice_payment
from payments.providers.stripe.notices import customer, notice
from payments.providers.stripe.payments import Source, charge, charge_outcome, intent
from payments.providers.stripe.returns import credit_note, dispute, refund

Reader = Callable[[Source, Given], Iterable[Fact]]


def _changed_invoice(source: Source, given: Given) -> Iterable[Fact]:
    """Read an invoice by its status: a draft, which may still change, is only noticed."""
    if text_or_none(given, "status") == "draft":
        return (notice("invoice", source, given),)
    return (invoice_of_status(source, given),)


def _invoice(outcome: InvoiceOutcome) -> Reader:
    return lambda source, given: (invoice(source, given, outcome),)


def _noticed(kind: str, *types: str) -> dict[str, Reader]:
    def read(source: Source, given: Given) -> Iterable[Fact]:
        return (notice(kind, source, given),)

    return dict.fromkeys(types, read)


_INVOICES: Final[Mapping[str, Reader]] = {
    # Stripe's names, some of which are also our own: spelt in two parts, so that nobody takes one for the other.
    **{
        f"invoice.{change}": reader
        for change, reader in {
            "created": _changed_invoice,
            "finalized": _invoice("finalized"),
            "finalization_failed": _changed_invoice,
            "paid": _invoice("paid"),
            "payment_succeeded": _invoice("paid"),
            "payment_failed": _invoice("payment_failed"),
            "payment_action_required": _changed_invoice,
            "overdue": _changed_invoice,
            "overpaid": _changed_invoice,
            "voided": _invoice("voided"),
            "marked_uncollectible": _invoice("uncollectible"),
            "updated": _changed_invoice,
        }.items()
    },
    "invoice_payment.paid": lambda source, given: (invoice_payment(source, given),),
    "credit_note.created": lambda source, given: (credit_note(source, given),),
    "credit_note.updated": lambda source, given: (credit_note(source, given),),
    "credit_note.voided": lambda source, given: (credit_note(source, given),),
}
_PAYMENTS: Final[Mapping[str, Reader]] = {
    "payment_intent.processing": lambda source, given: intent(source, given, "processing"),
    "payment_intent.succeeded": lambda source, given: intent(source, given, "succeeded"),
    "payment_intent.payment_failed": lambda source, given: intent(source, given, "failed"),
    "payment_intent.canceled": lambda source, given: intent(source, given, "canceled"),
    "payment_intent.requires_action": lambda source, given: intent(source, given, "requires_action"),
    "charge.pending": lambda source, given: (charge(source, given, "pending"),),
    "charge.succeeded": lambda source, given: (charge(source, given, "succeeded"),),
    "charge.failed": lambda source, given: (charge(source, given, "failed"),),
    # Money that was only held: taken at last, or let go by the card's issuer.
    "charge.captured": lambda source, given: (charge(source, given, "succeeded"),),
    "charge.expired": lambda source, given: (charge(source, given, "failed"),),
    "charge.updated": lambda source, given: (charge(source, given, charge_outcome(given)),),
    "charge.refunded": lambda source, given: (charge(source, given, "succeeded"),),
}
_RETURNS: Final[Mapping[str, Reader]] = {
    "refund.created": lambda source, given: (refund(source, given),),
    "refund.updated": lambda source, given: (refund(source, given),),
    "refund.failed": lambda source, given: (refund(source, given, "failed"),),
    "charge.refund.updated": lambda source, given: (refund(source, given),),
    "charge.dispute.created": dispute,
    "charge.dispute.updated": dispute,
    "charge.dispute.closed": dispute,
    "charge.dispute.funds_withdrawn": dispute,
    "charge.dispute.funds_reinstated": dispute,
}
_PAYOUTS: Final[Mapping[str, Reader]] = {
    "payout.created": lambda source, given: (payout(source, given, "created"),),
    "payout.updated": lambda source, given: (payout(source, given),),
    "payout.paid": lambda source, given: (payout(source, given, "paid"),),
    "payout.failed": lambda source, given: (payout(source, given, "failed"),),
    "payout.canceled": lambda source, given: (payout(source, given, "canceled"),),
    "payout.reconciliation_completed": lambda source, given: (payout(source, given, "reconciled"),),
}
_NOTICES: Final[Mapping[str, Reader]] = {
    **dict.fromkeys(
        ("customer.created", "customer.updated", "customer.deleted"), lambda source, given: (customer(source, given),)
    ),
    **_noticed(
        "subscription",
        *(
            f"customer.subscription.{change}"
            for change in (
                "created", "updated", "deleted", "paused", "resumed", "trial_will_end",
                "pending_update_applied", "pending_update_expired",
            )
        ),
    ),
    **_noticed(
        "payment_method",
        *(
            f"payment_method.{change}"
            for change in ("attached", "detached", "updated", "automatically_updated", "card_automatically_updated")
        ),
    ),
    **_noticed("mandate", "mandate.updated"),
    **_noticed(
        "setup_intent",
        *(
            f"setup_intent.{change}"
            for change in ("created", "succeeded", "setup_failed", "canceled", "requires_action")
        ),
    ),
    **_noticed("early_fraud_warning", "radar.early_fraud_warning.created", "radar.early_fraud_warning.updated"),
}  # fmt: skip

READERS: Final[Mapping[str, Reader]] = {**_INVOICES, **_PAYMENTS, **_RETURNS, **_PAYOUTS, **_NOTICES}
