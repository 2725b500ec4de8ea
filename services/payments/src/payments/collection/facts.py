"""Facts: what provider events, fetched objects and decisions of staff tell, one frozen value each.

A fact is about one object and names others. It is the same whatever order facts arrive in, and a set of facts is all
that the fold ever sees. `told` says who told it and when *at the provider*; it is never our clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal

from payments.collection.objects import Key

ChargeOutcome = Literal["pending", "succeeded", "failed"]
IntentOutcome = Literal["processing", "succeeded", "failed", "canceled", "requires_action"]
InvoiceOutcome = Literal["finalized", "paid", "payment_failed", "voided", "uncollectible"]
DebitAction = Literal[
    "created", "customer_approval_granted", "customer_approval_denied", "cancelled", "resubmission_requested",
    "submitted", "confirmed", "sds_settlement_delayed", "paid_out", "failed", "surcharge_fee_debited",
    "late_failure_settled", "charged_back", "chargeback_settled", "chargeback_cancelled",
]  # fmt: skip
RefundOutcome = Literal["pending", "paid", "failed", "canceled", "settled", "returned"]
DisputeStatus = Literal["inquiry", "inquiry_closed", "open", "won", "lost", "prevented"]
PayoutOutcome = Literal["created", "paid", "failed", "canceled", "reconciled", "described"]


@dataclass(frozen=True, slots=True)
class Told:
    """Which event told it: the provider's id and type, and the provider's time of it.

    A fetched object has the type `fetched` and as id whatever the reader was given; `at` is when it was read. A
    decision of staff has the name of its command as type and the command's id; `at` is when it takes effect.
    """

    event_id: str
    type: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an attempt failed, in the provider's own codes; `message` is its sentence, shortened."""

    code: str | None = None
    decline_code: str | None = None
    message: str | None = None


@dataclass(frozen=True, slots=True)
class ChargeTold:
    """A Stripe charge: one attempt, and the only Stripe object that moves money in.

    `captured_minor` is what moved: 0 for a mere authorisation. `refunded_minor` is cumulative and moves nothing: it
    says that refunds are to be read. `entry` is the id of its balance transaction, None until that is known.
    """

    told: Told
    charge: Key
    outcome: ChargeOutcome
    amount_minor: int
    captured_minor: int
    currency: str
    created_at: datetime
    intent: Key | None = None
    invoice: Key | None = None
    customer: Key | None = None
    method: str | None = None
    failure: Failure | None = None
    refunded_minor: int = 0
    entry: str | None = None


@dataclass(frozen=True, slots=True)
class IntentTold:
    """A Stripe PaymentIntent: links and describes, posts nothing. `charge` is the attempt that it speaks of."""

    told: Told
    intent: Key
    outcome: IntentOutcome
    amount_minor: int
    currency: str
    created_at: datetime
    charge: Key | None = None
    invoice: Key | None = None
    customer: Key | None = None
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class InvoiceTold:
    """A finalised Stripe invoice. `stated_tax_minor` is the tax that Stripe printed on it, None where it printed none.

    `out_of_band_minor` is what was paid outside Stripe, 0 otherwise. `provider_retries` is set where Stripe says that
    it tries again itself. `ended_at` is when it was voided or given up.
    """

    told: Told
    invoice: Key
    outcome: InvoiceOutcome
    total_minor: int
    due_minor: int
    currency: str
    issued_at: datetime
    stated_tax_minor: int | None = None
    out_of_band_minor: int = 0
    number: str | None = None
    customer: Key | None = None
    intents: tuple[Key, ...] = ()
    charges: tuple[Key, ...] = ()
    paid_at: datetime | None = None
    due_at: datetime | None = None
    provider_retries: bool | None = None
    ended_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class InvoicePaymentTold:
    """A Stripe invoice payment: from basil on the only thing that joins an invoice and a PaymentIntent."""

    told: Told
    invoice_payment: Key
    invoice: Key
    amount_minor: int
    currency: str
    intent: Key | None = None
    charge: Key | None = None


@dataclass(frozen=True, slots=True)
class DebitTold:
    """Something happened to a GoCardless payment, at `told.at` (milliseconds). It tells no amount and no customer."""

    told: Told
    debit: Key
    action: DebitAction
    cause: str | None = None
    description: str | None = None
    scheme: str | None = None
    origin: str | None = None
    reason_code: str | None = None
    will_attempt_retry: bool | None = None
    payout: str | None = None


@dataclass(frozen=True, slots=True)
class DebitDescribed:
    """A GoCardless payment as fetched: its amount, its mandate's customer, and its status when it was read."""

    told: Told
    debit: Key
    amount_minor: int
    currency: str
    status: str
    created_at: datetime
    customer: Key | None = None
    charge_date: date | None = None
    reference: str | None = None


