"""The ingress: what is believed, what is refused, and that nothing is lost either way."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from chassis.telemetry import metrics, traces
from chassis.web import Problem
from contracts.events import MessageDeadLettered, PaymentProviderEventIngested, ProviderEventConflicted
from contracts.topics import PAYMENTS_EVENTS
from payments.deliveries.ingress import DeliveryIngress, doors
from payments.main import service
from simulator import samples

from tests.payments.providers import (
    GOCARDLESS_SECRET,
    NO_API,
    SECRETS,
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
from tests.support.eventually import eventually
from tests.support.services import running

Start = Callable[..., Awaitable[Payments]]
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


@pytest.fixture
async def start(database_for: Any, kafka: str, topic_prefix: str) -> AsyncIterator[Start]:
    """Start the service with settings of the test's own."""
    async with AsyncExitStack() as stack:

        async def begin(**settings: Any) -> Payments:
            database = await database_for("payments")
            started = running(service, database, kafka, topic_prefix, **{**SECRETS, **NO_API, **settings})
            return await stack.enter_async_context(started)

        yield begin


async def parts(given: list[bytes], until: asyncio.Event | None = None) -> AsyncIterator[bytes]:
    """A body that comes in parts; all but the first wait for `until`."""
    for number, part in enumerate(given):
        if number and until is not None:
            await until.wait()
        yield part
    if len(given) == 1 and until is not None:
        await until.wait()


def ingress_of(payments: Payments) -> DeliveryIngress:
    ingress = payments.runtime.ingress
    assert isinstance(ingress, DeliveryIngress)
    return ingress


def outcomes(provider: str, outcome: str) -> float:
    """How many events of a provider had this outcome."""
    labels = {"provider": provider, "outcome": outcome}
    return metrics.REGISTRY.get_sample_value("backbone_provider_events_total", labels) or 0.0


def answered(status: str) -> float:
    """How often Stripe was answered so."""
    return (
        metrics.REGISTRY.get_sample_value("backbone_ingress_answers_total", {"source": "stripe", "answer": status})
        or 0.0
    )


def forged(body: bytes, kind: str) -> dict[str, Any]:
    now = time.time()
    match kind:
        case "wrong secret":
            return stripe_headers(body, OTHER_SECRET)
        case "too old":
            return stripe_headers(body, at=now - 301)
        case "too new":
            return stripe_headers(body, at=now + 3_600)
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


async def test_rejected_deliveries_are_kept_until_the_quota_is_spent_then_by_hash(start: Start) -> None:
    quota = 20_000
    payments = await start(rejected_kept_max_bytes=quota)
    padding = {"x-padding": "p" * 4_000}
    for number in range(10):
        assert (await post(payments, "gocardless", b"%03d" % number, padding)).status_code == 498
    kept = await payments.rows(
        "SELECT body IS NOT NULL, octet_length(headers) + coalesce(octet_length(body), 0)"
        " FROM payments.webhook_deliveries ORDER BY id"
    )
    assert [whole for whole, _ in kept] == [True] * 4 + [False] * 6
    assert all(size == 0 for whole, size in kept if not whole)
    spent = sum(size for _, size in kept)
    assert quota - 4_500 < spent <= quota
    assert await payments.rows("SELECT kept_bytes FROM payments.rejected_bytes WHERE provider = 'gocardless'") == [
        (spent,)
    ]


async def test_a_body_in_parts_is_taken_like_one(start: Start) -> None:
    payments = await start(delivery_max_bytes=10_000, deliveries_in_flight_max_bytes=15_000)
    body = samples.stripe_body(charge_succeeded("october"))
    headers = stripe_headers(body)
    halves = [body[:100], body[100:]]
    assert (await payments.client.post("/webhooks/stripe", content=parts(halves), headers=headers)).status_code == 200
    assert (await counts(payments))["provider_events"] == 1

    large = [b"x" * 4_000] * 4
    answer = await payments.client.post("/webhooks/stripe", content=parts(large), headers=headers)
    assert answer.status_code == 413
    (kept,) = (await payments.get("/deliveries?state=rejected"))["items"]
    assert (kept["body_bytes"], kept["refusal"]) == (16_000, "too_large")
    assert kept["sha256"] == hashlib.sha256(b"x" * 16_000).hexdigest()
    assert (await payments.get(f"/deliveries/{kept['id']}"))["body"] is None


