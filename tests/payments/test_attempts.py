"""The attempts of a payment as they are stored: those that the facts show, and no other."""

from __future__ import annotations

from itertools import permutations
from typing import Any

from tests.payments import standing
from tests.payments.providers import Payments, card_payment, deliver, know_mark, works


def _events(name: str) -> list[dict[str, Any]]:
    """A PaymentIntent that was in progress before it named a charge, and the charge that it became."""
    events = card_payment(name, with_invoice=False, outcomes=("succeed",))
    kept = [event for event in events if event["type"] in ("charge.succeeded", "payment_intent.succeeded")]
    succeeded = next(event for event in kept if event["type"] == "payment_intent.succeeded")
    shown = {**succeeded["data"]["object"], "latest_charge": None, "status": "processing"}
    opened = {**succeeded, "id": f"evt_{name}_processing", "type": "payment_intent.processing"}
    opened["created"] = succeeded["created"] - 60
    return [{**opened, "data": {**succeeded["data"], "object": shown}}, *kept]


async def test_an_attempt_that_turns_out_to_be_a_charge_is_one_attempt_in_every_order(payments: Payments) -> None:
    await know_mark(payments)
    orders = list(permutations(range(3)))
    for number, order in enumerate(orders):
        events = _events(f"order-{number}")
        for position in order:
            assert await deliver(payments, events[position]) == [200]
            await works(payments)

    attempts = "SELECT left(attempt, 3), number, state, count(*) FROM payments.payment_attempts GROUP BY 1, 2, 3"
    assert await payments.rows(attempts) == [("ch_", 1, "succeeded", len(orders))]
    found, _ = await standing.view(payments)
    assert [[attempt["state"] for attempt in row[-1]] for row in found] == [["succeeded"]] * len(orders)
    await standing.check(payments)
