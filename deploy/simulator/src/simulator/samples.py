"""Signed events that look real, without a server: for load generators and for tests.

They are made by the same code that the running simulator uses. The same `name` gives the same ids and, for the same
`at`, the same bytes; another name gives other ids.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, Literal

import orjson

from simulator.gocardless import shapes
from simulator.gocardless.objects import Event as GoCardlessEvent
from simulator.gocardless.objects import Payment
from simulator.gocardless.organisation import Organisation
from simulator.ids import Ids
from simulator.signing import gocardless_signature, stripe_signature
from simulator.stripe import billing, disputes, payments
from simulator.stripe.account import DEFAULT_API_VERSION, Account, CardDeclinedError, render_event
from simulator.stripe.objects import Event as StripeEvent
from simulator.stripe.objects import Origin
from simulator.stripe.refunds import create as refund

Json = dict[str, Any]
BASIL: Final = DEFAULT_API_VERSION
BEFORE_BASIL: Final = "2024-06-20"
GoCardlessStep = Literal[
    "submit", "confirm", "pay_out", "fail", "charge_back", "settle", "retry", "autoretry", "cancel"
]


def stripe_payment(
    name: str,
    *,
    customer: str,
    amount_minor: int,
    at: datetime,
    currency: str = "aud",
    api_version: str = BASIL,
    outcomes: Sequence[str] = ("succeed",),
    with_invoice: bool = True,
    customer_name: str | None = None,
    connected_account: str | None = None,
) -> list[Json]:
    """Return the events of one card payment in the order in which Stripe makes them.

    Each of `outcomes` (names of simulator.stripe.outcomes.OUTCOMES) is one attempt on the same PaymentIntent, so
    `("insufficient_funds", "succeed")` fails once and then goes through. `with_invoice` makes it a month of a
    subscription: invoice.created, .finalized, .paid or .payment_failed, and invoice_payment.paid.
    """
    made: list[StripeEvent] = []
    account = Account(Ids(name), lambda: at, api_version=api_version)
    payer = account.create_customer(Origin(), customer_id=customer, name=customer_name, payment_method="pm_card_visa")
    payer.outcomes = list(outcomes)
    account.publish = made.append
    if with_invoice:
        invoice = billing.bill_period(
            account, customer, amount=amount_minor, currency=currency, description="Monthly membership"
        )
        while payer.outcomes:
            billing.collect(account, invoice)
    else:
        by = Origin(account.ids.stripe("req"), f"{name}-key")
        intent = payments.create(account, by, amount=amount_minor, currency=currency, customer=customer)
        while payer.outcomes:
            try:
                payments.confirm(account, by, intent, payer.default_payment_method)
            except CardDeclinedError:
                continue
    return [render_event(event, api_version, pending_webhooks=1, account=connected_account) for event in made]


def stripe_return(
    name: str,
    *,
    customer: str,
    amount_minor: int,
    at: datetime,
    refunds: Sequence[int] = (),
    verdict: Literal["won", "lost"] | None = None,
    api_version: str = BASIL,
) -> list[Json]:
    """Return the events of a card payment and of what takes it back, each step a minute after the one before.

    `refunds` are amounts, `verdict` how a dispute about the whole of it ends (None: there is none).
    """
    made: list[StripeEvent] = []
    minutes = itertools.count()
    now = [at]
    account = Account(Ids(name), lambda: now[0], api_version=api_version)
    payer = account.create_customer(Origin(), customer_id=customer, payment_method="pm_card_visa")
    account.publish = made.append
    by = Origin(account.ids.stripe("req"), f"{name}-key")
    intent = payments.create(account, by, amount=amount_minor, currency="aud", customer=customer)
    charge = payments.confirm(account, by, intent, payer.default_payment_method)
    steps: list[Callable[[], object]] = [
        functools.partial(refund, account, by, charge=charge.id, amount=amount) for amount in refunds
    ]
    if verdict is not None:
        steps.append(functools.partial(disputes.open_, account, charge))
        steps.append(lambda: disputes.decide(account, next(iter(account.book.disputes.values())), verdict))
    for step in steps:
        now[0] = at + timedelta(minutes=1 + next(minutes))
        step()
    return [render_event(event, api_version, pending_webhooks=1) for event in made]


def gocardless_payment(
    name: str,
    *,
    customer: str,
    amount_minor: int,
    at: datetime,
    steps: Sequence[GoCardlessStep] = ("submit", "confirm", "pay_out"),
    cause: str = "insufficient_funds",
    will_attempt_retry: bool = False,
    payment_id: str | None = None,
    metadata: dict[str, str] | None = None,
) -> list[Json]:
    """Return the events of one BECS debit: `created`, then what `steps` make happen, a millisecond apart at least.

    `fail` after `confirm` or `pay_out` is a late failure; `settle` then gives late_failure_settled (or
    chargeback_settled). The first event's `links.payment` is the payment's id.
    """
    made: list[GoCardlessEvent] = []
    organisation = Organisation(Ids(name).gocardless, lambda: at)
    payer = organisation.create_customer(customer_id=customer)
    account = organisation.create_bank_account(payer.id, account_holder_name="Mark Stevens", account_number="000123456")
    mandate = organisation.create_mandate(account)
    organisation.publish = made.append
    payment = organisation.create_payment(mandate, amount=amount_minor, payment_id=payment_id, metadata=metadata)
    for step in steps:
        _take(organisation, payment, step, cause, will_attempt_retry=will_attempt_retry)
    return [shapes.event(event) for event in made]


def _take(
    organisation: Organisation, payment: Payment, step: GoCardlessStep, cause: str, *, will_attempt_retry: bool
) -> None:
    match step:
        case "submit":
            organisation.submit(payment)
        case "confirm":
            organisation.confirm(payment)
        case "pay_out":
            organisation.pay_out([payment])
        case "fail":
            organisation.fail(payment, cause, will_attempt_retry=will_attempt_retry)
        case "charge_back":
            organisation.charge_back(payment)
        case "settle":
            organisation.settle(payment)
        case "retry" | "autoretry":
            organisation.retry(payment, by_request=step == "retry")
        case "cancel":
            organisation.cancel(payment)


def stripe_body(event: Json) -> bytes:
    """Return the bytes that Stripe sends for an event: indented by two spaces, no newline at the end."""
    return orjson.dumps(event, option=orjson.OPT_INDENT_2)


def gocardless_body(events: Sequence[Json], webhook_id: str) -> bytes:
    """Return the bytes that GoCardless sends for some events together."""
    return orjson.dumps({"events": list(events), "meta": {"webhook_id": webhook_id}})


def sign_stripe(body: bytes, secret: str | Sequence[str], at: datetime) -> dict[str, str]:
    """Return the headers of a Stripe delivery sent at `at`; several secrets sign as during a rotation."""
    secrets = [secret] if isinstance(secret, str) else secret
    return stripe_headers(stripe_signature(body, secrets, at))


def sign_gocardless(body: bytes, secret: str) -> dict[str, str]:
    """Return the headers of a GoCardless delivery."""
    return gocardless_headers(gocardless_signature(body, secret))


def stripe_headers(signature: str) -> dict[str, str]:
    """Return the headers that Stripe sends with a webhook."""
    return _json_headers("Stripe/1.0 (+https://stripe.com/docs/webhooks)") | {"Stripe-Signature": signature}


def gocardless_headers(signature: str) -> dict[str, str]:
    """Return the headers that GoCardless sends with a webhook."""
    return _json_headers("gocardless-webhook-service/1.1") | {
        "Origin": "https://api.gocardless.com",
        "Webhook-Signature": signature,
    }


@functools.cache
def _json_headers(user_agent: str) -> dict[str, str]:
    content_type = "application/json; charset=utf-8" if user_agent.startswith("Stripe") else "application/json"
    return {"Content-Type": content_type, "User-Agent": user_agent, "Accept": "*/*"}
