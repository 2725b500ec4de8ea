"""Consumers while PostgreSQL, Kafka, other members and their own process come and go: each effect happens once."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial

import pytest
from backbone.kafka import Broker
from backbone.postgres import Cluster
from chassis.consumer import Consumer, Record
from chassis.runner import ConsumerDeadError
from chassis.transaction import Transaction
from contracts.envelope import Event
from contracts.events import PaymentUpdated
from contracts.topics import PAYMENTS_EVENTS

from tests.support.consumer_process import noting_consumer
from tests.support.consuming import SCHEMA, Ground, Raw, a_ground, an_event, lay_tables, note, settings_for
from tests.support.eventually import eventually
from tests.support.infrastructure import Databases, TemporaryDatabase


class Gate:
    """Lets a handler wait in mid-batch until the test says so."""

    def __init__(self) -> None:
        self.entered = asyncio.Event()
        self.opened = asyncio.Event()

    def consumer(self, stops_at: str) -> Consumer:
        consumer = Consumer("noting", reads=[PAYMENTS_EVENTS], batch_max_records=100)

        @consumer.on(PaymentUpdated)
        async def note_but_stop_once(tx: Transaction, event: Event[PaymentUpdated]) -> None:
            payment = event.data.body.payment.id
            if payment == stops_at and not self.entered.is_set():
                self.entered.set()
                await self.opened.wait()
            await note(tx, event.id, payment)

        return consumer


def payments(first: int, last: int) -> list[str]:
    return [f"pay_{n}" for n in range(first, last)]


async def write(ground: Ground, first: int, last: int, *, partition: int = 0) -> int:
    raws = [Raw(an_event(name).encode(), name.encode(), partition=partition) for name in payments(first, last)]
    return (await ground.write(PAYMENTS_EVENTS, *raws))[-1]


async def test_a_rebalance_waits_for_the_batch_in_flight(ground: Ground) -> None:
    """A second member joins while the first is in mid-batch; nothing is handled twice, nothing is lost."""
    await ground.create(PAYMENTS_EVENTS, partitions=2)
    handled: list[str] = []
    gate = Gate()
    first = gate.consumer(stops_at="pay_20")
    second = Consumer("noting", reads=[PAYMENTS_EVENTS])

    @second.on(PaymentUpdated)
    async def note_here(tx: Transaction, event: Event[PaymentUpdated]) -> None:
        handled.append(event.data.body.payment.id)
        await note(tx, event.id, event.data.body.payment.id)

    await write(ground, 0, 40)
    await write(ground, 100, 140, partition=1)
    async with ground.running(first) as old:
        await gate.entered.wait()
        async with ground.running(second) as new:
            await eventually(lambda: old.reader.finishing)
            assert await ground.effects() == []
            gate.opened.set()
            await eventually(lambda: len(old.reader.placed) == len(new.reader.placed) == 1)
            await write(ground, 40, 60)
            await write(ground, 140, 160, partition=1)
            await eventually(ground.effects, lambda seen: len(seen) == 120)
        await eventually(lambda: len(old.reader.placed) == 2)
        await write(ground, 60, 70)
        await write(ground, 160, 170, partition=1)
        await eventually(ground.effects, lambda seen: len(seen) == 140)

    assert sorted(await ground.effects()) == sorted([*payments(0, 70), *payments(100, 170)])
    assert len(handled) == len(set(handled)) == 20


async def test_a_zombie_that_commits_late_loses(ground: Ground) -> None:
    """A process is replaced while it hangs in mid-batch: when it wakes up, its whole transaction is rolled back."""
    await ground.create(PAYMENTS_EVENTS)
    await write(ground, 0, 30)
    gate = Gate()
    static = settings_for(
        ground.database.engine.url.render_as_string(hide_password=False).replace("+asyncpg", ""),
        ground.servers,
        ground.settings.topic_prefix,
        instance="payments-0",
    )
    zombie = gate.consumer(stops_at="pay_10").runner(ground.database, static)
    running = asyncio.create_task(zombie.run())
    await gate.entered.wait()

    async with ground.running(noting_consumer(), static) as successor:
        await successor.passed(PAYMENTS_EVENTS.name, 0, 29)
        gate.opened.set()
        await eventually(lambda: not zombie.reader.busy)
        await write(ground, 30, 40)
        await successor.passed(PAYMENTS_EVENTS.name, 0, 39)

    assert await ground.effects() == payments(0, 40)
    await zombie.stop()
    await asyncio.gather(running, return_exceptions=True)


async def test_connections_to_postgres_are_cut_again_and_again(ground: Ground) -> None:
    await ground.create(PAYMENTS_EVENTS)
    async with ground.running(noting_consumer()) as runner:
        for start in range(0, 300, 100):
            last = await write(ground, start, start + 100)
            await ground.rows(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            await runner.passed(PAYMENTS_EVENTS.name, 0, last)

    assert await ground.effects() == payments(0, 300)
    assert await ground.dead() == []


async def test_postgres_goes_away_and_comes_back(private_postgres: Cluster, kafka: str, topic_prefix: str) -> None:
    """It is away while a batch arrives, and when a consumer starts: both wait and say so, no record is blamed."""
    databases = Databases(private_postgres.admin_url)
    database = await databases.create()
    await lay_tables(database)
    async with a_ground(database, kafka, topic_prefix) as ground:
        await ground.create(PAYMENTS_EVENTS)
        await write(ground, 0, 10)
        async with ground.running(noting_consumer()) as runner:
            await runner.passed(PAYMENTS_EVENTS.name, 0, 9)
            await asyncio.to_thread(private_postgres.kill)
            last = await write(ground, 10, 60)
            await eventually(lambda: not runner.check().ok)
            assert "a batch has failed" in str(runner.check().detail)
            await asyncio.to_thread(private_postgres.start)
            await runner.passed(PAYMENTS_EVENTS.name, 0, last)
            await eventually(lambda: runner.check().ok)

        await asyncio.to_thread(private_postgres.stop)
        last = await write(ground, 60, 70)
        async with ground.running(noting_consumer()) as runner:
            await eventually(lambda: "positions:" in str(runner.check().detail))
            await asyncio.to_thread(private_postgres.start)
            await runner.passed(PAYMENTS_EVENTS.name, 0, last)

        assert await ground.effects() == payments(0, 70)
        assert await ground.dead() == []


async def test_kafka_goes_away_and_comes_back(
    private_kafka: Broker, laid_database: TemporaryDatabase, topic_prefix: str
) -> None:
    """It is away when the consumer starts, and again while it runs; the process lives on and says what is missing."""
    async with a_ground(laid_database, private_kafka.bootstrap_servers, topic_prefix) as ground:
        await ground.create(PAYMENTS_EVENTS)
        last = await write(ground, 0, 30)
        await asyncio.to_thread(private_kafka.stop)
        async with ground.running(noting_consumer()) as runner:
            await eventually(lambda: "Kafka" in str(runner.check().detail) and runner.state.error)
            await asyncio.to_thread(private_kafka.start)
            await runner.passed(PAYMENTS_EVENTS.name, 0, last)

            await asyncio.to_thread(private_kafka.kill)
            await eventually(lambda: not runner.check().ok, timeout_seconds=60)
            assert runner.alive
            await asyncio.to_thread(private_kafka.start)
            last = await write(ground, 30, 60)
            await runner.passed(PAYMENTS_EVENTS.name, 0, last, timeout_seconds=60)
            await eventually(lambda: runner.check().ok, timeout_seconds=60)

        assert await ground.effects() == payments(0, 60)


async def test_a_process_killed_after_the_commit_repeats_nothing(
    ground: Ground, laid_database: TemporaryDatabase
) -> None:
    """Killed as soon as its position is seen in PostgreSQL, before any offset can have reached Kafka."""
    await ground.create(PAYMENTS_EVENTS)
    await write(ground, 0, 200)
    for kills in range(1, 3):
        async with a_process(ground, laid_database) as process:
            await eventually(partial(has_passed, ground, 20 * kills))
            process.send_signal(signal.SIGKILL)
            await process.wait()

    static = ground.settings.model_copy(update={"instance": "payments-0"})
    async with ground.running(noting_consumer(), static) as runner:
        await runner.passed(PAYMENTS_EVENTS.name, 0, 199)
        assert runner.reader.state.alarms == {}
    assert await ground.effects() == payments(0, 200)


async def has_passed(ground: Ground, offset: int) -> bool:
    at = await ground.position(PAYMENTS_EVENTS)
    return at is not None and at >= offset


@asynccontextmanager
async def a_process(ground: Ground, database: TemporaryDatabase) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.support.consumer_process",
        database.url_for(SCHEMA),
        ground.servers,
        ground.settings.topic_prefix,
        "payments-0",
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_a_consumer_whose_coordination_has_died_ends(ground: Ground) -> None:
    await ground.create(PAYMENTS_EVENTS)
    runner = noting_consumer().runner(ground.database, ground.settings)
    running = asyncio.create_task(runner.run())
    await eventually(lambda: runner.check().ok)
    coordination = [task for task in asyncio.all_tasks() if "_coordination_routine" in repr(task.get_coro())]

    for task in coordination:
        task.cancel()

    with pytest.raises(ConsumerDeadError, match="group coordination has ended"):
        await running
    assert not runner.alive
    assert runner.check().detail == "its group coordination has ended"


async def test_what_faststream_would_swallow_ends_the_consumer(ground: Ground) -> None:
    """A failure that is no handler's, between the arrival of a batch and its end, must not lose the batch."""
    await ground.create(PAYMENTS_EVENTS)
    runner = noting_consumer().runner(ground.database, ground.settings)
    running = asyncio.create_task(runner.run())
    await eventually(lambda: runner.check().ok)
    runner.reader._topics = {}  # a defect of ours, whatever it is: the topic of the batch is not known
    await write(ground, 0, 1)

    with pytest.raises(ConsumerDeadError, match="delivery failed"):
        await running


