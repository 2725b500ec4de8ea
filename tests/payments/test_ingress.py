"""The ingress: what is believed, what is refused, and that nothing is lost either way."""

from __future__ import annotations

import asyncio
import gzip
import time
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from contracts.events import MessageDeadLettered, PaymentProviderEventIngested, ProviderEventConflicted
from contracts.topics import PAYMENTS_EVENTS
from simulator import samples

from tests.payments.providers import (
    GOCARDLESS_SECRET,
    STRIPE_SECRET,
    Payments,
    charge_succeeded,
    counts,
    deliver,
    gocardless_headers,
    know_mark,
    post,
    stripe_headers,
    works,
)

OTHER_SECRET = "whsec_of_somebody_else_0002"
JUNK = {
    "not JSON": b"{",
    "another shape": b'["an", "array"]',
    "no event": b'{"hello": "there"}',
    "5,000 levels": b'{"a":' * 5_000 + b"1" + b"}" * 5_000,
    "NaN": b'{"id": "evt_1", "type": "charge.succeeded", "amount": NaN}',
    "a key twice": b'{"id": "evt_1", "id": "evt_2", "type": "charge.succeeded", "data": {"object": {}}}',
    "a lone surrogate": b'{"id": "evt_\\ud800", "type": "charge.succeeded"}',
    "gzip": gzip.compress(b'{"id": "evt_1"}', mtime=0),
    "nothing": b"",
}


def forged(body: bytes, kind: str) -> dict[str, Any]:
    now = time.time()
    match kind:
        case "wrong secret":
            return stripe_headers(body, OTHER_SECRET)
        case "too old":
            return stripe_headers(body, at=now - 301)
        case "too new":
            return stripe_headers(body, at=now + 302)
        case "altered byte":
            return stripe_headers(body[:-1] + b" ")
        case "missing":
            return {}
        case "not ASCII":
            return {"stripe-signature": "t=1,v1=ü".encode()}
        case _:
            return {"stripe-signature": "t=1," + "v1=0," * 20_000}


@pytest.mark.parametrize(
    "kind", ["wrong secret", "too old", "too new", "altered byte", "missing", "not ASCII", "too long"]
)
async def test_a_forged_stripe_delivery_is_refused_kept_and_not_interpreted(payments: Payments, kind: str) -> None:
    body = samples.stripe_body(charge_succeeded("forged"))
    for _ in range(2):
        answer = await post(payments, "stripe", body, forged(body, kind))
        assert answer.status_code == 400
        assert answer.headers["content-type"] == "application/problem+json"
    (kept,) = (await payments.get("/deliveries?state=rejected"))["items"]
    assert (kept["attempts"], kept["status_answered"], kept["body_bytes"]) == (2, 400, len(body))
    assert (await counts(payments))["provider_events"] == 0
    detail = await payments.get(f"/deliveries/{kept['id']}")
    assert detail["body"] is not None
    assert detail["refusal"]


@pytest.mark.parametrize("headers", [{}, {"webhook-signature": "ü".encode()}, {"webhook-signature": "0" * 64}])
async def test_a_forged_gocardless_delivery_is_refused_with_498(payments: Payments, headers: dict[str, Any]) -> None:
    events = samples.gocardless_payment("debit", customer="CU_MARK", amount_minor=11000, at=_now(), steps=("submit",))
    body = samples.gocardless_body(events, "WB1")
    assert (await post(payments, "gocardless", body, headers)).status_code == 498
    assert (await post(payments, "gocardless", body, gocardless_headers(body, OTHER_SECRET))).status_code == 498
    assert (await counts(payments))["provider_events"] == 0
    assert len((await payments.get("/deliveries?state=rejected&provider=gocardless"))["items"]) == 1


@pytest.mark.parametrize("kind", sorted(JUNK))
async def test_junk_is_refused_unsigned_and_dead_lettered_when_it_is_rightly_signed(
    payments: Payments, kind: str
) -> None:
    await know_mark(payments)
    body = JUNK[kind]
    assert (await post(payments, "stripe", body, {})).status_code == 400
    assert (await post(payments, "gocardless", body, {})).status_code == 498
    assert (await post(payments, "stripe", body, stripe_headers(body))).status_code == 200
    assert (await post(payments, "gocardless", body, gocardless_headers(body))).status_code == 200
    assert await deliver(payments, charge_succeeded("healthy")) == [200]
    await works(payments)

    dead = (await payments.get("/deliveries?state=dead_lettered"))["items"]
    assert [delivery["body_bytes"] for delivery in dead] == [len(body)] * 2
    letters = await payments.rows("SELECT reason, message FROM payments.dead_letters")
    assert len(letters) == 2
    assert all(bytes(message) == body[:1_048_576] for _, message in letters)
    assert len(await payments.emitted(PAYMENTS_EVENTS, MessageDeadLettered)) == 2
    (payment,) = (await payments.get("/payments"))["items"]
    assert payment["state"] == "succeeded"


