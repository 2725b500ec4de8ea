"""Payments and invoices as the set of facts tells them: what the fold returns.

The fold itself is in `folding.py` (one entry), with card payments, direct debits and invoices in a module each.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Final, Literal
from zoneinfo import ZoneInfo

from payments.collection.facts import (
    CreditApplied,
    DisputeStatus,
    Failure,
    LongOverdue,
    PaidOutside,
    PayoutItem,
    WrittenOff,
)
from payments.collection.objects import Key

PaymentState = Literal[
    "created", "processing", "submitted", "succeeded", "paid_out", "failed", "charged_back", "cancelled"
]
AttemptState = Literal["pending", "submitted", "succeeded", "failed", "reversed", "charged_back"]
InvoiceState = Literal["open", "paid", "void", "uncollectible"]
Awaiting = Literal["awaiting payment", "awaiting customer", "awaiting order", "awaiting review"]
RefundState = Literal["pending", "paid", "failed", "canceled", "refused"]
PayoutState = Literal["created", "paid", "failed", "canceled"]
Supply = Literal["taxable", "gst_free"]
Basis = Literal["accrual", "cash"]
_SYDNEY: Final = ZoneInfo("Australia/Sydney")


@dataclass(frozen=True, slots=True)
class Member:
    """Who a customer reference belongs to; the id is the caller's. Under another name it is the same member."""

    id: str
    name: str = field(compare=False)


Members = Mapping[Key, Member]
"""The member behind each customer key that is known."""
Held = Mapping[Key, Member | None]
"""The member with whom each payment and each invoice was saved."""


@dataclass(frozen=True, slots=True)
class Policy:
    """The settings that decide how money is booked, none of which a provider can tell.

    `implied` is what a payment without an invoice is taken to pay for, `unstated` what an invoice is taken to be
    about when Stripe states no tax on it. GST exists in the home currency alone, and only for the registered. On the
    cash `basis` it is owed once the money is in, and deferred until then. A day, such as the one by which an invoice
    is due, is a day of the business' own `zone`.
    """

    home_currency: str = "AUD"
    gst_registered: bool = True
    basis: Basis = "accrual"
    implied: Supply = "taxable"
    unstated: Supply = "taxable"
    zone: ZoneInfo = _SYDNEY


