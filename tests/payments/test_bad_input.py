"""What no provider should send: every row is answered 2xx, kept with a reason and an owner, and never posted."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from payments.collection import fetching
from payments.collection.objects import PAYOUT, Key
from payments.main import service
from simulator import samples

from tests.payments import standing
from tests.payments.providers import (
    NO_API,
    SECRETS,
    Payments,
    charge_succeeded,
    deliver,
    deliver_debits,
    know_mark,
    works,
)
from tests.payments.pure import payloads, payloads_money
from tests.support.infrastructure import TemporaryDatabase
from tests.support.services import running

Json = dict[str, Any]
AT = datetime(2026, 10, 1, tzinfo=UTC)
CLEARED = "SELECT currency, amount_minor FROM payments.balances WHERE account = '1200 clearing:stripe'"
Start = Callable[..., Awaitable[Payments]]
ROWS: dict[str, tuple[Callable[[Json], object], str]] = {
    "an amount in text": (lambda shown: shown.update(amount="11000"), "bad_amount"),
    "a fraction of a cent": (lambda shown: shown.update(amount=11000.5), "bad_amount"),
    "an amount below zero": (lambda shown: shown.update(amount=-1), "bad_amount"),
    "an amount beyond 2**53": (lambda shown: shown.update(amount=2**53), "bad_amount"),
    "an amount that no signed number of 64 bits holds": (lambda shown: shown.update(amount=2**63), "bad_amount"),
    "more captured than charged": (lambda shown: shown.update(amount_captured=11_001), "bad_amount"),
    "a currency that nobody knows": (lambda shown: shown.update(currency="zzz"), "bad_currency"),
    "a currency that is no text": (lambda shown: shown.update(currency=36), "bad_currency"),
    "a date before there was a provider": (lambda shown: shown.update(created=1), "bad_time"),
    "a date that is far off": (lambda shown: shown.update(created=10**12), "bad_time"),
    "no id": (lambda shown: shown.update(id=None), "wrong_shape"),
}


@pytest.fixture
async def start(
    database_for: Callable[..., Awaitable[TemporaryDatabase]], kafka: str, topic_prefix: str
) -> AsyncIterator[Start]:
    """Starts the service on one and the same database, with settings of the test's choice."""
    database = await database_for("payments")
    async with AsyncExitStack() as stack:

        async def begin(**settings: Any) -> Payments:
            started = running(service, database, kafka, topic_prefix, **{**SECRETS, **NO_API, **settings})
            return await stack.enter_async_context(started)

        yield begin


async def test_what_cannot_be_used_is_kept_with_its_reason_and_posts_nothing(payments: Payments) -> None:
    await know_mark(payments)
    expected: list[str] = []
    for name, (spoil, reason) in ROWS.items():
        event = charge_succeeded(name)
        spoil(event["data"]["object"])
        assert await deliver(payments, event) == [200]
        expected.append(reason)
    live = charge_succeeded("live") | {"livemode": True}
    theirs = charge_succeeded("theirs") | {"account": "acct_of_somebody"}
    assert await deliver(payments, live, theirs) == [200, 200]
    expected += ["wrong_mode", "wrong_account"]
    await works(payments)

    letters = (await payments.get("/dead-letters?limit=100"))["items"]
    assert sorted(letter["reason"].split(": ")[1] for letter in letters) == sorted(expected)
    assert all(letter["owner"] and letter["pointer"].startswith("delivery/") for letter in letters)
    assert (await payments.get("/payments"))["items"] == []
    assert await payments.rows("SELECT count(*) FROM payments.journals") == [(0,)]


@pytest.mark.parametrize("provider_writes", ["aud", "AUD"])
async def test_a_currency_is_the_same_in_capitals(payments: Payments, provider_writes: str) -> None:
    await know_mark(payments)
    event = charge_succeeded("october")
    event["data"]["object"]["currency"] = provider_writes
    assert await deliver(payments, event) == [200]
    await works(payments)
    assert await payments.rows(CLEARED) == [("AUD", 11_000)]
    await standing.check(payments)


