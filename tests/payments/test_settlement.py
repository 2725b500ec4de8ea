"""Refunds, disputes and payouts from the simulated Stripe to the ledger: what an owner sees is right to the cent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from contracts.events import PaymentProviderEventIngested, PayoutDescribed
from contracts.topics import PAYMENTS_EVENTS
from payments.main import service

from tests.payments import standing
from tests.payments.providers import NO_API, SECRETS, STRIPE_SECRET, Payments
from tests.payments.test_debits import listening
from tests.simulator.conftest import Inbox, Simulator, environment, simulator_process
from tests.support.eventually import eventually
from tests.support.infrastructure import TemporaryDatabase
from tests.support.services import running

CLEARING, RECEIVABLE = "1200 clearing:stripe", "1100 member_receivable:mark-stevens"
PAYABLE, TRANSIT, HELD = "2300 refunds_payable:mark-stevens", "1250 payout_in_transit", "1500 dispute_held:stripe"


@pytest.fixture(scope="module")
def simulated() -> Iterator[Simulator]:
    with simulator_process(environment(Inbox(url="http://127.0.0.1:9"))) as simulator:
        yield simulator


class Shop:
    """Mark's payments at Stripe, and what the service makes of them."""

    def __init__(self, simulated: Simulator, payments: Payments) -> None:
        self.simulated, self.payments = simulated, payments

    async def member(self) -> str:
        customer = await asyncio.to_thread(self.simulated.member)
        given = {"name": "Mark Stevens", "customers": [{"provider": "stripe", "reference": customer.id}]}
        answer = await self.payments.call("PUT", "/members/mark-stevens", json=given)
        assert answer.status_code == 200, answer.text
        return str(customer.id)

    async def charge(self, customer: str) -> str:
        """Take A$110.00 and return the charge's id."""
        given: Any = {"amount": 11_000, "currency": "aud", "customer": customer, "confirm": True}
        intent = await asyncio.to_thread(self.simulated.stripe.v1.payment_intents.create, given)
        return str(intent.latest_charge)

    async def do(self, method: str, path: str, body: object = None) -> Any:
        return await asyncio.to_thread(self.simulated.do, method, path, body)

    async def refund(self, charge: str, amount: int) -> str:
        given: Any = {"charge": charge, "amount": amount}
        return str((await asyncio.to_thread(self.simulated.stripe.v1.refunds.create, given)).id)

    async def settled(self) -> None:
        """Wait until every delivery was answered, and every event and object that is due was applied."""
        await asyncio.to_thread(self.simulated.flush)
        query = (
            "SELECT (SELECT count(*) FROM payments.pending_events) + (SELECT count(*) FROM payments.fetches"
            " WHERE attempts > 0 OR due_at <= now() + interval '30 seconds')"
        )
        await eventually(lambda: self.payments.rows(query), lambda rows: rows == [(0,)])

    async def balances(self) -> dict[str, int]:
        query = "SELECT account, amount_minor FROM payments.balances WHERE phase = 'posted' AND amount_minor <> 0"
        return {row[0]: row[1] for row in await self.payments.rows(query)}

    async def returns(self, charge: str) -> Any:
        (payment,) = (await self.payments.get(f"/payments?reference={charge}"))["items"]
        return await self.payments.get(f"/payments/{payment['id']}/returns")


@asynccontextmanager
async def a_shop(
    simulated: Simulator, database: TemporaryDatabase, kafka: str, topic_prefix: str
) -> AsyncIterator[Shop]:
    """The whole service beside the simulated Stripe, each telling the other."""
    simulated.do("POST", "/reset")
    given = {**SECRETS, **NO_API, "stripe_api_url": simulated.origins["stripe"], "stripe_api_key": "sk_test_backbone"}
    async with (
        running(service, database, kafka, topic_prefix, **given) as started,
        listening(started) as url,
    ):
        endpoint = {"provider": "stripe", "url": f"{url}/webhooks/stripe", "secrets": [STRIPE_SECRET]}
        simulated.do("PUT", "/endpoints", {"endpoints": [endpoint]})
        yield Shop(simulated, started)
    simulated.do("PUT", "/endpoints", {"endpoints": []})


@pytest.fixture
async def shop(
    simulated: Simulator,
    database_for: Callable[..., Awaitable[TemporaryDatabase]],
    kafka: str,
    topic_prefix: str,
) -> AsyncIterator[Shop]:
    async with a_shop(simulated, await database_for("payments"), kafka, topic_prefix) as opened:
        yield opened


