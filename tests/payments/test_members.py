"""What a change of members does to payments: exactly what is told of it, once."""

from __future__ import annotations

from typing import Any

from contracts.events import InvoiceUpdated, MemberUpdated, PaymentProviderEventIngested, PaymentUpdated
from contracts.topics import PAYMENTS_EVENTS

from tests.payments import standing
from tests.payments.providers import Payments, charge_succeeded, deliver, works


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
    assert [event.data.body["member"]["name"] for event in told] == ["Mark Stevens", "Mark A. Stevens"]