async def test_a_body_beyond_the_limit_is_answered_413_and_leaves_its_hash(payments: Payments) -> None:
    body = b" " * (8 * 1_048_576 + 1)
    answer = await post(payments, "stripe", body, stripe_headers(body))
    assert answer.status_code == 413
    (kept,) = (await payments.get("/deliveries"))["items"]
    assert (kept["state"], kept["body_bytes"], kept["refusal"]) == ("rejected", len(body), "too_large")
    assert (await payments.get(f"/deliveries/{kept['id']}"))["body"] is None


async def test_rejected_bodies_are_kept_until_the_quota_is_spent_then_by_hash(payments: Payments) -> None:
    await payments.rows("SELECT 1")
    quota = payments.runtime.settings.rejected_kept_max_bytes
    large = 7 * 1_048_576
    sent = quota // large + 2
    for number in range(sent):
        body = b"%03d" % number + b"x" * (large - 3)
        assert (await post(payments, "gocardless", body, {})).status_code == 498
    kept, hashed = (await payments.rows("SELECT count(body), count(*) - count(body) FROM payments.webhook_deliveries"))[
        0
    ]
    assert (kept, hashed) == (quota // large, sent - quota // large)


async def test_the_same_id_with_other_content_is_kept_and_never_applied(payments: Payments) -> None:
    await know_mark(payments)
    event = charge_succeeded("october")
    other = orjson.loads(orjson.dumps(event))
    other["data"]["object"]["amount"] = other["data"]["object"]["amount_captured"] = 99_900
    assert await deliver(payments, event, other, event) == [200, 200, 200]
    await works(payments)

    (payment,) = (await payments.get("/payments"))["items"]
    assert payment["amount"]["amount_minor"] == 11000
    assert len(await payments.emitted(PAYMENTS_EVENTS, ProviderEventConflicted)) == 1
    assert len(await payments.emitted(PAYMENTS_EVENTS, PaymentProviderEventIngested)) == 1


async def test_volatile_fields_make_no_conflict(payments: Payments) -> None:
    event = charge_succeeded("october")
    again = {**event, "pending_webhooks": 7}
    assert await deliver(payments, event, again) == [200, 200]
    await works(payments)
    assert await payments.emitted(PAYMENTS_EVENTS, ProviderEventConflicted) == []
    assert (await counts(payments))["provider_events"] == 1


async def test_every_active_secret_is_accepted(payments: Payments) -> None:
    body = samples.stripe_body(charge_succeeded("october"))
    both = samples.sign_stripe(body, [OTHER_SECRET, STRIPE_SECRET], _now())
    assert (await post(payments, "stripe", body, both)).status_code == 200
    assert len(GOCARDLESS_SECRET) > 16


async def test_equal_deliveries_at_once_share_one_event(payments: Payments) -> None:
    await know_mark(payments)
    event = charge_succeeded("october")
    answers = await asyncio.gather(*(deliver(payments, event) for _ in range(50)))
    assert answers == [[200]] * 50
    await works(payments)
    counted = await counts(payments)
    assert (counted["provider_events"], counted["webhook_deliveries"], counted["payments"]) == (1, 50, 1)
    assert await payments.rows("SELECT deliveries FROM payments.provider_events") == [(50,)]


async def test_250_events_in_one_body_with_one_malformed_one_unknown_and_one_repeated(payments: Payments) -> None:
    events: list[dict[str, Any]] = []
    for number in range(83):
        steps = ("submit", "confirm")
        events += samples.gocardless_payment(
            f"debit-{number}", customer="CU_MARK", amount_minor=1000, at=_now(), steps=steps
        )
    events = [*events[:247], {"id": "EV_BAD", "created_at": "yesterday"}, _unknown(), events[0]]
    body = samples.gocardless_body(events, "WB250")
    assert (await post(payments, "gocardless", body, gocardless_headers(body))).status_code == 200
    await works(payments)

    counted = await counts(payments)
    assert (counted["provider_events"], counted["dead_letters"], counted["pending_events"]) == (248, 1, 0)
    outcomes = dict(
        await payments.rows("SELECT outcome = 'not_understood', count(*) FROM payments.provider_events GROUP BY 1")
    )
    assert outcomes == {False: 247, True: 1}
    assert len(await payments.emitted(PAYMENTS_EVENTS, PaymentProviderEventIngested)) == 248


@pytest.mark.parametrize("number", [0, 5_000])
async def test_gocardless_bodies_of_any_length_are_taken(payments: Payments, number: int) -> None:
    events = [{**_unknown(), "id": f"EV{index}", "metadata": {"note": "x" * 400}} for index in range(number)]
    body = samples.gocardless_body(events, "WB5000")
    assert (await post(payments, "gocardless", body, gocardless_headers(body))).status_code == 200
    await works(payments)
    (delivery,) = (await payments.get("/deliveries"))["items"]
    assert (delivery["state"], delivery["events"]) == ("processed", number)
    assert (await counts(payments))["provider_events"] == number


def _now() -> datetime:
    return datetime.now(UTC)


def _unknown() -> dict[str, Any]:
    return {
        "id": "EV_UNKNOWN",
        "created_at": "2026-11-02T01:02:03.456Z",
        "resource_type": "outbound_payments",
        "action": "scheduled",
        "links": {"outbound_payment": "OUT123"},
        "details": {"origin": "api", "cause": "scheduled", "description": "scheduled"},
        "metadata": {},
    }
