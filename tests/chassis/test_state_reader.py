"""A state reader against a real broker: read to the end, then followed; anew after a loss; not current when cut off."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError
from backbone.kafka import Broker
from chassis.clock import real_now
from chassis.kafka import KafkaSettings
from chassis.state_reader import StateReader, StateRecord
from contracts.topics import Topic

from tests.support.eventually import eventually

STATES = Topic("states", owner="tests", key="the key", description="For tests.", partitions=1, cleanup="compact")


class Newest:
    """The newest value of each key, and how often everything was forgotten."""

    def __init__(self) -> None:
        self.values: dict[str, bytes] = {}
        self.seen: list[tuple[str, bytes | None]] = []
        self.cleared = 0

    def clear(self) -> None:
        self.values.clear()
        self.cleared += 1

    def apply(self, record: StateRecord) -> None:
        self.seen.append((record.key, record.value))
        if record.value is None:
            self.values.pop(record.key, None)
        else:
            self.values[record.key] = record.value


async def make(servers: str, prefix: str, *, partitions: int = 1) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    await admin.start()
    try:
        name = prefix + STATES.name
        await admin.create_topics([NewTopic(name, partitions, 1, topic_configs={"cleanup.policy": "compact"})])
        await eventually(lambda: admin.describe_topics([name]), lambda found: found[0]["error_code"] == 0)
    finally:
        await admin.close()


async def unmake(servers: str, prefix: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    await admin.start()
    try:
        await admin.delete_topics([prefix + STATES.name])
        await eventually(admin.list_topics, lambda names: prefix + STATES.name not in names)
    finally:
        await admin.close()


async def write(servers: str, prefix: str, *records: tuple[str, bytes | None], at: datetime | None = None) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=servers, acks="all")
    await producer.start()
    try:
        stamp = None if at is None else int(at.timestamp() * 1_000)
        for key, value in records:
            await producer.send_and_wait(prefix + STATES.name, value, key=key.encode(), timestamp_ms=stamp)
    finally:
        await producer.stop()


@asynccontextmanager
async def following(servers: str, prefix: str) -> AsyncIterator[tuple[StateReader, Newest]]:
    view = Newest()
    reader = StateReader(STATES, KafkaSettings(servers, prefix), view, probe_seconds=0.2)
    task = asyncio.create_task(reader.run())
    try:
        yield reader, view
    finally:
        await reader.stop()
        await task


async def test_it_is_current_once_the_topic_is_read_to_its_end_and_then_follows(kafka: str, topic_prefix: str) -> None:
    """Keys were written several times, one was taken away; what nobody reads any more is not there."""
    await make(kafka, topic_prefix, partitions=2)
    await write(kafka, topic_prefix, ("a", b"1"), ("b", b"1"), ("a", b"2"), ("c", b"1"), ("b", None), ("a", b"3"))

    async with following(kafka, topic_prefix) as (reader, view):
        assert not reader.current
        assert not reader.check().ok
        await eventually(lambda: reader.current)
        assert view.values == {"a": b"3", "c": b"1"}
        assert view.cleared == 1
        assert [value for key, value in view.seen if key == "a"] == [b"1", b"2", b"3"], (
            "a key's records keep their order"
        )
        assert reader.check().ok

        await write(kafka, topic_prefix, ("c", None), ("d", b"1"))
        await eventually(lambda: dict(view.values), lambda values: values == {"a": b"3", "d": b"1"})
        assert reader.current
        assert view.cleared == 1


async def test_an_empty_topic_is_current_and_nothing_was_heard(kafka: str, topic_prefix: str) -> None:
    await make(kafka, topic_prefix)

    async with following(kafka, topic_prefix) as (reader, _):
        await eventually(lambda: reader.current)
        assert reader.heard_at is None


async def test_what_was_heard_last_is_as_old_as_its_record_says(kafka: str, topic_prefix: str) -> None:
    """Not as old as its arrival here: a reader that starts late must not take an old heartbeat for a new one."""
    await make(kafka, topic_prefix)
    an_hour_ago = (real_now() - timedelta(hours=1)).replace(microsecond=0)
    await write(kafka, topic_prefix, ("heartbeat", b"1"), at=an_hour_ago)

    async with following(kafka, topic_prefix) as (reader, _):
        await eventually(lambda: reader.current)
        assert reader.heard_at == an_hour_ago.astimezone(UTC)

        before = real_now() - timedelta(milliseconds=1)
        await write(kafka, topic_prefix, ("heartbeat", b"2"))
        heard = await eventually(lambda: reader.heard_at, lambda at: at is not None and at != an_hour_ago)
        assert heard is not None
        assert before <= heard <= real_now()


async def test_a_topic_that_is_not_there_yet_is_waited_for_and_not_made(kafka: str, topic_prefix: str) -> None:
    async with following(kafka, topic_prefix) as (reader, _):
        await eventually(lambda: reader.check().detail or "", lambda detail: "UnknownTopic" in detail)
        admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
        await admin.start()
        assert topic_prefix + STATES.name not in await admin.list_topics()
        await admin.close()

        await make(kafka, topic_prefix)
        await write(kafka, topic_prefix, ("a", b"1"))
        await eventually(lambda: reader.current)


async def test_a_topic_that_was_made_anew_is_read_anew(kafka: str, topic_prefix: str) -> None:
    await make(kafka, topic_prefix)
    await write(kafka, topic_prefix, ("a", b"1"), ("b", b"1"), ("c", b"1"))

    async with following(kafka, topic_prefix) as (reader, view):
        await eventually(lambda: reader.current)
        await unmake(kafka, topic_prefix)
        await eventually(lambda: reader.current, lambda current: not current)

        await make(kafka, topic_prefix)
        await write(kafka, topic_prefix, ("b", b"2"))
        await eventually(lambda: (reader.current, dict(view.values)), lambda seen: seen == (True, {"b": b"2"}))
        assert view.cleared >= 2


# A broker that ends while aiokafka connects to it can leave that one connection to the collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_it_is_not_current_while_the_broker_is_away_and_reads_anew_when_it_is_back(
    private_kafka: Broker, topic_prefix: str
) -> None:
    servers = private_kafka.bootstrap_servers
    await make(servers, topic_prefix)
    await write(servers, topic_prefix, ("a", b"1"))

    async with following(servers, topic_prefix) as (reader, view):
        await eventually(lambda: reader.current)

        await asyncio.to_thread(private_kafka.stop)
        await eventually(lambda: reader.current, lambda current: not current)
        assert view.values == {"a": b"1"}, "what was known is still known"

        await asyncio.to_thread(private_kafka.start)
        await eventually(lambda: reader.current, timeout_seconds=60)
        await write(servers, topic_prefix, ("a", b"2"))
        await eventually(lambda: view.values.get("a"), lambda value: value == b"2")
    gc.collect()


@pytest.mark.parametrize("wrong", [ConnectionError("gone"), asyncio.CancelledError()], ids=["an error", "cancelled"])
async def test_a_consumer_whose_fetching_went_wrong_leaves_no_connection_open(
    kafka: str, topic_prefix: str, wrong: BaseException
) -> None:
    await make(kafka, topic_prefix)
    async with following(kafka, topic_prefix) as (reader, _):
        await eventually(lambda: reader.current)
        consumer = reader._consumer

        async def fetching() -> None:
            raise wrong

        consumer._fetcher._pending_tasks.add(asyncio.ensure_future(fetching()))
        open_ones = list(consumer._client._conns.values())
        assert any(each.connected() for each in open_ones)
    assert not any(each.connected() for each in open_ones)


async def test_what_is_no_fault_of_kafkas_ends_the_part(kafka: str, topic_prefix: str) -> None:
    """A view that fails would otherwise leave a hole in the state that nobody knows of."""

    class Failing(Newest):
        def apply(self, record: StateRecord) -> None:
            raise KeyError(record.key)

    await make(kafka, topic_prefix)
    await write(kafka, topic_prefix, ("a", b"1"))
    reader = StateReader(STATES, KafkaSettings(kafka, topic_prefix), Failing(), probe_seconds=0.2)

    with pytest.raises(KeyError):
        async with asyncio.timeout(30):
            await reader.run()
    assert not reader.current
    assert not isinstance(KeyError(), KafkaError)
