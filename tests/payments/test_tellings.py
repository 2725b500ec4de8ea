"""One provider event may change several payments: each of them is told of."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from contracts.envelope import RawEvent
from contracts.events import PaymentProviderEventIngested, PaymentUpdated, ProviderEventConflicted
from contracts.topics import PAYMENTS_EVENTS
from simulator import samples

from tests.payments import standing
from tests.payments.providers import Payments, card_payment, deliver, know_mark, works


def _event(name: str, type_: str, **shown: Any) -> dict[str, Any]:
    """One event of a card payment, whose object shows something else."""
    events = card_payment(name, version=samples.BEFORE_BASIL, outcomes=("succeed",))
    found = next(event for event in events if event["type"] == type_)
    return {**found, "data": {**found["data"], "object": {**found["data"]["object"], **shown}}}


async def _told(payments: Payments) -> dict[str, RawEvent]:
    """What was told of provider events; by type, since events of two payments have no order."""
    found = await payments.emitted(PAYMENTS_EVENTS, PaymentProviderEventIngested)
    return {event.data.body["provider_event"]["type"]: event for event in found}


@pytest.mark.parametrize("together", [True, False])
async def test_a_charge_that_turns_out_to_be_part_of_a_payment_is_told_as_merged(
    payments: Payments, *, together: bool
) -> None:
    await know_mark(payments)
    await deliver(payments, _event("october", "charge.succeeded", payment_intent=None, invoice=None))
    if not together:
        await works(payments)
    await deliver(payments, _event("october", "payment_intent.succeeded", invoice=None))
    await works(payments)

    told = await _told(payments)
    charge, intent = told["charge.succeeded"], told["payment_intent.succeeded"]
    (merged,) = await payments.emitted(PAYMENTS_EVENTS, PaymentUpdated)
    assert (merged.data.body["change"], merged.data.entity.id) == ("merged", charge.data.body["payment"]["id"])
    assert (merged.data.after or {})["merged_into"] == intent.data.body["payment"]["id"]
    kept = "SELECT id::text, superseded FROM payments.payments ORDER BY superseded"
    assert await payments.rows(kept) == [(intent.data.entity.id, False), (charge.data.entity.id, True)]
    await standing.check(payments)


async def test_an_invoice_that_says_whose_two_payments_are_tells_of_both(payments: Payments) -> None:
    await know_mark(payments)
    invoice = _event("october", "invoice.paid")
    paid = {"invoice": invoice["data"]["object"]["id"], "customer": None}
    for name in ("first", "second"):
        await deliver(payments, _event(name, "charge.succeeded", payment_intent=None, **paid))
    await works(payments)
    assert len((await payments.get("/payments?awaiting=true"))["items"]) == 2

    shown = {"payment_intent": None, "charge": None}
    await deliver(payments, _event("october", "invoice.paid", **shown))
    await works(payments)
    told = (await _told(payments))["invoice.paid"]
    (other,) = await payments.emitted(PAYMENTS_EVENTS, PaymentUpdated)
    assert told.data.body["outcome"] == "applied"
    assert (other.data.body["change"], other.data.body["member"]["id"]) == ("matched", "mark-stevens")
    everyone = {row[0] for row in await payments.rows("SELECT id::text FROM payments.payments")}
    assert {told.data.body["payment"]["id"], other.data.entity.id} == everyone
    await standing.check(payments)


async def _paid_invoice(payments: Payments) -> Any:
    """What the only payment is for."""
    (payment,) = (await payments.get("/payments"))["items"]
    return (await payments.get(f"/payments/{payment['id']}"))["invoice"]


async def test_another_rendering_of_an_event_adds_what_the_first_left_out(payments: Payments) -> None:
    """Since basil an invoice no longer says which payment paid it; the same event in an older version does."""
    await know_mark(payments)
    at = datetime.now(UTC)
    newer, older = (
        {event["type"]: event for event in card_payment("october", version=version, at=at, outcomes=("succeed",))}
        for version in (samples.BASIL, samples.BEFORE_BASIL)
    )
    await deliver(payments, newer["charge.succeeded"], newer["payment_intent.succeeded"], newer["invoice.paid"])
    await works(payments)
    assert (await _paid_invoice(payments))["implied"]

    assert newer["invoice.paid"]["id"] == older["invoice.paid"]["id"]
    await deliver(payments, older["invoice.paid"])
    await works(payments)
    assert not (await _paid_invoice(payments))["implied"]
    assert await payments.emitted(PAYMENTS_EVENTS, ProviderEventConflicted) == []
    assert len(await payments.emitted(PAYMENTS_EVENTS, PaymentProviderEventIngested)) == 3
    assert len(await payments.emitted(PAYMENTS_EVENTS, PaymentUpdated)) == 1
    await standing.check(payments)
