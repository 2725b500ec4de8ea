"""The adapter around aiokafka's producer: partitions, whose fault an error is, and an end that is one."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from typing import Any

import psutil
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaConnectionError, UnknownTopicOrPartitionError
from aiokafka.partitioner import DefaultPartitioner
from backbone import ports
from backbone.kafka import Broker
from chassis.kafka import KafkaSettings, Producer, Trouble, partition_for, trouble_of
from hypothesis import given
from hypothesis import strategies as st

from tests.support.eventually import eventually


@given(st.binary(max_size=80), st.integers(1, 60))
def test_keys_go_where_every_kafka_client_sends_them(key: bytes, partitions: int) -> None:
    numbers = list(range(partitions))
    assert partition_for(key, numbers) == DefaultPartitioner()(key, numbers, numbers)


async def make_topic(bootstrap_servers: str, name: str, **configs: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(name, 1, 1, topic_configs=configs)])
        await eventually(lambda: admin.describe_topics([name]), lambda found: found[0]["error_code"] == 0)
    finally:
        await admin.close()


async def end_of(bootstrap_servers: str, name: str) -> int:
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap_servers)
    await consumer.start()
    try:
        place = TopicPartition(name, 0)
        return int((await consumer.end_offsets([place]))[place])
    finally:
        await consumer.stop()


async def submit(producer: Producer, value: bytes) -> asyncio.Future[Any]:
    await producer.partitions_of("kept")
    batch = producer.batch()
    batch.append(timestamp=None, key=b"pay_1", value=value)
    return await producer.submit(batch, "kept", 0)


@pytest.fixture
async def producer(kafka: str, topic_prefix: str) -> AsyncIterator[Producer]:
    await make_topic(kafka, f"{topic_prefix}kept", **{"cleanup.policy": "compact"})
    made = await Producer.open(KafkaSettings(kafka, topic_prefix))
    yield made
    await made.close()


async def test_a_record_that_breaks_a_rule_of_its_topic_is_the_records_fault(producer: Producer) -> None:
    assert await producer.partitions_of("kept") == [0]
    batch = producer.batch()
    batch.append(timestamp=None, key=None, value=b"a compacted topic wants a key")

    with pytest.raises(Exception, match="InvalidRecord") as refused:
        await (await producer.submit(batch, "kept", 0))

    assert trouble_of(refused.value) is Trouble.RECORD


async def test_a_topic_that_is_not_there_is_not_made_by_asking(
    producer: Producer, kafka: str, topic_prefix: str
) -> None:
    with pytest.raises(UnknownTopicOrPartitionError) as missing:
        await producer.partitions_of("unmade")

    assert trouble_of(missing.value) is Trouble.TOPIC
    await make_topic(kafka, f"{topic_prefix}unmade")
    assert await producer.partitions_of("unmade") == [0]


async def test_no_broker_is_told_as_such() -> None:
    with pytest.raises(KafkaConnectionError) as nobody:
        await Producer.open(KafkaSettings(f"127.0.0.1:{ports.free_port()}"))

    assert trouble_of(nobody.value) is Trouble.BROKER


async def test_a_producer_that_was_closed_sends_nothing_any_more(private_kafka: Broker, topic_prefix: str) -> None:
    """The broker hangs while one batch is on the wire; of what comes after it nothing may ever arrive."""
    topic = f"{topic_prefix}kept"
    await make_topic(private_kafka.bootstrap_servers, topic)
    settings = KafkaSettings(private_kafka.bootstrap_servers, topic_prefix)
    producer = await Producer.open(settings)
    await producer.partitions_of("kept")
    assert private_kafka.process is not None
    broker = psutil.Process(private_kafka.process.pid)
    broker.send_signal(signal.SIGSTOP)
    try:
        unanswered = [await submit(producer, value) for value in (b"on the wire", b"in the buffer")]
        await producer.close()
    finally:
        broker.send_signal(signal.SIGCONT)

    successor = await Producer.open(settings)
    last = await (await submit(successor, b"after"))
    await successor.close()
    assert not any(future.done() for future in unanswered)
    assert last.offset <= 1, "more arrived than the one batch that was on the wire"
    assert await end_of(private_kafka.bootstrap_servers, topic) == last.offset + 1