async def test_a_connected_account_that_is_ours_is_read_and_a_letter_about_it_comes_back(start: Start) -> None:
    event = charge_succeeded("october") | {"account": "acct_gym"}
    first = await start()
    assert await deliver(first, event) == [200]
    await works(first)
    (letter,) = (await first.get("/dead-letters"))["items"]
    assert letter["reason"].endswith("the event is of an account that is not ours")
    assert await first.rows("SELECT count(*) FROM payments.journals") == [(0,)]

    second = await start(stripe_accounts="acct_gym")
    answer = await second.call("POST", f"/dead-letters/{letter['id']}/retry")
    assert (answer.status_code, answer.json()["state"]) == (200, "retried"), answer.text
    assert await second.rows(CLEARED) == [("AUD", 11_000)]
    (payment,) = (await second.get("/payments"))["items"]
    assert (payment["account"], payment["awaiting"]) == ("acct_gym", ["awaiting customer"])
    await standing.check(second)


async def test_a_payout_that_does_not_add_up_names_what_is_missing_and_posts_what_was_paid(payments: Payments) -> None:
    """Kept with its lines; its difference is what a person has to explain."""
    payout = payloads_money.payout(amount=12_000)
    line = payloads_money.entry("txn_3PZk", fee=217, gst=20)
    assert await deliver(payments, payloads.stripe_event("payout.created", payout)) == [200]
    answer = orjson.dumps({"payout": payout, "items": [line]})
    async with payments.runtime.database.transaction() as tx:
        await fetching.keep(tx, Key("stripe", "self", PAYOUT, "po_1"), answer, at=datetime.now(UTC))
    await works(payments)

    (listed,) = (await payments.get("/payouts?unexplained=true"))["items"]
    assert (listed["reference"], listed["difference"]["amount_minor"]) == ("po_1", 1_217)
    shown = await payments.get(f"/payouts/{listed['id']}")
    assert [(each["type"], each["source"]) for each in shown["lines"]] == [("charge", "ch_1")]
    transit = "SELECT amount_minor FROM payments.balances WHERE account = '1250 payout_in_transit'"
    assert await payments.rows(transit) == [(12_000,)]
    await standing.check(payments)


async def test_a_refund_greater_than_its_charge_is_kept_and_waits_for_a_person(payments: Payments) -> None:
    await know_mark(payments)
    charge = charge_succeeded("october")
    shown = charge["data"]["object"]
    refund = payloads_money.refund(amount=11_001, charge=shown["id"], intent=None, at=shown["created"] + 60)
    event = payloads.stripe_event("refund.created", refund, at=shown["created"] + 60)
    assert await deliver(payments, event, charge) == [200, 200]
    await works(payments)

    (payment,) = (await payments.get("/payments?awaiting=true"))["items"]
    assert payment["awaiting"] == ["awaiting review"]
    (kept,) = (await payments.get(f"/payments/{payment['id']}/returns"))["refunds"]
    assert (kept["state"], kept["amount"]["amount_minor"]) == ("refused", 11_001)
    assert await payments.rows("SELECT count(*) FROM payments.journals WHERE economic_key LIKE 'refund%'") == [(0,)]
    await standing.check(payments)


async def test_two_payments_of_one_invoice_leave_the_second_as_the_members_credit(payments: Payments) -> None:
    await know_mark(payments)
    given: Json = {"version": payloads.CLASSIC, "customer": "cus_mark"}
    invoice = payloads.stripe_event(
        "invoice.finalized", payloads.invoice(status="open", version=payloads.CLASSIC, customer="cus_mark"),
        version=payloads.CLASSIC,
    )  # fmt: skip
    charges = [
        payloads.stripe_event(
            "charge.succeeded",
            payloads.charge(f"ch_{number}", intent=f"pi_{number}", invoice="in_1", at=payloads.AT + number, **given),
            version=payloads.CLASSIC,
        )
        for number in (1, 2)
    ]
    assert await deliver(payments, charges[1], charges[0], invoice) == [200, 200, 200]
    await works(payments)

    query = "SELECT account, amount_minor FROM payments.balances WHERE amount_minor <> 0 AND account LIKE '%mark%'"
    assert await payments.rows(query) == [("2200 member_credit:mark-stevens", -11_000)]
    await standing.check(payments)


@pytest.mark.parametrize("count", [0, 5_000])
async def test_a_body_of_many_events_or_none_is_accepted(payments: Payments, count: int) -> None:
    """5,000 events are some 3 MB."""
    made = samples.gocardless_payment("many", customer="CU_MANY", amount_minor=100, at=AT, steps=("submit",))[1]
    events = [made | {"id": f"EV{number:012}", "details": {"description": "x" * 250}} for number in range(count)]
    assert await deliver_debits(payments, events) == 200
    (row,) = await payments.rows("SELECT events, body_bytes FROM payments.webhook_deliveries")
    assert row[0] == count
    assert count == 0 or row[1] > 2_000_000
