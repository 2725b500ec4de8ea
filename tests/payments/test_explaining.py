"""What a payout lists stands in the ledger, or an incident is opened about it, until it does."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from chassis.transaction import Cause
from contracts.events import PayoutDescribed
from contracts.topics import PAYMENTS_EVENTS
from payments.explaining import use_cases
from payments.explaining.jobs import PayoutWatch
from sqlalchemy import text

from tests.payments import standing
from tests.payments.providers import STRIPE_SECRET
from tests.payments.test_settlement import CLEARING, Shop, a_shop
from tests.simulator.conftest import Inbox, Simulator, environment, simulator_process
from tests.support.infrastructure import TemporaryDatabase


@pytest.fixture(scope="module")
def simulated() -> Iterator[Simulator]:
    with simulator_process(environment(Inbox(url="http://127.0.0.1:9"))) as simulator:
        yield simulator


@pytest.fixture
async def shop(
    simulated: Simulator, database_for: Callable[..., Awaitable[TemporaryDatabase]], kafka: str, topic_prefix: str
) -> AsyncIterator[Shop]:
    async with a_shop(simulated, await database_for("payments"), kafka, topic_prefix) as opened:
        yield opened


async def looks(shop: Shop, *, wait: timedelta = timedelta()) -> None:
    for _ in range(2):
        async with shop.payments.runtime.database.transaction() as tx:
            await use_cases.look(tx.automatically(Cause("payouts")), wait)


async def told(shop: Shop) -> list[Any]:
    return [each.data for each in await shop.payments.emitted(PAYMENTS_EVENTS, PayoutDescribed)]


async def paid_out(shop: Shop) -> None:
    payout = await shop.do("POST", "/stripe/payouts")
    await shop.do("POST", f"/stripe/payouts/{payout['id']}/actions", {"action": "arrive"})
    await shop.settled()


async def test_a_payment_that_was_paid_out_and_never_told_of_leaves_its_payout_unexplained(shop: Shop) -> None:
    member = await shop.member()
    (listening,) = (await shop.do("GET", "/endpoints"))["endpoints"]
    await shop.do("PUT", "/endpoints", {"endpoints": []})
    charge = await shop.charge(member)
    endpoint = {"provider": "stripe", "url": listening["url"], "secrets": [STRIPE_SECRET]}
    await shop.do("PUT", "/endpoints", {"endpoints": [endpoint]})
    await shop.charge(member)
    await paid_out(shop)
    assert [each.body["change"] for each in await told(shop)] == ["reconciled"]

    await looks(shop, wait=timedelta(hours=1))
    assert len(await told(shop)) == 1
    await looks(shop)
    unexplained = (await told(shop))[-1]
    assert (unexplained.body["change"], unexplained.body["difference"]["amount_minor"]) == ("left unexplained", 10_783)
    assert (unexplained.after["difference_minor"], unexplained.actor.kind) == (10_783, "system")

    async with shop.payments.runtime.database.transaction() as tx:  # a person has it read from its provider
        ask = "INSERT INTO payments.fetches (key, why, due_at, attempts) VALUES (:key, 'a person asked', now(), 0)"
        await tx.connection.execute(text(ask), {"key": f"stripe/self/charge/{charge}"})
    await shop.settled()
    await looks(shop)
    assert [each.body["change"] for each in await told(shop)] == ["reconciled", "left unexplained", "reconciled"]
    assert CLEARING not in await shop.balances()
    await looks(shop)
    assert len(await told(shop)) == 3
    await standing.check(shop.payments)


async def test_the_service_looks_by_itself(shop: Shop) -> None:
    assert shop.payments.part(PayoutWatch).idle_seconds == shop.payments.runtime.settings.payout_check_poll_seconds