async def test_stopping_commits_the_batch_in_flight(ground: Ground) -> None:
    await ground.create(PAYMENTS_EVENTS)
    await write(ground, 0, 10)
    gate = Gate()
    async with ground.running(gate.consumer(stops_at="pay_5")) as runner:
        await gate.entered.wait()
        stopping = asyncio.create_task(runner.stop())
        await eventually(lambda: runner.reader.finishing)
        gate.opened.set()
        await stopping

    assert await ground.effects() == payments(0, 10)
    assert await ground.position(PAYMENTS_EVENTS) == 10


async def test_stopping_does_not_wait_for_a_server_that_is_away(
    laid_database: TemporaryDatabase, topic_prefix: str
) -> None:
    async with a_ground(laid_database, "127.0.0.1:1", topic_prefix) as ground:
        consumer = noting_consumer()
        async with ground.running(consumer) as runner:
            await eventually(lambda: runner.state.error)
            assert not runner.check().ok


async def test_a_handler_that_meets_poison_under_fire_still_blames_the_right_event(ground: Ground) -> None:
    """PostgreSQL cuts connections while a batch is being halved."""
    await ground.create(PAYMENTS_EVENTS)
    consumer = Consumer("noting", reads=[PAYMENTS_EVENTS])
    cuts = iter(range(3))

    @consumer.on_batch
    async def fail_on_one(tx: Transaction, batch: Sequence[Record]) -> None:
        for record in batch:
            await note(tx, record.event.id, record.event.subject)
        if len(batch) < 20 and next(cuts, None) is not None:
            raise ConnectionResetError("cut")
        if any(record.event.subject == "pay_33" for record in batch):
            raise ValueError("never")

    last = await write(ground, 0, 100)
    async with ground.running(consumer) as runner:
        await runner.passed(PAYMENTS_EVENTS.name, 0, last)

    assert await ground.effects() == [name for name in payments(0, 100) if name != "pay_33"]
    assert [pointer for pointer, _, _ in await ground.dead()] == ["payments-events/0/33"]