@dataclass(frozen=True, slots=True)
class RefundTold:
    """A refund: Stripe shows it whole; a GoCardless event names it and no more, and it is described when fetched.

    `told.at` is when that became of it. `settled`: a GoCardless payout was made smaller by it, a settlement fact.
    """

    told: Told
    refund: Key
    outcome: RefundOutcome
    amount_minor: int | None = None
    currency: str | None = None
    created_at: datetime | None = None
    payment: Key | None = None
    intent: Key | None = None
    reason: str | None = None
    failure: str | None = None
    payout: str | None = None


@dataclass(frozen=True, slots=True)
class DisputeTold:
    """A Stripe dispute; what it moved stands in its balance transactions. An inquiry moves nothing.

    `status` is what the event proves: a snapshot may lag behind the type of its event.
    """

    told: Told
    dispute: Key
    status: DisputeStatus
    amount_minor: int
    currency: str
    created_at: datetime
    charge: Key | None = None
    intent: Key | None = None
    reason: str | None = None
    refundable: bool = False
    evidence_due_at: datetime | None = None
    entries: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class EntryTold:
    """A Stripe balance transaction: what one object did to the balance. Amounts are signed, the fee what was taken.

    `source` is the charge, refund, dispute or payout, None for what belongs to none (an account fee). `payout` is the
    id of the automatic payout that carried it, told by that one's listing alone.
    """

    told: Told
    entry: Key
    type: str
    category: str
    amount_minor: int
    fee_minor: int
    gst_minor: int
    currency: str
    created_at: datetime
    source: Key | None = None
    payout: str | None = None


@dataclass(frozen=True, slots=True)
class PayoutTold:
    """A payout: Stripe shows it whole; a GoCardless event names it and no more. Below zero it takes money back."""

    told: Told
    payout: Key
    outcome: PayoutOutcome
    amount_minor: int | None = None
    currency: str | None = None
    created_at: datetime | None = None
    arrives_on: date | None = None
    automatic: bool = True
    failure: str | None = None
    reference: str | None = None


@dataclass(frozen=True, slots=True)
class PayoutItem:
    """One line of a payout, in tenths of a cent, signed. `gst_tenths` is inside it. `source` is its object's id."""

    type: str
    tenths: int
    gst_tenths: int = 0
    source: str | None = None


@dataclass(frozen=True, slots=True)
class PayoutListed:
    """All lines of a payout as its provider listed them, the payout itself left out."""

    told: Told
    payout: Key
    currency: str
    items: tuple[PayoutItem, ...]


@dataclass(frozen=True, slots=True)
class CreditNoteTold:
    """A Stripe credit note. `refunded_minor` is the part that a refund pays, which is posted with that refund."""

    told: Told
    credit_note: Key
    invoice: Key
    voided: bool
    total_minor: int
    currency: str
    created_at: datetime
    gst_minor: int | None = None
    refunded_minor: int = 0
    number: str | None = None
    voided_at: datetime | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Noticed:
    """Something that moves no money: a customer, a subscription, a payment method, a mandate, a fraud warning.

    `about` is the object's kind and id and no key: nothing is grouped by it.
    """

    told: Told
    about: str
    status: str | None = None
    cause: str | None = None
    description: str | None = None
    customer: Key | None = None
    charge: Key | None = None


@dataclass(frozen=True, slots=True)
class Pointed:
    """A thin event: something happened to this object, which has to be read."""

    told: Told
    to: Key


@dataclass(frozen=True, slots=True)
class WrittenOff:
    """Staff gave up an invoice, which is `of` or implied by the payment `of`. No amount: all that is due by then."""

    told: Told
    of: Key
    amount_minor: int | None = None


@dataclass(frozen=True, slots=True)
class PaidOutside:
    """Staff received money for an invoice outside every provider, at `told.at`. `how`: cash, bank transfer, ..."""

    told: Told
    of: Key
    amount_minor: int
    currency: str
    how: str


@dataclass(frozen=True, slots=True)
class CreditApplied:
    """Staff used a member's credit to pay an invoice."""

    told: Told
    of: Key
    amount_minor: int
    currency: str


@dataclass(frozen=True, slots=True)
class Matched:
    """Two people agree whose a payment is, and what it is for: `to` is an invoice, or a payment that implies one."""

    told: Told
    payment: Key
    member_id: str
    member_name: str
    to: Key | None = None


@dataclass(frozen=True, slots=True)
class Banked:
    """A payout stood on the bank's statement at `told.at`."""

    told: Told
    payout: Key


@dataclass(frozen=True, slots=True)
class LongOverdue:
    """The clock has passed `told.at`, and what is due of an invoice had been due for twelve months by then."""

    told: Told
    of: Key


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """A decision of staff about `of` was a mistake: whatever it was, it counts no more."""

    told: Told
    of: Key
    decision: str


Decision = WrittenOff | PaidOutside | CreditApplied | LongOverdue | Matched | Banked | Withdrawn
Fact = (
    ChargeTold
    | IntentTold
    | InvoiceTold
    | InvoicePaymentTold
    | DebitTold
    | DebitDescribed
    | RefundTold
    | DisputeTold
    | EntryTold
    | PayoutTold
    | PayoutListed
    | CreditNoteTold
    | Noticed
    | Pointed
    | Decision
)
