"""What the stand-in for GoCardless remembers. Amounts are whole cents; fees are tenths of a cent."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Literal

Json = dict[str, Any]
Metadata = dict[str, str]


@dataclass(slots=True)
class Customer:
    """`outcomes` is the script for this customer's next debits; each debit that reaches the bank takes one."""

    id: str
    created_at: datetime
    given_name: str | None = None
    family_name: str | None = None
    company_name: str | None = None
    email: str | None = None
    phone_number: str | None = None
    address_line1: str | None = None
    city: str | None = None
    region: str | None = None
    postal_code: str | None = None
    country_code: str | None = "AU"
    language: str = "en"
    metadata: Metadata = field(default_factory=dict)
    outcomes: list[str] = field(default_factory=list)


@dataclass(slots=True)
class BankAccount:
    id: str
    created_at: datetime
    customer: str
    account_holder_name: str
    account_number_ending: str
    metadata: Metadata = field(default_factory=dict)


@dataclass(slots=True)
class Mandate:
    id: str
    created_at: datetime
    customer: str
    bank_account: str
    reference: str
    scheme: str = "becs"
    status: Literal[
        "pending_submission", "submitted", "active", "cancelled", "failed", "expired", "consumed", "blocked"
    ] = "pending_submission"
    next_step_at: datetime | None = None
    metadata: Metadata = field(default_factory=dict)


@dataclass(slots=True)
class Payment:
    """`owed_back` is money already paid out that the next payout takes back."""

    id: str
    created_at: datetime
    amount: int
    currency: str
    mandate: str
    charge_date: date
    status: Literal[
        "pending_submission",
        "submitted",
        "confirmed",
        "paid_out",
        "cancelled",
        "failed",
        "charged_back",
        "customer_approval_denied",
    ] = "pending_submission"
    description: str | None = None
    reference: str | None = None
    retry_if_possible: bool = False
    payout: str | None = None
    retries: int = 0
    will_attempt_retry: bool = False
    owed_back: Literal["late_failure", "chargeback"] | None = None
    surcharge_tenths: int = 0
    next_step_at: datetime | None = None
    metadata: Metadata = field(default_factory=dict)


@dataclass(slots=True)
class Refund:
    """`settled` once a payout was made smaller by it."""

    id: str
    created_at: datetime
    amount: int
    currency: str
    payment: str
    mandate: str
    reference: str | None = None
    status: Literal["created", "paid", "failed", "funds_returned"] = "created"
    settled: bool = False
    owed_to_us: bool = False
    metadata: Metadata = field(default_factory=dict)


@dataclass(slots=True)
class PayoutItem:
    payment: str
    type: Literal[
        "payment_paid_out",
        "payment_failed",
        "payment_charged_back",
        "payment_refunded",
        "refund",
        "refund_funds_returned",
        "gocardless_fee",
        "surcharge_fee",
    ]
    tenths: int
    refund: str | None = None


@dataclass(slots=True)
class Payout:
    id: str
    created_at: datetime
    currency: str
    reference: str
    items: list[PayoutItem] = field(default_factory=list)
    status: Literal["pending", "paid"] = "pending"

    @property
    def amount(self) -> int:
        """What reaches the bank: items summed first, rounded once."""
        return _cents(sum(item.tenths for item in self.items))

    @property
    def deducted_fees(self) -> int:
        fees = ("gocardless_fee", "surcharge_fee")
        return _cents(-sum(item.tenths for item in self.items if item.type in fees))


@dataclass(slots=True)
class Event:
    id: str
    created_at: datetime
    resource_type: str
    action: str
    links: dict[str, str]
    details: Json
    resource_metadata: Metadata


Thing = Customer | BankAccount | Mandate | Payment | Payout | Refund


@dataclass(slots=True)
class Book:
    """All that one GoCardless organisation holds, in the order in which it came to be."""

    customers: dict[str, Customer] = field(default_factory=dict)
    customer_bank_accounts: dict[str, BankAccount] = field(default_factory=dict)
    mandates: dict[str, Mandate] = field(default_factory=dict)
    payments: dict[str, Payment] = field(default_factory=dict)
    refunds: dict[str, Refund] = field(default_factory=dict)
    payouts: dict[str, Payout] = field(default_factory=dict)
    events: dict[str, Event] = field(default_factory=dict)
    made_by: dict[str, str] = field(default_factory=dict)
    last_event_at: datetime | None = None


def _cents(tenths: int) -> int:
    return (tenths + 5) // 10