async def test_a_body_that_stops_coming_is_given_up_and_leaves_nothing(start: Start) -> None:
    payments = await start(delivery_read_timeout_seconds=0.05)
    never = asyncio.Event()
    answer = await payments.client.post("/webhooks/stripe", content=parts([b"{"], until=never))
    assert answer.status_code == 408
    assert (await counts(payments))["webhook_deliveries"] == 0


async def test_more_than_may_be_in_flight_is_asked_to_come_again_and_counted(start: Start) -> None:
    payments = await start(deliveries_in_flight_max_bytes=10_000)
    before = answered("503")
    go_on = asyncio.Event()
    slow = asyncio.create_task(
        payments.client.post("/webhooks/stripe", content=parts([b"x" * 6_000, b"x"], until=go_on))
    )
    await eventually(lambda: ingress_of(payments).in_flight_bytes == 6_000)
    for content in (b"x" * 6_000, parts([b"x" * 3_000, b"x" * 3_000])):
        answer = await payments.client.post("/webhooks/stripe", content=content)
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) >= 1
    go_on.set()
    assert (await slow).status_code == 400
    assert ingress_of(payments).in_flight_bytes == 0
    assert answered("503") == before + 2


@pytest.mark.parametrize("begun", [False, True])
async def test_a_sender_that_hangs_up_leaves_nothing(payments: Payments, begun: bool) -> None:
    messages = [{"type": "http.request", "body": b"{", "more_body": True}] if begun else []
    messages.append({"type": "http.disconnect"})

    async def receive() -> dict[str, Any]:
        return messages.pop(0)

    stripe, _ = doors(payments.runtime.settings)
    with pytest.raises(Problem, match="hung up"):
        await ingress_of(payments).take(stripe, [], receive)
    assert ingress_of(payments).in_flight_bytes == 0
    assert (await counts(payments))["webhook_deliveries"] == 0


async def test_the_same_id_with_other_content_is_kept_and_never_applied(payments: Payments) -> None:
    await know_mark(payments)
    event = charge_succeeded("october")
    other = orjson.loads(orjson.dumps(event))
    other["data"]["object"]["amount"] = other["data"]["object"]["amount_captured"] = 99_900
    assert await deliver(payments, event, other, event) == [200, 200, 200]
    await works(payments)

    (payment,) = (await payments.get("/payments"))["items"]
    assert payment["amount"]["amount_minor"] == 11000
    for delivery in (await payments.get("/deliveries"))["items"]:
        assert len((await payments.get(f"/deliveries/{delivery['id']}"))["provider_events"]) == 1
    assert len(await payments.emitted(PAYMENTS_EVENTS, ProviderEventConflicted)) == 1
    assert len(await payments.emitted(PAYMENTS_EVENTS, PaymentProviderEventIngested)) == 1


async def test_volatile_fields_make_no_conflict(payments: Payments) -> None:
    event = charge_succeeded("october")
    again = {**event, "pending_webhooks": 7}
    assert await deliver(payments, event, again) == [200, 200]
    await works(payments)
    assert await payments.emitted(PAYMENTS_EVENTS, ProviderEventConflicted) == []
    assert (await counts(payments))["provider_events"] == 1