async def test_a_month_with_a_partial_refund_is_paid_out_and_reconciled_to_the_cent(shop: Shop) -> None:
    charge = await shop.charge(await shop.member())
    await shop.refund(charge, 5_000)
    payout = await shop.do("POST", "/stripe/payouts")
    await shop.do("POST", f"/stripe/payouts/{payout['id']}/actions", {"action": "arrive"})
    await shop.settled()

    assert await shop.balances() == {
        TRANSIT: 5_783,
        "1400 gst_input_credits": 20,
        "2100 gst_payable": -545,
        "4100 membership_revenue": -10_000,
        "4190 refunds_allowances": 4_545,
        "5100 provider_fees": 197,
    }
    (shown,) = (await shop.payments.get("/payouts"))["items"]
    assert (shown["state"], shown["amount"]["amount_minor"]) == ("paid", 5_783)
    assert (shown["listed_minor"], shown["difference"]) == ("5783.0", {"amount_minor": 0, "currency": "AUD"})
    detail = await shop.payments.get(f"/payouts/{shown['id']}")
    assert [(line["type"], line["amount_minor"]) for line in detail["lines"]] in (
        [("charge", "10783.0"), ("refund", "-5000.0")],
        [("refund", "-5000.0"), ("charge", "10783.0")],
    )
    assert (await shop.payments.get("/payouts?unexplained=true"))["items"] == []
    (told,) = await shop.payments.emitted(PAYMENTS_EVENTS, PayoutDescribed)
    assert (told.data.body["change"], told.data.entity.id) == ("reconciled", shown["id"])
    assert (told.data.before or {})["difference_minor"] is None
    lines = (await shop.payments.get("/members/mark-stevens/ledger"))["lines"]
    assert sorted((line["words"], line["amount"]["amount_minor"]) for line in lines) == [
        ("Membership charge", 11_000),
        ("Payment by card", -11_000),
        ("Refund", -5_000),
        ("Refund paid", 5_000),
    ]
    await standing.check(shop.payments)


async def test_a_refund_that_comes_back_is_owed_again(shop: Shop) -> None:
    charge = await shop.charge(await shop.member())
    refund = await shop.refund(charge, 11_000)
    await shop.do("POST", f"/stripe/refunds/{refund}/actions", {"action": "fail"})
    await shop.settled()

    balances = await shop.balances()
    assert (balances[PAYABLE], balances[CLEARING]) == (-11_000, 11_000)
    (shown,) = (await shop.returns(charge))["refunds"]
    assert (shown["state"], shown["failure"]) == ("failed", "lost_or_stolen_card")
    told = await shop.payments.emitted(PAYMENTS_EVENTS, PaymentProviderEventIngested)
    failed = next(event.data for event in told if event.data.body["provider_event"]["type"] == "refund.failed")
    assert (failed.body["outcome"], failed.entity.type, failed.reason) == ("applied", "payment", "lost or stolen card")
    await standing.check(shop.payments)


@pytest.mark.parametrize(
    ("action", "status", "owed", "clearing"), [("win", "won", 0, 11_000), ("lose", "lost", 11_000, -2_500)]
)
async def test_a_dispute_is_held_and_then_decided(
    shop: Shop, action: str, status: str, owed: int, clearing: int
) -> None:
    charge = await shop.charge(await shop.member())
    dispute = await shop.do("POST", f"/stripe/charges/{charge}/disputes")
    await shop.settled()
    assert (await shop.balances())[HELD] == 11_000

    await shop.do("POST", f"/stripe/disputes/{dispute['id']}/actions", {"action": action})
    await shop.settled()
    balances = await shop.balances()
    assert (balances.get(HELD, 0), balances.get(RECEIVABLE, 0), balances[CLEARING]) == (0, owed, clearing)
    (shown,) = (await shop.returns(charge))["disputes"]
    assert (shown["status"], shown["held"]["amount_minor"]) == (status, 0)
    await standing.check(shop.payments)


async def test_a_thin_event_is_fetched_and_then_posted(shop: Shop) -> None:
    customer = await shop.member()
    await shop.settled()
    endpoints = (await shop.do("GET", "/endpoints"))["endpoints"]
    given = {"provider": "stripe", "url": endpoints[0]["url"], "secrets": [STRIPE_SECRET], "payload": "thin"}
    await shop.do("PUT", "/endpoints", {"endpoints": [given]})
    await shop.charge(customer)
    await shop.settled()

    balances = await shop.balances()
    assert (balances[CLEARING], balances["5100 provider_fees"]) == (10_783, 197)
    (payment,) = (await shop.payments.get("/payments"))["items"]
    assert (payment["state"], payment["member_id"]) == ("succeeded", "mark-stevens")
    await standing.check(shop.payments)
