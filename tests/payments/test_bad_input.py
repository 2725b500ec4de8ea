"""What no provider should send: every row is answered 2xx, kept with a reason and an owner, and never posted."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from simulator import samples

from tests.payments import standing
from tests.payments.providers import Payments, charge_succeeded, deliver, deliver_debits, know_mark, works
from tests.payments.pure import payloads, payloads_money

Json = dict[str, Any]
AT = datetime(2026, 10, 1, tzinfo=UTC)
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


async def test_what_cannot_be_used_is_kept_with_its_reason_and_posts_nothing(payments: Payments) -> None:
    await know_mark(payments)
    expected: list[str] = []
    for name, (spoil, reason) in ROWS.items():
        event = charge_succeeded(name)
        spoil(event["data"]["object"])
        assert await deliver(payments, event) == [200]
        expected.append(reason)
    live = charge_succeeded("live") | {"livemode": True}
    assert await deliver(payments, live) == [200]
    expected.append("wrong_mode")
    await works(payments)

    letters = (await payments.get("/dead-letters?limit=100"))["items"]
    assert sorted(letter["reason"].split(": ")[1] for letter in letters) == sorted(expected)
    assert all(letter["owner"] and letter["pointer"].startswith("delivery/") for letter in letters)
    assert (await payments.get("/payments"))["items"] == []
    assert await payments.rows("SELECT count(*) FROM payments.journals") == [(0,)]


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
