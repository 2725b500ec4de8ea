"""Two workers at once on one queue: whatever the order of arrival, the same payments, invoices and ledger.

Fifty copies of every scenario, each with its events in an order of its own and some of them twice, all interleaved in
one queue that is filled and worked off in parts. Two workers with small batches take turns as PostgreSQL lets them.
What stands in the end for each copy is what the same scenario leaves in memory.
"""

from __future__ import annotations

import asyncio
import random
import re
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import orjson
import pytest
from chassis.batch import Limits
from chassis.database import Database
from chassis.service import Runtime
from chassis.worker import Worker
from payments.collection import fetching
from payments.collection.objects import Key
from payments.main import input_work, service
from simulator import samples

from tests.payments import standing
from tests.payments.providers import SECRETS, Payments, deliver, deliver_debits, know_mark
from tests.payments.pure.model import MARK, MEMBERS, Input, Known
from tests.payments.pure.test_scenarios import books_of, doubled
from tests.payments.scenarios import SCENARIOS, Scenario
from tests.support.infrastructure import TemporaryDatabase
from tests.support.services import running

ORDERS = 50
ROWS_A_MEMBER = 20
PARTS = 5
AT_ONCE = 16
AT = datetime(2026, 10, 1, 1, 2, 3, tzinfo=UTC)
# The ids in the payloads of the scenarios, and what makes a copy's own of them.
_IDS: Final = re.compile(
    r'"((?:cus_|(?:ch|pi|in|re|du|txn|po|inpay|evt)_(?=[^"]*\d)|(?:PM|MD|CU|PO|EV)[0-9_]|MARK-0001)[^"]*)"'
)
_COPY: Final = re.compile(r"~(\d+)-(\d+)")
_MEMBER: Final = re.compile(rf"{MARK.id}[-0-9]+")
Net = Mapping[tuple[str, str, datetime, str], int]


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


@dataclass(frozen=True)
class Copy:
    """One of the fifty copies of a scenario: the same with ids of its own."""

    scenario: Scenario
    row: int
    number: int

    @property
    def mark(self) -> str:
        return f"~{self.row}-{self.number}"

    def own(self, sent: object) -> Any:
        """The same payload with this copy's ids."""
        return orjson.loads(_IDS.sub(rf'"\1{self.mark}"', orjson.dumps(sent).decode()))

    def key(self, key: Key) -> Key:
        return key._replace(id=key.id + self.mark)

    def customers(self, known: Iterable[Key]) -> list[dict[str, str]]:
        """How the providers know Mark in this copy."""
        return [{"provider": each.provider, "reference": each.id + self.mark} for each in known]


async def _happens(payments: Payments, copy: Copy, given: Input | Known) -> None:
    """Let one thing arrive as it does: by webhook, as the answer to a question, or from the staff."""
    if isinstance(given, Known):
        await _know(payments, f"{MARK.id}-{copy.row}-{copy.number}", copy.customers([given.customer]))
    elif given.key is not None and given.at is not None:
        body = orjson.dumps(copy.own(given.sent))
        async with payments.runtime.database.transaction() as tx:
            await fetching.keep(tx, copy.key(given.key), body, at=given.at)
    elif "resource_type" in given.sent:
        assert await deliver_debits(payments, [copy.own(given.sent)]) == 200
    else:
        assert await deliver(payments, copy.own(given.sent)) == [200]


async def _know(payments: Payments, member_id: str, customers: Sequence[Mapping[str, str]]) -> None:
    given = {"name": MARK.name, "customers": customers}
    answer = await payments.call("PUT", f"/members/{member_id}", json=given)
    assert answer.status_code == 200, answer.text


async def _know_all(payments: Payments, copies: Iterable[Copy]) -> None:
    """Tell of the members who are known from the start: one for some scenarios' copies of one number."""
    wanted: dict[str, list[dict[str, str]]] = defaultdict(list)
    for copy in copies:
        wanted[f"{MARK.id}-{copy.row // ROWS_A_MEMBER}-{copy.number}"] += copy.customers(MEMBERS)
    await _at_once(_know(payments, *each) for each in wanted.items())


