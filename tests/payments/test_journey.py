"""From a signed delivery to payment, ledger and events: the real service, the simulator's real-looking deliveries."""

from __future__ import annotations

import random

from contracts.events import InvoiceUpdated, MemberUpdated, PaymentProviderEventIngested, PaymentUpdated
from contracts.topics import PAYMENTS_EVENTS
from simulator import samples

from tests.payments.providers import Payments, card_payment, charge_succeeded, deliver, know_mark, works

SETTLED = [("1200 clearing:stripe", 11000), ("2100 gst_payable", -1000), ("4100 membership_revenue", -10000)]


async def balances(payments: Payments) -> list[tuple[str, int]]:
    query = (
        "SELECT account, amount_minor FROM payments.balances WHERE phase = 'posted' AND amount_minor <> 0 ORDER BY 1"
    )
    return [(row[0], row[1]) for row in await payments.rows(query)]


async def test_a_payment_that_fails_and_then_succeeds_is_one_payment_and_a_settled_ledger(payments: Payments) -> None:
    await know_mark(payments)
    events = card_payment("october", outcomes=("insufficient_funds", "succeed"))
    assert await deliver(payments, *events) == [200] * len(events)
    await works(payments)

    (payment,) = (await payments.get("/payments"))["items"]
    assert (payment["state"], payment["amount"]) == ("succeeded", {"amount_minor": 11000, "currency": "AUD"})
    detail = await payments.get(f"/payments/{payment['id']}")
    assert [attempt["state"] for attempt in detail["attempts"]] == ["failed", "succeeded"]
    assert detail["invoice"]["state"] == "paid"
    ledger = await payments.get("/members/mark-stevens/ledger")
    assert [line["amount"]["amount_minor"] for line in ledger["lines"]] == [11000, -11000]
    assert [line["balance"]["amount_minor"] for line in ledger["lines"]] == [11000, 0]
    assert await balances(payments) == SETTLED

    told = await payments.emitted(PAYMENTS_EVENTS, PaymentProviderEventIngested)
    assert len(told) == len(events)
    assert len(await payments.emitted(PAYMENTS_EVENTS, MemberUpdated)) == 1
    invoices = [event.data.body for event in await payments.emitted(PAYMENTS_EVENTS, InvoiceUpdated)]
    assert [invoice["change"] for invoice in invoices if not invoice["implied"]] == ["issued", "paid"]


async def test_order_and_repetition_change_nothing(payments: Payments) -> None:
    await know_mark(payments)
    events = [
        *card_payment("old", version=samples.BEFORE_BASIL, outcomes=("insufficient_funds", "succeed")),
        *card_payment("new", outcomes=("insufficient_funds", "succeed")),
    ]
    shuffled = events * 2
    random.Random(7).shuffle(shuffled)
    assert set(await deliver(payments, *shuffled)) == {200}
    await works(payments)

    found = (await payments.get("/payments"))["items"]
    assert [payment["state"] for payment in found] == ["succeeded", "succeeded"]
    assert await balances(payments) == [(account, 2 * amount) for account, amount in SETTLED]
    (deliveries,) = await payments.rows("SELECT count(*) FROM payments.webhook_deliveries WHERE state = 'processed'")
    assert deliveries == (len(shuffled),)
    assert len(await payments.emitted(PAYMENTS_EVENTS, PaymentProviderEventIngested)) == len(events)


async def test_what_arrives_by_itself_after_all_is_not_asked_for_any_more(payments: Payments) -> None:
    """The payment came first: its charge, and what pays the invoice, are asked for only if nobody tells in time."""
    await know_mark(payments)
    last = ("charge.succeeded", "invoice_payment.paid")
    events = sorted(card_payment("late", outcomes=("succeed",)), key=lambda event: event["type"] in last)
    await deliver(payments, *events[:-2])
    await works(payments)
    assert await _asked_for(payments) == ["charge", "invoice"]

    await deliver(payments, *events[-2:])
    await works(payments)
    # Of what Stripe has not told of itself there is only the charge's fee.
    assert await _asked_for(payments) == ["balance_transaction"]
    assert await balances(payments) == SETTLED


async def _asked_for(payments: Payments) -> list[str]:
    return [key.split("/")[2] for (key,) in await payments.rows("SELECT key FROM payments.fetches ORDER BY key")]


async def test_money_of_nobody_waits_in_unidentified_receipts_until_its_customer_is_known(payments: Payments) -> None:
    await deliver(payments, charge_succeeded("early"))
    await works(payments)
    assert await balances(payments) == [("1200 clearing:stripe", 11000), ("2400 unidentified_receipts:stripe", -11000)]
    (parked,) = (await payments.get("/payments?awaiting=true"))["items"]
    assert parked["awaiting"] == ["awaiting customer"]

    await know_mark(payments)
    await works(payments)
    assert await balances(payments) == SETTLED
    assert (await payments.get("/payments?awaiting=true"))["items"] == []
    (matched,) = await payments.emitted(PAYMENTS_EVENTS, PaymentUpdated)
    assert matched.data.body["change"] == "matched"
    ledger = await payments.get("/members/mark-stevens/ledger")
    assert ledger["balances"] == [{"amount_minor": 0, "currency": "AUD"}]


async def test_a_payment_is_found_by_every_reference_the_provider_has_for_it(payments: Payments) -> None:
    await know_mark(payments)
    events = card_payment("october", with_invoice=False, outcomes=("succeed",))
    await deliver(payments, *events)
    await works(payments)
    charge = next(event["data"]["object"] for event in events if event["type"] == "charge.succeeded")
    for reference in (charge["id"], charge["payment_intent"]):
        (found,) = (await payments.get(f"/payments?reference={reference}"))["items"]
        assert found["member_id"] == "mark-stevens"
    assert (await payments.get("/payments?reference=ch_nobody"))["items"] == []
    assert (await payments.call("GET", "/payments/not-an-id")).status_code == 422


async def test_a_customer_belongs_to_one_member_only(payments: Payments) -> None:
    await know_mark(payments)
    given = {"name": "Isla Morgan", "customers": [{"provider": "stripe", "reference": "cus_mark"}]}
    refused = await payments.call("PUT", "/members/isla-morgan", json=given)
    assert (refused.status_code, refused.json()["member_id"]) == (409, "mark-stevens")
    again = await payments.call("PUT", "/members/mark-stevens", json={"name": "Mark Stevens", "customers": []})
    assert again.json()["version"] == 2
    assert (await payments.call("PUT", "/members/isla-morgan", json=given)).status_code == 200
