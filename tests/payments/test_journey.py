"""From a signed delivery to payment, ledger and events: the real service, the simulator's real-looking deliveries."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from contracts.events import InvoiceUpdated, MemberUpdated, PaymentProviderEventIngested
from contracts.topics import PAYMENTS_EVENTS
from payments.main import service
from payments.settings import PaymentsSettings
from simulator import samples

from tests.support.infrastructure import TemporaryDatabase
from tests.support.services import RunningService, running

STRIPE_SECRET = "whsec_only_for_tests_0001"
GOCARDLESS_SECRET = "gocardless_only_for_tests_0001"
Payments = RunningService[PaymentsSettings]


@pytest.fixture
async def payments(
    database_for: Callable[..., Awaitable[TemporaryDatabase]], kafka: str, topic_prefix: str
) -> AsyncIterator[Payments]:
    async with running(
        service,
        await database_for("payments"),
        kafka,
        topic_prefix,
        stripe_webhook_secrets=STRIPE_SECRET,
        gocardless_webhook_secrets=GOCARDLESS_SECRET,
    ) as started:
        yield started


async def deliver(payments: Payments, event: dict[str, Any]) -> int:
    body = samples.stripe_body(event)
    headers = samples.sign_stripe(body, STRIPE_SECRET, datetime.now(UTC))
    return (await payments.client.post("/webhooks/stripe", content=body, headers=headers)).status_code


async def know_mark(payments: Payments) -> None:
    given = {"name": "Mark Stevens", "customers": [{"provider": "stripe", "reference": "cus_mark"}]}
    answer = await payments.call("PUT", "/members/mark-stevens", json=given)
    assert answer.status_code == 200, answer.text


async def test_a_payment_that_fails_and_then_succeeds_is_one_payment_and_a_settled_ledger(payments: Payments) -> None:
    await know_mark(payments)
    events = samples.stripe_payment(
        "october",
        customer="cus_mark",
        amount_minor=11000,
        at=datetime.now(UTC),
        api_version=samples.BASIL,
        outcomes=("insufficient_funds", "succeed"),
    )
    assert [await deliver(payments, event) for event in events] == [200] * len(events)
    await payments.works()

    (payment,) = (await payments.get("/payments"))["items"]
    assert (payment["state"], payment["amount"]) == ("succeeded", {"amount_minor": 11000, "currency": "AUD"})
    ledger = await payments.get("/members/mark-stevens/ledger")
    assert [line["amount"]["amount_minor"] for line in ledger["lines"]] == [11000, -11000]
    assert [line["balance"]["amount_minor"] for line in ledger["lines"]] == [11000, 0]

    told = await payments.emitted(PAYMENTS_EVENTS, PaymentProviderEventIngested)
    assert len(told) == len(events)
    assert len(await payments.emitted(PAYMENTS_EVENTS, MemberUpdated)) == 1
    changes = [event.data.body["change"] for event in await payments.emitted(PAYMENTS_EVENTS, InvoiceUpdated)]
    assert changes == ["issued", "paid"]
    balances = await payments.rows(
        "SELECT account, amount_minor FROM payments.balances WHERE phase = 'posted' AND amount_minor <> 0 ORDER BY 1"
    )
    assert balances == [
        ("1200 clearing:stripe", 11000),
        ("2100 gst_payable", -1000),
        ("4100 membership_revenue", -10000),
    ]