async def test_every_active_secret_is_accepted(start: Start) -> None:
    payments = await start(
        stripe_webhook_secrets=f"{OTHER_SECRET}, {STRIPE_SECRET}",
        gocardless_webhook_secrets=f"{OTHER_SECRET},{GOCARDLESS_SECRET}",
    )
    for number, secret in enumerate((OTHER_SECRET, STRIPE_SECRET)):
        body = samples.stripe_body(charge_succeeded(f"month-{number}"))
        assert (await post(payments, "stripe", body, stripe_headers(body, secret))).status_code == 200
    for number, secret in enumerate((OTHER_SECRET, GOCARDLESS_SECRET)):
        body = samples.gocardless_body([], f"WB{number}")
        assert (await post(payments, "gocardless", body, gocardless_headers(body, secret))).status_code == 200
    body = samples.stripe_body(charge_succeeded("rolled"))
    both = samples.sign_stripe(body, ["whsec_nobody_has_this_0003", STRIPE_SECRET], _now())
    assert (await post(payments, "stripe", body, both)).status_code == 200
    used = await payments.rows("SELECT DISTINCT verified_by FROM payments.webhook_deliveries ORDER BY 1")
    assert used == [("gocardless-1",), ("gocardless-2",), ("stripe-1",), ("stripe-2",)]


async def test_the_trace_of_a_delivery_goes_on_in_its_event(payments: Payments) -> None:
    trace_id = "4bf92f3577b34da6a3ce929d0e0e4736"
    body = samples.stripe_body(charge_succeeded("october"))
    headers = {**stripe_headers(body), "traceparent": f"00-{trace_id}-00f067aa0ba902b7-01"}
    assert (await post(payments, "stripe", body, headers)).status_code == 200
    await works(payments)
    (told,) = await payments.emitted(PAYMENTS_EVENTS, PaymentProviderEventIngested)
    assert told.traceparent is not None
    assert traces.trace_id_of(told.traceparent) == trace_id


async def test_equal_deliveries_at_once_share_one_event(payments: Payments) -> None:
    await know_mark(payments)
    event = charge_succeeded("october")
    answers = await asyncio.gather(*(deliver(payments, event) for _ in range(50)))
    assert answers == [[200]] * 50
    await works(payments)
    counted = await counts(payments)
    assert (counted["provider_events"], counted["webhook_deliveries"], counted["payments"]) == (1, 50, 1)
    assert await payments.rows("SELECT deliveries FROM payments.provider_events") == [(50,)]
    (first,) = await payments.rows("SELECT delivery_id FROM payments.provider_events")
    for delivery in (await payments.get("/deliveries"))["items"][:3]:
        (shown,) = (await payments.get(f"/deliveries/{delivery['id']}"))["provider_events"]
        assert (shown["event_id"], shown["delivery_id"], shown["deliveries"]) == (event["id"], str(first[0]), 50)


async def test_250_events_in_one_body_with_one_malformed_one_unknown_and_one_repeated(payments: Payments) -> None:
    events: list[dict[str, Any]] = []
    for number in range(83):
        events += samples.gocardless_payment(
            f"debit-{number}", customer="CU_MARK", amount_minor=1000, at=_now(), steps=("submit", "confirm")
        )
    events = [*events[:247], {"id": "EV_BAD", "created_at": "yesterday"}, _unknown(), events[0]]
    body = samples.gocardless_body(events, "WB250")
    not_understood = outcomes("gocardless", "not_understood")
    assert (await post(payments, "gocardless", body, gocardless_headers(body))).status_code == 200
    await works(payments)

    counted = await counts(payments)
    assert (counted["provider_events"], counted["dead_letters"], counted["pending_events"]) == (248, 1, 0)
    understood = dict(
        await payments.rows("SELECT outcome = 'not_understood', count(*) FROM payments.provider_events GROUP BY 1")
    )
    assert understood == {False: 247, True: 1}
    assert outcomes("gocardless", "not_understood") == not_understood + 1
    assert len(await payments.emitted(PAYMENTS_EVENTS, PaymentProviderEventIngested)) == 248
    (delivery,) = (await payments.get("/deliveries"))["items"]
    shown = (await payments.get(f"/deliveries/{delivery['id']}"))["provider_events"]
    known = [*events[:247], events[248]]
    assert [each["event_id"] for each in shown] == [each["id"] for each in known]


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
