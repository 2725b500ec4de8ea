"""Two workers at once on one queue: whatever the order of arrival, the same payments, invoices and ledger.

Fifty payments for each scenario, each with its events in an order of its own and some of them twice, all interleaved
in one queue. Two workers with small batches take turns as PostgreSQL lets them.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from chassis.batch import Limits
from chassis.database import Database
from chassis.service import Runtime
from chassis.worker import Worker
from payments.main import input_work, service
from simulator import samples

from tests.payments import standing
from tests.payments.providers import SECRETS, Payments, card_payment, deliver, deliver_debits, know_mark
from tests.support.infrastructure import TemporaryDatabase
from tests.support.services import running

Events = list[dict[str, Any]]
ORDERS = 50
AT = datetime(2026, 10, 1, 1, 2, 3, tzinfo=UTC)
ONE_TRIPLE = ("charge.succeeded", "payment_intent.succeeded", "invoice.paid")
SCENARIOS: Mapping[str, Callable[[str], Events]] = {
    "1: three events of one payment": lambda name: _only(
        ONE_TRIPLE, card_payment(name, at=AT, version=samples.BEFORE_BASIL)
    ),
    "3: failed and succeeded in the same second": lambda name: _only(
        ("charge.failed", "payment_intent.payment_failed", "charge.succeeded", "payment_intent.succeeded"),
        _in_one_second(
            card_payment(name, at=AT, with_invoice=False, outcomes=("insufficient_funds", "succeed")),
        ),
    ),
    "17: joined by the invoice payment alone": lambda name: _only(
        (*ONE_TRIPLE, "invoice_payment.paid"), card_payment(name, at=AT, version=samples.BASIL)
    ),
    "7, 8, 18: refunded in parts": lambda name: _returned(name, refunds=(3_333, 3_333, 4_334)),
    "9: disputed and won": lambda name: _returned(name, verdict="won"),
    "9: disputed and lost": lambda name: _returned(name, verdict="lost"),
}
CLEARED = {"7, 8, 18: refunded in parts": 0, "9: disputed and lost": -2_500}
"""What a payment leaves with Stripe, where that is not all of it."""


def _returned(name: str, **how: Any) -> Events:
    events = samples.stripe_return(name, customer="cus_mark", amount_minor=11_000, at=AT, **how)
    return [event for event in events if event["type"] not in ("payment_intent.created", "charge.refunded")]


def _only(types: Iterable[str], events: Events) -> Events:
    kept = [event for event in events if event["type"] in set(types)]
    assert len(kept) == len(set(types))
    return kept


def _in_one_second(events: Events) -> Events:
    """The same events, as if the second try had followed at once."""
    return [{**event, "created": int(AT.timestamp())} for event in events]


@pytest.fixture
async def idle(
    database_for: Callable[..., Awaitable[TemporaryDatabase]], kafka: str, topic_prefix: str
) -> AsyncIterator[Payments]:
    """A service that accepts deliveries and leaves the work to others."""
    database = await database_for("payments")
    async with running(service, database, kafka, topic_prefix, work=False, **SECRETS) as started:
        yield started


async def work_off(payments: Payments, workers: int, *, batch_max_events: int = 50) -> list[int]:
    """Let so many workers, each with a database of its own, work until the queue is empty."""
    settings = payments.runtime.settings
    async with AsyncExitStack() as opened:
        parts = []
        for _ in range(workers):
            runtime = await opened.enter_async_context(Runtime(service, settings))
            database: Database = runtime.database
            parts.append(Worker(database, input_work(settings), limits=Limits(max_items=batch_max_events)))
        return await asyncio.gather(*(part.drain() for part in parts))


@pytest.mark.parametrize("scenario", SCENARIOS)
async def test_every_order_over_two_workers_gives_the_same(idle: Payments, scenario: str) -> None:
    await know_mark(idle)
    chance = random.Random(scenario)
    made = [SCENARIOS[scenario](f"{scenario}-{number}") for number in range(ORDERS)]
    queue = _interleaved([_order(events, chance) for events in made], chance)
    assert set(await deliver(idle, *queue)) == {200}

    worked = await work_off(idle, 2, batch_max_events=chance.randint(3, 9))

    # Every repeated event was found out by the ingress.
    assert sum(worked) == sum(len(events) for events in made)
    assert min(worked) > 0
    await standing.check(idle)
    assert await standing.deadlocks(idle) == 0
    views = await _views(idle, made)
    assert views[0]["payments"]
    assert views[0]["net"]
    assert [number for number, view in enumerate(views) if view != views[0]] == []
    states = await idle.rows("SELECT DISTINCT state, awaiting FROM payments.payments WHERE NOT superseded")
    assert states == [("succeeded", [])]
    cleared = "SELECT amount_minor FROM payments.balances WHERE account = '1200 clearing:stripe'"
    assert await idle.rows(cleared) == [(CLEARED.get(scenario, 11_000) * ORDERS,)]


def _order(events: Events, chance: random.Random) -> Events:
    """All events in any order, some of them once more."""
    shuffled = [*events, *chance.sample(events, chance.randint(1, len(events)))]
    chance.shuffle(shuffled)
    return shuffled


def _interleaved(orders: Sequence[Events], chance: random.Random) -> Events:
    """One queue that keeps each order within itself."""
    turns = [number for number, events in enumerate(orders) for _ in events]
    chance.shuffle(turns)
    left = [iter(events) for events in orders]
    return [next(left[number]) for number in turns]


async def _views(payments: Payments, made: Sequence[Events]) -> list[dict[str, list[Any]]]:
    """What stands for each payment, with its own ids replaced by what they are the id of."""
    roles = {
        shown: (number, f"{event['data']['object']['object']} {position}")
        for number, events in enumerate(made)
        for position, event in enumerate(events)
        for shown in _ids(event)
    }
    views: list[dict[str, list[Any]]] = [{"payments": [], "invoices": [], "net": []} for _ in made]
    found, invoices = await standing.view(payments)
    net = sorted((*place, amount) for place, amount in (await standing.net(payments)).items())
    for part, rows in (("payments", found), ("invoices", invoices), ("net", net)):
        for row in rows:
            told = orjson.dumps(list(row)).decode()
            owners = set()
            for shown, (number, role) in roles.items():
                if shown in told:
                    owners.add(number)
                    told = told.replace(shown, role)
            (owner,) = owners
            views[owner][part].append(told)
    return [{part: sorted(rows) for part, rows in view.items()} for view in views]


def _ids(event: Mapping[str, Any]) -> list[str]:
    """What this event's object is known by, here and in others; objects of one kind tell the same."""
    shown = event["data"]["object"]
    moved = [entry["id"] for entry in shown.get("balance_transactions", ())]
    return [*moved, *(value for value in (shown["id"], shown.get("number"), shown.get("receipt_number")) if value)]


