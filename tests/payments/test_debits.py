"""Direct debits from the provider's own events and API: a simulated GoCardless, in a process of its own, posts to the
service over HTTP, and the service reads from it what its webhooks leave out: amount and customer.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import pytest
import uvicorn
from contracts.events import PaymentProviderEventIngested
from contracts.topics import PAYMENTS_EVENTS
from payments.main import service

from tests.payments import standing
from tests.payments.providers import GOCARDLESS_SECRET, SECRETS, Payments, works
from tests.simulator.conftest import Inbox, Simulator, environment, simulator_process
from tests.support.eventually import eventually
from tests.support.infrastructure import TemporaryDatabase
from tests.support.services import running

CLEARING, RECEIVABLE = "1200 clearing:gocardless", "1100 member_receivable:mark-stevens"
BOOKED = {"4100 membership_revenue": -10000, "2100 gst_payable": -1000}
# Paid out, less a fee, and then taken back: the money is at the bank, GoCardless nets it with the next payout.
OWED_BACK = {
    CLEARING: -11000,
    "1250 payout_in_transit": 10850,
    "5100 provider_fees": 136,
    "1400 gst_input_credits": 14,
}


@pytest.fixture(scope="module")
def simulated() -> Iterator[Simulator]:
    with simulator_process(environment(Inbox(url="http://127.0.0.1:9"))) as started:
        yield started


@pytest.fixture
async def debits(
    simulated: Simulator,
    database_for: Callable[..., Awaitable[TemporaryDatabase]],
    kafka: str,
    topic_prefix: str,
) -> AsyncIterator[Debits]:
    database = await database_for("payments")
    told = {**SECRETS, "gocardless_api_url": simulated.origins["gocardless"], "gocardless_access_token": "sandbox"}
    async with running(service, database, kafka, topic_prefix, **told) as payments, listening(payments) as url:
        simulated.do("POST", "/reset")
        endpoint = {"provider": "gocardless", "url": f"{url}/webhooks/gocardless", "secrets": [GOCARDLESS_SECRET]}
        simulated.do("PUT", "/endpoints", {"endpoints": [endpoint]})
        yield Debits(simulated, payments)


@asynccontextmanager
async def listening(payments: Payments) -> AsyncIterator[str]:
    """Let the service answer on a port of its own, so that a real client can reach it."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        application = payments.runtime.application()
        server = uvicorn.Server(uvicorn.Config(application, lifespan="off", loop="none", log_config=None))
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            await serving


class Debits:
    """Mark's direct debits: what happens at GoCardless, and what the service makes of it."""

    def __init__(self, simulated: Simulator, payments: Payments) -> None:
        self.simulated, self.payments = simulated, payments

    async def mandate(self, *, known: bool = True) -> Any:
        """Mark's mandate at GoCardless; `known`: the service knows whose customer that is."""
        mandate = await asyncio.to_thread(self.simulated.mandate)
        if known:
            await self.know(mandate.links.customer)
        return mandate

    async def know(self, customer: str) -> None:
        given = {"name": "Mark Stevens", "customers": [{"provider": "gocardless", "reference": customer}]}
        answer = await self.payments.call("PUT", "/members/mark-stevens", json=given)
        assert answer.status_code == 200, answer.text

    async def collect(self, mandate: Any) -> Any:
        """Plan a debit of A$110.00."""
        return await asyncio.to_thread(self.simulated.debit, mandate)

    async def happens(self, debit: Any, *actions: str, **more: Any) -> None:
        """Let it happen at GoCardless, deliver what it tells, and let the service apply all of that."""
        for action in actions:
            await asyncio.to_thread(self.simulated.act, debit, action, **more)
        await self.settled()

    async def settled(self) -> None:
        """Wait until every delivery was answered, and every event and object it led to was applied."""
        await asyncio.to_thread(self.simulated.flush)
        query = "SELECT (SELECT count(*) FROM payments.pending_events) + (SELECT count(*) FROM payments.fetches)"
        await eventually(lambda: self.payments.rows(query), lambda rows: rows == [(0,)])

    async def dial(self, **faults: Any) -> None:
        await asyncio.to_thread(self.simulated.do, "PUT", "/faults/gocardless", faults)

    async def shown(self, debit: Any) -> dict[str, Any]:
        """The payment as staff see it."""
        (payment,) = (await self.payments.get(f"/payments?reference={debit.id}"))["items"]
        return dict(payment)

    async def balances(self, phase: str = "posted") -> dict[str, int]:
        query = "SELECT account, amount_minor FROM payments.balances WHERE phase = :phase AND amount_minor <> 0"
        return {row[0]: row[1] for row in await self.payments.rows(query, phase=phase)}

    async def journals(self) -> list[tuple[str, str, str | None]]:
        """Each journal in the order of posting: what it is, its kind, and what it takes back."""
        query = (
            "SELECT split_part(j.economic_key, ':', 1), j.kind, split_part(r.economic_key, ':', 1)"
            " FROM payments.journals AS j LEFT JOIN payments.journals AS r ON r.id = j.reverses ORDER BY j.number"
        )
        return [(row[0], row[1], row[2]) for row in await self.payments.rows(query)]


