"""A dead letter of the worker comes back: once applied when it can be, never twice, and open while it cannot."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import orjson
from contracts.events import MessageRetried, PaymentProviderEventIngested, PaymentUpdated, ProviderEventConflicted
from contracts.topics import PAYMENTS_EVENTS
from payments.deliveries import inputs
from payments.deliveries.inputs import AlternativeInput, ConflictInput, EventInput
from payments.main import input_work
from simulator import samples

from tests.payments.providers import (
    Payments,
    charge_succeeded,
    counts,
    deliver,
    deliver_debits,
    gocardless_headers,
    know_mark,
    post,
    works,
)


async def the_letter(payments: Payments) -> dict[str, Any]:
    (letter,) = (await payments.get("/dead-letters"))["items"]
    return dict(letter)


async def the_state(payments: Payments) -> str:
    ((state,),) = await payments.rows("SELECT state FROM payments.webhook_deliveries")
    return str(state)


async def set_aside(payments: Payments, pointer: str, kind: type[EventInput] = EventInput) -> None:
    """Make a dead letter of an input by hand: its bytes never change, what changes is the code that reads them."""
    async with payments.runtime.database.transaction() as tx:
        (item,) = (await inputs.again(tx.connection, pointer, livemode=False)).items
        assert type(item) is kind
        await input_work(payments.runtime.settings).set_aside(tx, item, ValueError("a reader of yesterday"))


async def retry(payments: Payments, letter_id: str | None = None) -> None:
    letter_id = letter_id or (await the_letter(payments))["id"]
    answer = await payments.call("POST", f"/dead-letters/{letter_id}/retry")
    assert (answer.status_code, answer.json()["state"]) == (200, "retried"), answer.text


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
    await know_mark(payments)
    events = samples.gocardless_payment(
        "debit", customer="CU_MARK", amount_minor=11000, at=datetime.now(UTC), steps=("submit", "confirm")
    )
    assert await deliver_debits(payments, events) == 200
    await works(payments)
    before = await counts(payments)
    ((delivery_id,),) = await payments.rows("SELECT id FROM payments.webhook_deliveries")

    await set_aside(payments, f"delivery/{delivery_id}/1")
    for _ in range(2):
        await retry(payments)

    after = await counts(payments)
    assert (after["journals"], after["payments"]) == (before["journals"], before["payments"])
    assert after["pending_events"] == 0
    assert len(await payments.emitted(PAYMENTS_EVENTS, MessageRetried)) == 1
    assert len(await payments.emitted(PAYMENTS_EVENTS, PaymentProviderEventIngested)) == len(events) + 1


async def test_other_content_under_a_known_id_is_still_a_conflict_when_it_is_tried_again(payments: Payments) -> None:
    await know_mark(payments)
    event = charge_succeeded("october")
    other = orjson.loads(orjson.dumps(event))
    other["data"]["object"]["amount"] = other["data"]["object"]["amount_captured"] = 99_900
    assert await deliver(payments, event, other) == [200, 200]
    await works(payments)
    before = await counts(payments)
    ((second,),) = await payments.rows("SELECT id FROM payments.webhook_deliveries ORDER BY id DESC LIMIT 1")

    await set_aside(payments, f"delivery/{second}/0", ConflictInput)
    await retry(payments)

    (payment,) = (await payments.get("/payments"))["items"]
    assert payment["amount"]["amount_minor"] == 11000
    assert (await counts(payments))["journals"] == before["journals"]
    assert await payments.rows("SELECT deliveries FROM payments.provider_events") == [(2,)]
    assert len(await payments.emitted(PAYMENTS_EVENTS, ProviderEventConflicted)) == 2
    assert len(await payments.emitted(PAYMENTS_EVENTS, PaymentProviderEventIngested)) == 1


async def test_a_copy_of_a_known_event_that_is_tried_again_tells_nothing(payments: Payments) -> None:
    await know_mark(payments)
    event = charge_succeeded("october")
    assert await deliver(payments, event, event) == [200, 200]
    await works(payments)
    ((second,),) = await payments.rows("SELECT id FROM payments.webhook_deliveries ORDER BY id DESC LIMIT 1")

    await set_aside(payments, f"delivery/{second}/0", AlternativeInput)
    await retry(payments)

    assert (await counts(payments))["pending_events"] == 0
    assert len(await payments.emitted(PAYMENTS_EVENTS, PaymentProviderEventIngested)) == 1
    assert await payments.emitted(PAYMENTS_EVENTS, PaymentUpdated) == []


async def test_a_delivery_is_processed_once_none_of_its_letters_is_open(payments: Payments) -> None:
    events = samples.gocardless_payment(
        "debit", customer="CU_MARK", amount_minor=11000, at=datetime.now(UTC), steps=("submit", "confirm")
    )
    assert await deliver_debits(payments, events) == 200
    await works(payments)
    ((delivery_id,),) = await payments.rows("SELECT id FROM payments.webhook_deliveries")
    for position in range(2):
        await set_aside(payments, f"delivery/{delivery_id}/{position}")
    assert await the_state(payments) == "dead_lettered"

    letters = (await payments.get("/dead-letters"))["items"]
    assert len(letters) == 2
    for letter, state in zip(letters, ("dead_lettered", "processed"), strict=True):
        await retry(payments, letter["id"])
        assert await the_state(payments) == state


async def test_a_letter_keeps_a_mebibyte_of_its_event(payments: Payments) -> None:
    event = charge_succeeded("october")
    event["data"]["object"]["padding"] = "x" * 1_500_000
    assert await deliver(payments, event) == [200]
    await works(payments)
    ((delivery_id,),) = await payments.rows("SELECT id FROM payments.webhook_deliveries")
    await set_aside(payments, f"delivery/{delivery_id}/0")
    assert await payments.rows("SELECT octet_length(message) FROM payments.dead_letters") == [(1_048_576,)]
    await retry(payments)
    assert await the_state(payments) == "processed"
