"""A dead letter of the worker comes back: once applied when it can be, never twice, and open while it cannot."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from contracts.events import MessageRetried, PaymentProviderEventIngested
from contracts.topics import PAYMENTS_EVENTS
from payments.deliveries import inputs
from payments.main import input_work
from simulator import samples

from tests.payments.providers import Payments, counts, deliver_debits, gocardless_headers, know_mark, post, works


async def the_letter(payments: Payments) -> dict[str, Any]:
    (letter,) = (await payments.get("/dead-letters"))["items"]
    return dict(letter)


async def test_what_is_still_wrong_stays_open_with_its_reason(payments: Payments) -> None:
    assert (await post(payments, "gocardless", b"{", gocardless_headers(b"{"))).status_code == 200
    await works(payments)
    letter = await the_letter(payments)
    assert (letter["reason_class"], letter["state"]) == ("UnusableError", "open")

    answer = await payments.call("POST", f"/dead-letters/{letter['id']}/retry")
    assert (answer.status_code, answer.json()["state"]) == (200, "open")
    assert answer.json()["attempts"] == 1
    assert (await counts(payments))["pending_events"] == 0


async def test_an_item_that_can_be_read_by_now_is_applied_once(payments: Payments) -> None:
    """The bytes of a letter never change; what changes is the code that reads them, so the letter is made by hand."""
    await know_mark(payments)
    events = samples.gocardless_payment(
        "debit", customer="CU_MARK", amount_minor=11000, at=datetime.now(UTC), steps=("submit", "confirm")
    )
    assert await deliver_debits(payments, events) == 200
    await works(payments)
    before = await counts(payments)
    ((delivery_id,),) = await payments.rows("SELECT id FROM payments.webhook_deliveries")

    work = input_work(payments.runtime.settings)
    async with payments.runtime.database.transaction() as tx:
        claimed = await inputs.again(tx.connection, f"delivery/{delivery_id}/1", livemode=False)
        (item,) = claimed.items
        await work.set_aside(tx, item, ValueError("a reader of yesterday"))
    letter = await the_letter(payments)
    for _ in range(2):
        answer = await payments.call("POST", f"/dead-letters/{letter['id']}/retry")
        assert (answer.status_code, answer.json()["state"]) == (200, "retried"), answer.text

    after = await counts(payments)
    assert (after["journals"], after["payments"]) == (before["journals"], before["payments"])
    assert after["pending_events"] == 0
    assert len(await payments.emitted(PAYMENTS_EVENTS, MessageRetried)) == 1
    assert len(await payments.emitted(PAYMENTS_EVENTS, PaymentProviderEventIngested)) == len(events) + 1
