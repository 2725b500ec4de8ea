"""What the stand-in for Stripe remembers. Times are whole seconds since 1970, amounts whole cents."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

Json = dict[str, Any]
Metadata = dict[str, str]


@dataclass(frozen=True, slots=True)
class Origin:
    """The API request that caused a change; both parts are None where Stripe acted by itself."""

    request_id: str | None = None
    idempotency_key: str | None = None


AUTOMATIC = Origin()


@dataclass(slots=True)
class Customer:
    """`outcomes` is the script for the next charges of this customer; each charge takes one."""

    id: str
    created: int
    name: str | None = None
    email: str | None = None
    phone: str | None = None
    description: str | None = None
    metadata: Metadata = field(default_factory=dict)
    default_payment_method: str | None = None
    invoice_prefix: str = ""
    next_invoice_sequence: int = 1
    outcomes: list[str] = field(default_factory=list)


@dataclass(slots=True)
class PaymentMethod:
    id: str
    created: int
    outcome: str
    type: str
    last4: str
    brand: str = "visa"
    country: str = "AU"
    bsb: str | None = None
    customer: str | None = None
    name: str | None = None
    email: str | None = None


@dataclass(slots=True)
class Charge:
    """One attempt. `outcome` names how it went or will go."""

    id: str
    created: int
    amount: int
    currency: str
    payment_intent: str
    payment_method: str
    outcome: str
    status: Literal["succeeded", "pending", "failed"]
    customer: str | None = None
    invoice: str | None = None
    description: str | None = None
    balance_transaction: str | None = None
    metadata: Metadata = field(default_factory=dict)


@dataclass(slots=True)
class PaymentIntent:
    """`settles_at` is set while a bank is working on it."""

    id: str
    created: int
    amount: int
    currency: str
    client_secret: str
    status: Literal["requires_payment_method", "requires_confirmation", "processing", "succeeded", "canceled"] = (
        "requires_payment_method"
    )
    customer: str | None = None
    invoice: str | None = None
    payment_method: str | None = None
    payment_method_types: list[str] = field(default_factory=lambda: ["card"])
    latest_charge: str | None = None
    failed: bool = False
    description: str | None = None
    setup_future_usage: str | None = None
    canceled_at: int | None = None
    cancellation_reason: str | None = None
    settles_at: int | None = None
    metadata: Metadata = field(default_factory=dict)


@dataclass(slots=True)
class BalanceTransaction:
    """One change of the balance. `payout` is the automatic payout that carried it to the bank."""

    id: str
    created: int
    amount: int
    fee: int
    tax_on_fee: int
    currency: str
    source: str
    description: str | None = None
    type: str = "charge"
    reporting_category: str = "charge"
    payout: str | None = None


@dataclass(slots=True)
class Refund:
    id: str
    created: int
    amount: int
    currency: str
    charge: str
    payment_intent: str
    status: Literal["pending", "succeeded", "failed", "canceled"] = "succeeded"
    reason: str | None = None
    failure_reason: str | None = None
    balance_transaction: str | None = None
    failure_balance_transaction: str | None = None
    metadata: Metadata = field(default_factory=dict)


@dataclass(slots=True)
class Dispute:
    """A chargeback, or an inquiry (`warning_...`), which moves no money."""

    id: str
    created: int
    amount: int
    currency: str
    charge: str
    payment_intent: str
    status: str
    reason: str
    evidence_due_by: int
    balance_transactions: list[str] = field(default_factory=list)
    evidence: Metadata = field(default_factory=dict)
    submission_count: int = 0
    metadata: Metadata = field(default_factory=dict)

    @property
    def inquiry(self) -> bool:
        return self.status.startswith("warning_")


@dataclass(slots=True)
class Payout:
    id: str
    created: int
    amount: int
    currency: str
    arrival_date: int
    automatic: bool
    balance_transaction: str
    status: Literal["pending", "in_transit", "paid", "failed", "canceled"] = "in_transit"
    reconciliation_status: Literal["not_applicable", "in_progress", "completed"] = "in_progress"
    failure_code: str | None = None
    failure_balance_transaction: str | None = None
    description: str | None = None
    metadata: Metadata = field(default_factory=dict)


@dataclass(slots=True)
class CreditNote:
    """`tax` is the GST inside `amount`. Before the invoice was paid it lowers what is due (`pre_payment`)."""

    id: str
    created: int
    invoice: str
    customer: str
    amount: int
    tax: int
    currency: str
    number: str
    type: Literal["pre_payment", "post_payment"]
    status: Literal["issued", "void"] = "issued"
    reason: str | None = None
    memo: str | None = None
    refund: str | None = None
    voided_at: int | None = None
    metadata: Metadata = field(default_factory=dict)


@dataclass(slots=True)
class InvoiceItem:
    id: str
    line: str
    created: int
    customer: str
    amount: int
    currency: str
    description: str | None = None
    invoice: str | None = None
    metadata: Metadata = field(default_factory=dict)


@dataclass(slots=True)
class InvoicePayment:
    id: str
    created: int
    invoice: str
    payment_intent: str
    amount_requested: int
    currency: str
    status: Literal["open", "paid", "canceled"] = "open"
    amount_paid: int | None = None
    paid_at: int | None = None
    canceled_at: int | None = None


@dataclass(slots=True)
class Invoice:
    """`amount_paid` stays 0 where the invoice was paid out of band; `credited` is what credit notes took off it."""

    id: str
    created: int
    customer: str
    currency: str
    status: Literal["draft", "open", "paid", "void", "uncollectible"] = "draft"
    items: list[InvoiceItem] = field(default_factory=list)
    number: str | None = None
    description: str | None = None
    subscription: str | None = None
    subscription_item: str | None = None
    price: str | None = None
    product: str | None = None
    billing_reason: str = "manual"
    collection_method: str = "charge_automatically"
    auto_advance: bool = False
    automatic_tax: bool = False
    default_payment_method: str | None = None
    payment_intent: str | None = None
    charge: str | None = None
    payment: str | None = None
    amount_paid: int = 0
    paid_out_of_band: bool = False
    attempt_count: int = 0
    next_payment_attempt: int | None = None
    due_date: int | None = None
    period_start: int = 0
    period_end: int = 0
    finalized_at: int | None = None
    paid_at: int | None = None
    voided_at: int | None = None
    marked_uncollectible_at: int | None = None
    credited: int = 0
    metadata: Metadata = field(default_factory=dict)

    @property
    def total(self) -> int:
        return sum(item.amount for item in self.items)

    @property
    def tax(self) -> int | None:
        """GST at 10 %, included in the amounts; None where the invoice is not taxed."""
        return sum(gst_within(item.amount) for item in self.items) if self.automatic_tax else None


@dataclass(slots=True)
class Event:
    """`objects` holds what the event tells of as it was then, once for each API version that somebody listens in."""

    id: str
    type: str
    created: int
    objects: dict[str, Json]
    request_id: str | None
    idempotency_key: str | None
    previous_attributes: Json | None = None


Thing = (
    Customer
    | PaymentMethod
    | Charge
    | PaymentIntent
    | BalanceTransaction
    | InvoiceItem
    | InvoicePayment
    | Invoice
    | Refund
    | Dispute
    | Payout
    | CreditNote
)


def gst_within(amount: int) -> int:
    """Return the GST inside a price that includes it: one eleventh, half a cent up."""
    return (2 * amount + 11) // 22
