"""Replays: what a dry run counts is what a run does; safe events only; carried on after a kill; cancelled for good."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

from contracts.events import PaymentProviderEventIngested, ReplayUpdated
from contracts.topics import PAYMENTS_EVENTS
from payments.main import service
from payments.replays.domain import class_of
from simulator import samples

from tests.payments import standing
from tests.payments.providers import (
    NO_API,
    SECRETS,
    Payments,
    card_payment,
    charge_succeeded,
    deliver,
    deliver_debits,
    know_mark,
    works,
)
from tests.support.eventually import eventually
from tests.support.infrastructure import TemporaryDatabase
from tests.support.services import running


async def some_history(payments: Payments) -> None:
    """A paid month, a failed one, a debit that its provider could not describe, and an event that cannot be used."""
    await know_mark(payments)
    await deliver(payments, *card_payment("paid", outcomes=("succeed",), with_invoice=False))
    await deliver(payments, *card_payment("failed", outcomes=("insufficient_funds",), with_invoice=False))
    broken = charge_succeeded("broken")
    broken["data"]["object"]["amount"] = "11000"
    await deliver(payments, broken)
    told = samples.gocardless_payment(
        "one", customer="CU_MARK", amount_minor=11_000, at=datetime.now(UTC), steps=("submit", "confirm")
    )
    assert await deliver_debits(payments, told) == 200
    await works(payments)
    tried = "SELECT count(*) FROM payments.fetches WHERE last_error IS NOT NULL"
    await eventually(lambda: payments.rows(tried), lambda rows: rows == [(1,)])


async def replay(payments: Payments, **given: Any) -> dict[str, Any]:
    """Ask for a replay."""
    body = {"filter": {}, "purpose": "the outage of GoCardless", "max_per_second": 1000, **given}
    answer = await payments.call("POST", "/replays", json=body)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def ended(payments: Payments, made: dict[str, Any]) -> dict[str, Any]:
    """The replay once it is over."""
    path = f"/replays/{made['id']}"
    found: dict[str, Any] = await eventually(lambda: payments.get(path), lambda seen: seen["ended_at"] is not None)
    return found


async def items(payments: Payments, made: dict[str, Any]) -> list[tuple[str, str | None, str | None]]:
    listed = (await payments.get(f"/replays/{made['id']}/items?limit=200"))["items"]
    return [(item["type"], item["outcome"], item["why"]) for item in listed]


async def test_a_dry_run_counts_exactly_what_a_run_then_does(payments: Payments) -> None:
    await some_history(payments)
    books, told = await standing.net(payments), await payments.emitted(PAYMENTS_EVENTS, PaymentProviderEventIngested)

    dry = await ended(payments, await replay(payments, dry_run=True))
    assert await standing.net(payments) == books
    real = await ended(payments, await replay(payments))
    assert real["counts"] == dry["counts"]
    assert await items(payments, real) == await items(payments, dry)

    outcomes = {(type_, outcome) for type_, outcome, _ in await items(payments, real)}
    assert ("payments.confirmed", "replayed") in outcomes, "its provider is asked again"
    assert ("charge.succeeded", "failed") in outcomes, "what cannot be used still cannot"
    assert ("payment_intent.succeeded", "unchanged") in outcomes
    assert {outcome for type_, outcome in outcomes if class_of(type_) != "safe"} == {"refused"}
    assert all(why for _, outcome, why in await items(payments, real) if outcome == "refused")
    assert await standing.net(payments) == books
    assert len(await payments.emitted(PAYMENTS_EVENTS, PaymentProviderEventIngested)) == len(told)
    changes = [event.data.body["change"] for event in await payments.emitted(PAYMENTS_EVENTS, ReplayUpdated)]
    assert changes.count("completed") == 2


async def test_a_filter_chooses_by_provider_type_window_and_state(payments: Payments) -> None:
    await some_history(payments)
    everything = (await replay(payments, dry_run=True))["counts"]["matched"]

    async def matched(**chosen: Any) -> int:
        return int((await replay(payments, dry_run=True, filter=chosen))["counts"]["matched"])

    debits, cards = await matched(provider="gocardless"), await matched(provider="stripe")
    assert debits + cards == everything
    assert await matched(types=["payments.confirmed"]) == 1
    assert await matched(state="dead_lettered") == 1
    assert await matched(received_from="2100-01-01T00:00:00Z") == 0
    assert await matched(received_until="2100-01-01T00:00:00Z") == everything
    refused = await payments.call("POST", "/replays", json={"filter": {"account": "x"}, "purpose": "a typo"})
    assert refused.status_code == 422


async def test_a_replay_is_carried_on_by_another_process_and_each_item_is_done_once(
    database_for: Callable[..., Awaitable[TemporaryDatabase]], kafka: str, topic_prefix: str
) -> None:
    """The first process ends in the middle; the second finishes what is left, and a cancelled one stays as it is."""
    database = await database_for("payments")
    async with running(service, database, kafka, topic_prefix, **SECRETS, **NO_API) as first:
        await some_history(first)
        made = await replay(first, max_per_second=2)
        some = f"SELECT count(*) FROM payments.replay_items WHERE replay_id = '{made['id']}' AND outcome IS NOT NULL"
        await eventually(lambda: first.rows(some), lambda rows: rows[0][0] > 0)
        slow = await replay(first, max_per_second=1)
        answer = await first.call("GET", f"/replays/{slow['id']}")
        cancelled = await first.call(
            "POST", f"/replays/{slow['id']}/cancel", headers={"If-Match": answer.headers["ETag"]}
        )
        if cancelled.status_code == 412:  # it has moved on meanwhile
            tag = (await first.call("GET", f"/replays/{slow['id']}")).headers["ETag"]
            cancelled = await first.call("POST", f"/replays/{slow['id']}/cancel", headers={"If-Match": tag})
        assert cancelled.json()["state"] == "cancelled"

    async with running(service, database, kafka, topic_prefix, **SECRETS, **NO_API) as second:
        done = await ended(second, made)
        counts = done["counts"]
        assert done["state"] == "completed"
        assert sum(value for name, value in counts.items() if name != "matched") == counts["matched"]
        left = await second.get(f"/replays/{slow['id']}")
        assert left["state"] == "cancelled"
        again = await second.call("POST", f"/replays/{slow['id']}/cancel", headers={"If-Match": f'"{left["version"]}"'})
        assert again.status_code == 409
