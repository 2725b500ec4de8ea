"""Deliveries as the providers make them: real-looking, really signed."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import httpx
from payments.settings import PaymentsSettings
from simulator import samples

from tests.support.eventually import eventually
from tests.support.services import RunningService

STRIPE_SECRET: Final = "whsec_only_for_tests_0001"
GOCARDLESS_SECRET: Final = "gocardless_only_for_tests_0001"
SECRETS: Final = {
    "stripe_webhook_secrets": STRIPE_SECRET,
    "gocardless_webhook_secrets": GOCARDLESS_SECRET,
}
# Nothing answers there: no test asks a provider on the network.
NO_API: Final = {"stripe_api_url": "http://127.0.0.1:1", "gocardless_api_url": "http://127.0.0.1:1"}
Payments = RunningService[PaymentsSettings]


def card_payment(name: str, *, version: str = samples.BASIL, **given: Any) -> list[dict[str, Any]]:
    """The events of one card payment of Mark's, in the order in which Stripe makes them."""
    given = {"customer": "cus_mark", "amount_minor": 11000, "at": datetime.now(UTC), **given}
    return samples.stripe_payment(name, api_version=version, **given)


def charge_succeeded(name: str, **given: Any) -> dict[str, Any]:
    """One event that moves money by itself."""
    events = card_payment(name, with_invoice=False, outcomes=("succeed",), **given)
    return next(event for event in events if event["type"] == "charge.succeeded")


def stripe_headers(body: bytes, secret: str = STRIPE_SECRET, at: float | None = None) -> dict[str, str]:
    moment = datetime.fromtimestamp(time.time() if at is None else at, UTC)
    return dict(samples.sign_stripe(body, secret, moment))


def gocardless_headers(body: bytes, secret: str = GOCARDLESS_SECRET) -> dict[str, str]:
    return dict(samples.sign_gocardless(body, secret))


async def post(payments: Payments, provider: str, body: bytes, headers: Mapping[str, Any]) -> httpx.Response:
    return await payments.client.post(f"/webhooks/{provider}", content=body, headers=dict(headers))


async def deliver(payments: Payments, *events: dict[str, Any]) -> list[int]:
    """Post Stripe events one by one, rightly signed; returns the answers."""
    answers = []
    for event in events:
        body = samples.stripe_body(event)
        answers.append((await post(payments, "stripe", body, stripe_headers(body))).status_code)
    return answers


async def deliver_debits(payments: Payments, events: Sequence[dict[str, Any]], webhook_id: str = "WB1") -> int:
    """Post GoCardless events in one body, rightly signed."""
    body = samples.gocardless_body(list(events), webhook_id)
    return (await post(payments, "gocardless", body, gocardless_headers(body))).status_code


async def know_mark(payments: Payments, *, stripe: str = "cus_mark", gocardless: str = "CU_MARK") -> None:
    """Tell the service who Mark is at both providers."""
    customers = [
        {"provider": "stripe", "reference": stripe},
        {"provider": "gocardless", "reference": gocardless},
    ]
    given = {"name": "Mark Stevens", "customers": customers}
    answer = await payments.call("PUT", "/members/mark-stevens", json=given)
    assert answer.status_code == 200, answer.text


async def works(payments: Payments) -> None:
    """Wait until the worker has applied everything that was queued, fetches that are due included."""
    # A fetch that nobody has tried yet, or that is being tried for the first time; what failed waits for its turn.
    query = (
        "SELECT (SELECT count(*) FROM payments.pending_events) + (SELECT count(*) FROM payments.fetches"
        " WHERE last_error IS NULL AND (due_at <= now() OR attempts > 0))"
    )

    async def pending() -> int:
        ((rows,),) = await payments.rows(query)
        return int(rows)

    await eventually(pending, lambda rows: rows == 0)


async def counts(payments: Payments) -> dict[str, int]:
    """How many rows stand where."""
    tables = ("webhook_deliveries", "provider_events", "pending_events", "journals", "dead_letters", "payments")
    query = ", ".join(f"(SELECT count(*) FROM payments.{table})" for table in tables)
    (row,) = await payments.rows(f"SELECT {query}")
    return dict(zip(tables, row, strict=True))