async def _at_once(jobs: Iterable[Awaitable[None]]) -> None:
    """Do so many at a time, begun in this order."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(job: Awaitable[None]) -> None:
        async with gate:
            await job

    await asyncio.gather(*(one(job) for job in jobs))


async def test_fifty_orders_of_every_scenario_over_two_workers_end_as_in_memory(idle: Payments) -> None:
    chance = random.Random(1)
    copies = [Copy(each, row, number) for row, each in enumerate(SCENARIOS) for number in range(ORDERS)]
    await _know_all(idle, [copy for copy in copies if not copy.scenario.strangers])
    queue = list(_interleaved({copy: doubled(copy.scenario, chance) for copy in copies}, chance))

    worked: Counter[int] = Counter()
    for part in range(PARTS):
        await _at_once(_happens(idle, *each) for each in queue[part * len(queue) // PARTS :][: len(queue) // PARTS + 1])
        done = await work_off(idle, 2, batch_max_events=chance.randint(3, 9))
        worked.update(dict(enumerate(done)))

    assert min(worked.values()) > sum(worked.values()) // 10
    assert await idle.rows("SELECT count(*) FROM payments.pending_events") == [(0,)]
    assert await idle.rows("SELECT count(*) FROM payments.dead_letters") == [(0,)]
    await standing.check(idle)
    assert await standing.deadlocks(idle) == 0
    for row, views in enumerate(await _views(idle, copies)):
        scenario = SCENARIOS[row]
        assert [number for number, view in enumerate(views) if view != views[0]] == [], scenario
        assert views[0]["net"] == _plain_net(books_of(scenario).apply(*scenario.given).net()), scenario


def _interleaved(
    orders: Mapping[Copy, Sequence[Input | Known]], chance: random.Random
) -> Iterator[tuple[Copy, Input | Known]]:
    """Yield one queue that keeps each order within itself."""
    turns = [copy for copy, given in orders.items() for _ in given]
    chance.shuffle(turns)
    left = {copy: iter(given) for copy, given in orders.items()}
    for copy in turns:
        yield copy, next(left[copy])


async def _views(payments: Payments, copies: Sequence[Copy]) -> list[list[dict[str, Any]]]:
    """What stands for each copy of each scenario, told without the marks of the copies."""
    made: dict[tuple[int, int], dict[str, Any]] = {
        (copy.row, copy.number): {"payments": [], "invoices": [], "payouts": [], "net": []} for copy in copies
    }
    found, invoices = await standing.view(payments)
    payouts = await payments.rows("SELECT key, state, listed_minor::text, difference_minor FROM payments.payouts")
    net = [[*place, amount] for place, amount in (await standing.net(payments)).items()]
    for part, rows in (("payments", found), ("invoices", invoices), ("payouts", payouts), ("net", net)):
        for each in rows:
            told = orjson.dumps(list(each)).decode()
            ((row, number),) = set(_COPY.findall(told))
            made[int(row), int(number)][part].append(_MEMBER.sub(MARK.id, _COPY.sub("", told)))
    for view in made.values():
        view["payments"].sort()
        view["invoices"].sort()
        view["payouts"].sort()
        view["net"] = _told_net(map(orjson.loads, view["net"]))
    return [[made[row, number] for number in range(ORDERS)] for row in range(len(SCENARIOS))]


def _told_net(rows: Iterable[Sequence[Any]]) -> list[tuple[Any, ...]]:
    return sorted((key, account, datetime.fromisoformat(at), phase, amount) for key, account, at, phase, amount in rows)


def _plain_net(net: Net) -> list[tuple[Any, ...]]:
    return sorted((*place, amount) for place, amount in net.items())


async def test_events_that_are_repeated_while_two_workers_apply_them_wait_for_nobody_in_a_ring(idle: Payments) -> None:
    """An ingress counts repeated events, a worker notes what they did: both lock the same rows, in one order."""
    await know_mark(idle)
    chance = random.Random(7)
    bodies = []
    for body in range(20):
        events: list[dict[str, Any]] = []
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
