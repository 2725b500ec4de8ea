"""What a change of members does to payments: exactly what is told of it, once."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from chassis.batch import Limits
from chassis.worker import Worker
from contracts.events import InvoiceUpdated, MemberUpdated, PaymentProviderEventIngested, PaymentUpdated
from contracts.topics import PAYMENTS_EVENTS
from payments.main import input_work, service

from tests.payments import standing
from tests.payments.providers import SECRETS, Payments, card_payment, charge_succeeded, deliver, works
from tests.support.infrastructure import TemporaryDatabase
from tests.support.services import running


async def put(payments: Payments, member_id: str, name: str, *customers: str) -> None:
    references = [{"provider": "stripe", "reference": customer} for customer in customers]
    answer = await payments.call("PUT", f"/members/{member_id}", json={"name": name, "customers": references})
    assert answer.status_code == 200, answer.text


async def updates(payments: Payments) -> list[dict[str, Any]]:
    return [event.data.body for event in await payments.emitted(PAYMENTS_EVENTS, PaymentUpdated)]


async def test_a_new_name_changes_no_payment_and_is_what_later_events_say(payments: Payments) -> None:
    await put(payments, "mark-stevens", "Mark Stevens", "cus_mark")
    await deliver(payments, charge_succeeded("october"))
    await works(payments)
    stored = await standing.view(payments)
    invoices = len(await payments.emitted(PAYMENTS_EVENTS, InvoiceUpdated))

    await put(payments, "mark-stevens", "Mark A. Stevens", "cus_mark")
    await works(payments)
    assert await updates(payments) == []
    assert len(await payments.emitted(PAYMENTS_EVENTS, InvoiceUpdated)) == invoices
    assert len(await payments.emitted(PAYMENTS_EVENTS, MemberUpdated)) == 2
    assert await standing.view(payments) == stored

    await deliver(payments, charge_succeeded("november"))
    await works(payments)
    told = await payments.emitted(PAYMENTS_EVENTS, PaymentProviderEventIngested)
    assert {event.data.body["member"]["name"] for event in told} == {"Mark Stevens", "Mark A. Stevens"}


@pytest.fixture
async def idle(
    database_for: Callable[..., Awaitable[TemporaryDatabase]], kafka: str, topic_prefix: str
) -> AsyncIterator[Payments]:
    """A service whose worker works when the test says so."""
    async with running(service, await database_for("payments"), kafka, topic_prefix, work=False, **SECRETS) as started:
        yield started


async def work(payments: Payments, *, batch_max_events: int = 200) -> int:
    settings, limits = payments.runtime.settings, Limits(max_items=batch_max_events)
    return await Worker(payments.runtime.database, input_work(settings), limits=limits).drain()


async def test_the_same_again_changes_nothing_and_tells_nothing(idle: Payments) -> None:
    for _ in range(2):
        await put(idle, "mark-stevens", "Mark Stevens", "cus_mark", "cus_mark_too")
    await put(idle, "mark-stevens", "Mark Stevens", "cus_mark_too", "cus_mark")
    assert len(await idle.emitted(PAYMENTS_EVENTS, MemberUpdated)) == 1
    assert (await idle.get("/members/mark-stevens/ledger"))["member"]["version"] == 1


async def test_a_history_of_many_payments_is_matched_in_many_batches_each_payment_once(idle: Payments) -> None:
    many = 12
    for number in range(many):
        assert set(await deliver(idle, *card_payment(f"month-{number}"))) == {200}
    await work(idle)

    await put(idle, "mark-stevens", "Mark Stevens", "cus_mark")
    ((queued,),) = await idle.rows("SELECT count(*) FROM payments.pending_events")
    assert queued >= many
    assert await work(idle, batch_max_events=5) == queued
    assert [update["change"] for update in await updates(idle)] == ["matched"] * many
    found, invoices = await standing.view(idle)
    assert {row[4] for row in found} == {row[-1] for row in invoices} == {"mark-stevens"}
    await standing.check(idle)


async def test_an_event_that_finds_its_customer_known_before_the_refold_does_tells_it_alone(idle: Payments) -> None:
    events = card_payment("october", with_invoice=False, outcomes=("succeed",))
    charged, succeeded = (
        next(event for event in events if event["type"] == type_)
        for type_ in ("charge.succeeded", "payment_intent.succeeded")
    )
    await deliver(idle, charged)
    await work(idle)
    await deliver(idle, succeeded)
    await put(idle, "mark-stevens", "Mark Stevens", "cus_mark")
    await work(idle)

    first, second = await idle.emitted(PAYMENTS_EVENTS, PaymentProviderEventIngested)
    assert (first.data.body["outcome"], second.data.body["outcome"]) == ("parked", "applied")
    assert (second.data.before or {})["awaiting"] == ["awaiting customer"]
    assert await updates(idle) == []
    (invoice,) = await idle.emitted(PAYMENTS_EVENTS, InvoiceUpdated)
    assert invoice.data.body["change"] == "matched"
    await standing.check(idle)
