"""All that one Stripe account holds, by kind and id, in the order in which it came to be."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from simulator.stripe.objects import (
    BalanceTransaction,
    Charge,
    Customer,
    Event,
    Invoice,
    InvoiceItem,
    InvoicePayment,
    Json,
    PaymentIntent,
    PaymentMethod,
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
    events: dict[str, Event] = field(default_factory=dict)
    replies: dict[str, Reply] = field(default_factory=dict)


def is_basil(api_version: str) -> bool:
    """Tell whether `api_version` has the billing shapes of 2025-03-31 and later."""
    return api_version[:10] >= BASIL
