"""All that one Stripe account holds, by kind and id, in the order in which it came to be."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from simulator.stripe.objects import (
    BalanceTransaction,
    Charge,
    CreditNote,
    Customer,
    Dispute,
    Event,
    Invoice,
    InvoiceItem,
    InvoicePayment,
    Json,
    PaymentIntent,
    PaymentMethod,
    Payout,
    Refund,
)

BASIL: Final = "2025-03-31"


@dataclass(slots=True)
class Reply:
    """The answer kept for an idempotency key, with what was asked."""

    fingerprint: str
    status: int
    body: Json
    at: int


@dataclass(slots=True)
class Book:
    customers: dict[str, Customer] = field(default_factory=dict)
    payment_methods: dict[str, PaymentMethod] = field(default_factory=dict)
    charges: dict[str, Charge] = field(default_factory=dict)
    payment_intents: dict[str, PaymentIntent] = field(default_factory=dict)
    balance_transactions: dict[str, BalanceTransaction] = field(default_factory=dict)
    invoice_items: dict[str, InvoiceItem] = field(default_factory=dict)
    invoice_payments: dict[str, InvoicePayment] = field(default_factory=dict)
    invoices: dict[str, Invoice] = field(default_factory=dict)
    refunds: dict[str, Refund] = field(default_factory=dict)
    disputes: dict[str, Dispute] = field(default_factory=dict)
    payouts: dict[str, Payout] = field(default_factory=dict)
    credit_notes: dict[str, CreditNote] = field(default_factory=dict)
    events: dict[str, Event] = field(default_factory=dict)
    replies: dict[str, Reply] = field(default_factory=dict)

    def refunded(self, charge: str) -> int:
        """Return how much of a charge went back or is on its way back."""
        alive = ("pending", "succeeded")
        return sum(each.amount for each in self.refunds.values() if each.charge == charge and each.status in alive)

    def dispute_of(self, charge: str) -> Dispute | None:
        """Return the dispute of a charge, the newest of several."""
        return next((each for each in reversed(self.disputes.values()) if each.charge == charge), None)


def is_basil(api_version: str) -> bool:
    """Tell whether `api_version` has the billing shapes of 2025-03-31 and later."""
    return api_version[:10] >= BASIL