@dataclass(frozen=True, slots=True)
class Movement:
    """Money that one attempt moved in or set out to move, and what became of it.

    `subject` is the money object; `number` counts the rounds of a GoCardless payment, which re-uses one id for each
    attempt. `pending_at` to `pending_ended_at` is a direct debit's time at the bank. `reversed_at` takes back what
    moved at `succeeded_at`, and is never before it.
    """

    subject: Key
    number: int
    amount_minor: int
    currency: str
    pending_at: datetime | None = None
    pending_ended_at: datetime | None = None
    succeeded_at: datetime | None = None
    reversed_at: datetime | None = None
    charged_back: bool = False


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try to collect: a Stripe charge, or one round of a GoCardless payment."""

    id: str
    state: AttemptState
    at: datetime
    failure: Failure | None = None
    charge: Key | None = None


@dataclass(frozen=True, slots=True)
class EntryView:
    """What one object did to the balance at Stripe. Amounts are signed, the fee what was taken."""

    key: Key
    type: str
    category: str
    amount_minor: int
    fee_minor: int
    gst_minor: int
    currency: str
    at: datetime
    source: Key | None = None


@dataclass(frozen=True, slots=True)
class RefundView:
    """Money on its way back. `payment` is the payment's key, None until that is known.

    `refused`: it would give back more than its payment brought, so nothing of it is posted and a person looks at it.
    """

    key: Key
    state: RefundState
    amount_minor: int | None = None
    currency: str | None = None
    payment: Key | None = None
    created_at: datetime | None = None
    paid_at: datetime | None = None
    failed_at: datetime | None = None
    canceled_at: datetime | None = None
    failure: str | None = None


@dataclass(frozen=True, slots=True)
class DisputeView:
    """A dispute with what it moved. `lost_at` is when it was decided against us; the debt stands again then."""

    key: Key
    status: DisputeStatus
    amount_minor: int
    currency: str
    created_at: datetime
    payment: Key | None = None
    lost_at: datetime | None = None
    reason: str | None = None
    refundable: bool = False
    evidence_due_at: datetime | None = None
    entries: tuple[EntryView, ...] = ()

    @property
    def taken_minor(self) -> int:
        """What was taken for it and not given back."""
        return -sum(each.amount_minor for each in self.entries)

    @property
    def held_minor(self) -> int:
        """What the provider holds of it: nothing any more once it is lost."""
        return 0 if self.lost_at else self.taken_minor


@dataclass(frozen=True, slots=True)
class CreditNoteView:
    """What an invoice was lowered by. `credited_minor` leaves out what a refund pays."""

    key: Key
    credited_minor: int
    gst_minor: int
    at: datetime
    voided_at: datetime | None = None
    number: str | None = None


@dataclass(frozen=True, slots=True)
class PayoutView:
    """A payout; its amount is None until an object that states it is known.

    `listed_tenths` is what its lines add up to, None until they were read; `difference_minor` what the payout is more
    than them, rounded once: 0 where it is explained. Fees are set where they are told by the payout (GoCardless).
    `banked_at` is when staff found it on the bank's statement.
    """

    key: Key
    state: PayoutState
    amount_minor: int | None = None
    currency: str | None = None
    created_at: datetime | None = None
    ended_at: datetime | None = None
    arrives_on: date | None = None
    banked_at: datetime | None = None
    automatic: bool = True
    reference: str | None = None
    items: tuple[PayoutItem, ...] = ()
    listed_tenths: int | None = None
    difference_minor: int | None = None
    fee_minor: int = 0
    gst_minor: int = 0


@dataclass(frozen=True, slots=True)
class PaymentView:
    """One payment. `key` is the PaymentIntent, the charge of none, or the GoCardless payment.

    `amount_minor` is None until an object that states it is known. `movements` are what the ledger posts from.
    `failure` is why the latest attempt failed, None where the payment stands as succeeded. `owed_since` is when
    collecting began, and is set where that alone proves a debt (a direct debit that was submitted). `matched` is whose
    it is by a decision of staff.
    """

    key: Key
    state: PaymentState
    amount_minor: int | None
    currency: str | None
    created_at: datetime
    customer: Key | None = None
    member: Member | None = None
    invoice: Key | None = None
    attempts: tuple[Attempt, ...] = ()
    movements: tuple[Movement, ...] = ()
    owed_since: datetime | None = None
    failure: Failure | None = None
    late_failure: bool = False
    will_attempt_retry: bool | None = None
    method: str | None = None
    payout: str | None = None
    reference: str | None = None
    objects: frozenset[Key] = frozenset()
    awaiting: tuple[Awaiting, ...] = ()
    refunds: tuple[RefundView, ...] = ()
    disputes: tuple[DisputeView, ...] = ()
    warned: bool = False
    matched: Member | None = None


@dataclass(frozen=True, slots=True)
class InvoiceView:
    """One invoice, real or implied by a payment that came without any.

    `gst_rule` says where `gst_minor` comes from: `stated` by the provider, `inclusive_half_up` (one eleventh of the
    whole invoice, half a cent up), or `none`. `payments` are those known to be for it; the last four are decisions of
    staff, and what the clock has shown, in the order of their effect.
    """

    key: Key
    state: InvoiceState
    implied: bool
    total_minor: int
    gst_minor: int
    gst_rule: Literal["stated", "inclusive_half_up", "none"]
    currency: str
    issued_at: datetime
    number: str | None = None
    customer: Key | None = None
    member: Member | None = None
    paid_at: datetime | None = None
    due_on: date | None = None
    out_of_band_minor: int = 0
    payments: tuple[Key, ...] = ()
    voided_at: datetime | None = None
    credit_notes: tuple[CreditNoteView, ...] = ()
    written_off: tuple[WrittenOff, ...] = ()
    outside: tuple[PaidOutside, ...] = ()
    credits: tuple[CreditApplied, ...] = ()
    overdue: tuple[LongOverdue, ...] = ()

    @property
    def reference(self) -> str:
        """The words by which an owner knows it."""
        return self.number or self.key.id


@dataclass(frozen=True, slots=True)
class Fetch:
    """An object to be read from its provider, `after_seconds` from now unless it arrives before."""

    key: Key
    why: str
    after_seconds: int


@dataclass(frozen=True, slots=True)
class Group:
    """Everything that a closed set of facts tells, sorted by key, and what is still missing.

    `refunds` and `disputes` are those whose payment is not known; the others stand with their payment. `fees` are
    balance transactions with a fee that is no dispute's.
    """

    payments: tuple[PaymentView, ...] = ()
    invoices: tuple[InvoiceView, ...] = ()
    fetches: tuple[Fetch, ...] = ()
    refunds: tuple[RefundView, ...] = ()
    disputes: tuple[DisputeView, ...] = ()
    fees: tuple[EntryView, ...] = ()
    payouts: tuple[PayoutView, ...] = ()

    def payment(self, key: Key) -> PaymentView | None:
        """The payment that `key` is, or is part of."""
        return next((each for each in self.payments if key == each.key or key in each.objects), None)

    def payout(self, key: Key) -> PayoutView | None:
        """The payout with this key."""
        return next((each for each in self.payouts if key == each.key), None)

    def invoice(self, key: Key) -> InvoiceView | None:
        """The invoice with this key."""
        return next((each for each in self.invoices if key == each.key), None)