async def test_events_that_are_repeated_while_two_workers_apply_them_wait_for_nobody_in_a_ring(idle: Payments) -> None:
    """An ingress counts repeated events, a worker notes what they did: both lock the same rows, in one order."""
    await know_mark(idle)
    chance = random.Random(7)
    bodies = []
    for body in range(20):
        events: Events = []
        for number in range(10):
            name = f"debit-{body}-{number}"
            events += samples.gocardless_payment(
                name, customer="CU_MARK", amount_minor=1000, at=AT, steps=("submit", "confirm")
            )
        events.append({"id": f"EV_BAD_{body}", "created_at": "yesterday"})
        bodies.append(events)

    async def repeated() -> None:
        for number in range(60):
            again = [event for event in bodies[number % len(bodies)] if "BAD" not in event["id"]]
            chance.shuffle(again)
            assert await deliver_debits(idle, again, f"WB_AGAIN_{number}") == 200

    for number, events in enumerate(bodies):
        assert await deliver_debits(idle, events, f"WB{number}") == 200
    await asyncio.gather(work_off(idle, 2, batch_max_events=25), repeated(), repeated())

    assert await standing.deadlocks(idle) == 0
    await standing.check(idle)
    states = await idle.rows("SELECT state, count(*) FROM payments.webhook_deliveries WHERE events = 31 GROUP BY 1")
    assert states == [("dead_lettered", len(bodies))]
