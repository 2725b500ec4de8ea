"""Refunds that staff ask for, made once by the simulated Stripe, however often the process asks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import httpx
import pytest
from contracts.events import RefundRequestUpdated
from contracts.topics import PAYMENTS_EVENTS
from payments.collection.objects import Key
from payments.providers.clients import ProviderClients
from payments.providers.refunding import Made, ProviderRefunds, RefundCall

from tests.payments import standing
from tests.payments.test_settlement import PAYABLE, Shop, a_shop
from tests.simulator.conftest import Inbox, Simulator, environment, simulator_process
from tests.support.eventually import eventually
from tests.support.infrastructure import TemporaryDatabase

REFUNDS = "SELECT state, refund IS NOT NULL, told FROM payments.refund_requests ORDER BY id"


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


async def asks(shop: Shop, charge: str, amount: int) -> httpx.Response:
    (payment,) = (await shop.payments.get(f"/payments?reference={charge}"))["items"]
    given = {"amount_minor": amount, "reason": "a class was cancelled"}
    return await shop.payments.call("POST", f"/payments/{payment['id']}/refunds", json=given)


async def made(shop: Shop) -> list[tuple[Any, ...]]:
    async def rows() -> list[tuple[Any, ...]]:
        return await shop.payments.rows(REFUNDS)

    found = await eventually(rows, lambda found: all(row[0] != "asked" for row in found))
    await shop.settled()
    return found


async def test_three_refunds_are_made_and_a_fourth_is_refused(shop: Shop) -> None:
    """Scenario 8: 33.33 + 33.33 + 43.34 of 110.00."""
    charge = await shop.charge(await shop.member())
    await shop.settled()
    for amount in (3_333, 3_333, 4_334):
        assert (await asks(shop, charge, amount)).status_code == 201
    fourth = await asks(shop, charge, 1)
    assert (fourth.status_code, fourth.json()["detail"]) == (
        409,
        "AUD 0.00 of this payment can still be given back: ask for no more than that.",
    )
    assert await made(shop) == [("made", True, None)] * 3

    async def given_back() -> int:
        return -(await shop.balances()).get("2100 gst_payable", 0)

    await eventually(given_back, lambda gst: gst == 0)
    assert PAYABLE not in await shop.balances()
    told = [each.data for each in await shop.payments.emitted(PAYMENTS_EVENTS, RefundRequestUpdated)]
    assert sorted(each.body["change"] for each in told) == ["asked for"] * 3 + ["made"] * 3
    assert {each.actor.name for each in told if each.body["change"] == "asked for"} == {"Maria Rossi"}
    await standing.check(shop.payments)


async def test_two_people_who_ask_at_once_get_no_more_than_there_is(shop: Shop) -> None:
    charge = await shop.charge(await shop.member())
    await shop.settled()
    answers = await asyncio.gather(*(asks(shop, charge, 6_000) for _ in range(3)))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409]
    assert await made(shop) == [("made", True, None)]


async def test_nothing_is_refunded_while_it_is_disputed(shop: Shop) -> None:
    """Scenario 9."""
    charge = await shop.charge(await shop.member())
    await shop.do("POST", f"/stripe/charges/{charge}/disputes")
    await shop.settled()
    refused = await asks(shop, charge, 1_000)
    assert (refused.status_code, "is open and the provider holds the money" in refused.json()["detail"]) == (409, True)


async def test_what_the_provider_refuses_is_told(shop: Shop) -> None:
    charge = await shop.charge(await shop.member())
    await shop.settled()
    await shop.refund(charge, 11_000)  # in the provider's own pages, and not told of yet
    answer = await asks(shop, charge, 11_000)
    if answer.status_code == 201:
        ((state, has_refund, told),) = await made(shop)
        assert (state, has_refund, told.startswith("Stripe refused")) == ("refused", False, True)
    else:
        assert answer.status_code == 409


async def test_the_same_key_makes_one_refund(shop: Shop) -> None:
    """A process that died after its call asks again."""
    charge = await shop.charge(await shop.member())
    await shop.settled()
    (payment,) = (await shop.payments.get(f"/payments?reference={charge}"))["items"]
    ((key,),) = await shop.payments.rows("SELECT key FROM payments.payments WHERE id = :id", id=payment["id"])
    refunds = ProviderRefunds(ProviderClients.of(shop.payments.runtime.settings))
    try:
        call = RefundCall("request-1", Key.parse(key), 1_000, 1_000, "backbone-refund-test-1")
        first, second = await refunds.refund(call), await refunds.refund(call)
    finally:
        await refunds.aclose()
    assert isinstance(first, Made)
    assert first == second
