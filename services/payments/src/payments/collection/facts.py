"""Facts: what provider events and fetched objects tell, one frozen value each.

A fact is about one object and names others. It is the same whatever order facts arrive in, and a set of facts is all
that the fold ever sees. `told` says who told it and when *at the provider*; it is never our clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal

from payments.collection.objects import Key

ChargeOutcome = Literal["pending", "succeeded", "failed"]
IntentOutcome = Literal["processing", "succeeded", "failed"]
InvoiceOutcome = Literal["finalized", "paid", "payment_failed"]
DebitAction = Literal["created", "submitted", "confirmed", "paid_out", "failed", "late_failure_settled", "charged_back"]


@dataclass(frozen=True, slots=True)
class Told:
    """Which event told it: the provider's id and type, and the provider's time of it.

    A fetched object has the type `fetched` and as id whatever the reader was given; `at` is when it was read.
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

    `captured_minor` is what moved: 0 for a mere authorisation.
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
    it tries again itself.
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


Fact = ChargeTold | IntentTold | InvoiceTold | InvoicePaymentTold | DebitTold | DebitDescribed