async def test_a_debit_confirms_is_paid_out_and_fails_late(debits: Debits) -> None:
    """Scenario 4: one reversal that names its original; the debt stands again."""
    debit = await debits.collect(await debits.mandate())
    await debits.settled()
    assert (await debits.shown(debit))["state"] == "created"
    assert await debits.journals() == []

    await debits.happens(debit, "submit")
    assert await debits.balances("pending") == {CLEARING: 11000, RECEIVABLE: -11000}
    assert await debits.balances() == {RECEIVABLE: 11000, **BOOKED}

    await debits.happens(debit, "confirm")
    assert await debits.balances("pending") == {}
    assert await debits.balances() == {CLEARING: 11000, **BOOKED}
    await debits.happens(debit, "pay_out")
    assert (await debits.shown(debit))["state"] == "paid_out"

    await debits.happens(debit, "late_fail", cause="insufficient_funds")
    assert (await debits.shown(debit))["state"] == "failed"
    assert await debits.balances() == {RECEIVABLE: 11000, **OWED_BACK, **BOOKED}
    assert [journal for journal in await debits.journals() if not journal[0].startswith("payout")] == [
        ("invoice", "original", None),
        ("pending", "original", None),
        ("payment", "original", None),
        ("pending_end", "reversal", "pending"),
        ("reversal", "reversal", "payment"),
    ]
    ledger = await debits.payments.get("/members/mark-stevens/ledger")
    assert [line["balance"]["amount_minor"] for line in ledger["lines"]] == [11000, 0, 11000]
    await standing.check(debits.payments)


async def test_a_debit_that_the_payer_disputes_is_charged_back(debits: Debits) -> None:
    debit = await debits.collect(await debits.mandate())
    await debits.happens(debit, "submit", "confirm", "pay_out", "charge_back")
    assert (await debits.shown(debit))["state"] == "charged_back"
    assert await debits.balances() == {RECEIVABLE: 11000, **OWED_BACK, **BOOKED}
    assert [kind for what, kind, _ in await debits.journals() if what == "reversal"] == ["reversal"]
    await standing.check(debits.payments)


async def test_repeated_and_reversed_deliveries_leave_the_same_ledger(debits: Debits) -> None:
    debit = await debits.collect(await debits.mandate())
    await debits.happens(debit, "submit", "confirm", "pay_out", "late_fail")
    expected = await debits.balances(), await debits.journals()

    deliveries = await asyncio.to_thread(debits.simulated.deliveries, provider="gocardless")
    before = await debits.payments.rows("SELECT count(*) FROM payments.provider_events")
    for delivery in reversed(deliveries):
        await asyncio.to_thread(debits.simulated.do, "POST", f"/deliveries/{delivery['id']}/resend")
    await debits.settled()
    assert (await debits.balances(), await debits.journals()) == expected
    assert await debits.payments.rows("SELECT count(*) FROM payments.provider_events") == before
    await standing.check(debits.payments)


async def test_while_the_providers_api_is_down_debits_wait_and_then_post_as_of_their_day(debits: Debits) -> None:
    mandate = await debits.mandate()
    debit = await debits.collect(mandate)
    await debits.dial(outage={"api": True, "webhooks": False})
    for action in ("submit", "confirm"):
        await asyncio.to_thread(debits.simulated.act, debit, action)
    await asyncio.to_thread(debits.simulated.flush)
    await works(debits.payments)

    query = "SELECT min(attempts), bool_and(last_error IS NOT NULL) FROM payments.fetches"
    tries = await eventually(lambda: debits.payments.rows(query), lambda rows: rows[0][0] is not None and rows[0][1])
    assert tries[0][0] >= 1
    waiting = await debits.shown(debit)
    assert (waiting["state"], waiting["amount"], waiting["awaiting"]) == ("succeeded", None, ["awaiting payment"])
    assert await debits.journals() == []

    await debits.dial()
    await debits.settled()
    posted = await debits.shown(debit)
    assert (posted["amount"], posted["awaiting"]) == ({"amount_minor": 11000, "currency": "AUD"}, [])
    assert await debits.balances() == {CLEARING: 11000, **BOOKED}
    late = "SELECT count(*) FROM payments.journals WHERE effective_at >= recorded_at"
    assert await debits.payments.rows(late) == [(0,)]
    told = await debits.payments.emitted(PAYMENTS_EVENTS, PaymentProviderEventIngested)
    confirmed = next(event for event in told if event.data.body["provider_event"]["type"] == "payments.confirmed")
    effective = "SELECT effective_at FROM payments.journals WHERE economic_key LIKE 'payment:%'"
    at = await asyncio.to_thread(_confirmed_at, debits.simulated, debit)
    assert await debits.payments.rows(effective) == [(at,)]
    assert confirmed.data.body["outcome"] == "parked"
    await standing.check(debits.payments)


def _confirmed_at(simulated: Simulator, debit: Any) -> datetime:
    """When GoCardless says that it confirmed the debit."""
    (event,) = simulated.gocardless.events.list(params={"payment": debit.id, "action": "confirmed"}).records
    return datetime.fromisoformat(event.created_at)


async def test_a_debit_of_a_customer_nobody_knows_waits_for_its_member(debits: Debits) -> None:
    mandate = await debits.mandate(known=False)
    debit = await debits.collect(mandate)
    await debits.happens(debit, "submit", "confirm")
    assert (await debits.shown(debit))["awaiting"] == ["awaiting customer"]
    assert await debits.balances() == {CLEARING: 11000, "2400 unidentified_receipts:gocardless": -11000}

    await debits.know(mandate.links.customer)
    await debits.settled()
    assert (await debits.shown(debit))["awaiting"] == []
    assert await debits.balances() == {CLEARING: 11000, **BOOKED}
    await standing.check(debits.payments)
