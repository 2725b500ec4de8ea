"""Kafka as the bench needs it: topics whose records carry the broker's clock, filled, paced and read back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from tests.bench.bodies import OwnEvent
from tests.bench.figures import Verdict

PARTITIONS = 6
HEADERS = [("content-type", b"application/cloudevents+json")]


@dataclass(frozen=True, slots=True)
class Seen:
    """One record as it was read back."""

    id: str
    key: str
    number: int
    timestamp_ms: int


async def create(bootstrap_servers: str, *names: str, stamped_by: Literal["broker", "producer"] = "producer") -> None:
    kind = "LogAppendTime" if stamped_by == "broker" else "CreateTime"
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers)
    await admin.start()
    try:
        wanted = [NewTopic(name, PARTITIONS, 1, topic_configs={"message.timestamp.type": kind}) for name in names]
        await admin.create_topics(wanted)
    finally:
        await admin.close()


def _producer(bootstrap_servers: str, linger_ms: int) -> AIOKafkaProducer:
    return AIOKafkaProducer(
        bootstrap_servers=bootstrap_servers,
        enable_idempotence=True,
        acks="all",
        compression_type="lz4",
        linger_ms=linger_ms,
        max_batch_size=1_000_000 if linger_ms else 16_384,
    )


async def fill(bootstrap_servers: str, topic: str, events: Iterable[OwnEvent]) -> None:
    """Send all at once, in order per key."""
    producer = _producer(bootstrap_servers, linger_ms=5)
    await producer.start()
    try:
        sent = [
            await producer.send(topic, value=event.value, key=event.key.encode(), headers=HEADERS) for event in events
        ]
        await asyncio.gather(*sent)
    finally:
        await producer.stop()


async def pace(bootstrap_servers: str, topic: str, events: Sequence[OwnEvent], rate: float) -> dict[str, int]:
    """Send at `rate` a second; returns when each was sent, in ns since the epoch."""
    producer = _producer(bootstrap_servers, linger_ms=0)
    await producer.start()
    sent_ns: dict[str, int] = {}
    try:
        began = time.monotonic()
        acknowledgements = []
        for number, event in enumerate(events):
            await asyncio.sleep(max(0.0, began + number / rate - time.monotonic()))
            sent_ns[event.id] = time.time_ns()
            acknowledgements.append(
                await producer.send(topic, value=event.value, key=event.key.encode(), headers=HEADERS)
            )
        await asyncio.gather(*acknowledgements)
    finally:
        await producer.stop()
    return sent_ns


async def read_all(bootstrap_servers: str, topic: str) -> list[Seen]:
    """Every record from the beginning to the present end, in order within each partition."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap_servers, enable_auto_commit=False, auto_offset_reset="earliest"
    )
    await consumer.start()
    try:
        partitions = [TopicPartition(topic, number) for number in range(PARTITIONS)]
        ends = await consumer.end_offsets(partitions)
        consumer.assign(partitions)
        await consumer.seek_to_beginning(*partitions)
        seen: list[Seen] = []
        while any([await consumer.position(partition) < ends[partition] for partition in partitions]):
            for records in (await consumer.getmany(timeout_ms=200)).values():
                for record in records:
                    event = orjson.loads(record.value)
                    number = (event["data"].get("after") or {}).get("number", -1)
                    seen.append(Seen(event["id"], (record.key or b"").decode(), number, record.timestamp))
        return seen
    finally:
        await consumer.stop()


def compare(sent: Iterable[OwnEvent], seen: Sequence[Seen]) -> Verdict:
    """What is missing, double, or behind a later event of its key."""
    expected = {event.id for event in sent}
    ids = [record.id for record in seen if record.id in expected]
    last: dict[str, int] = {}
    misordered = 0
    for record in seen:
        if record.id in expected:
            misordered += record.number < last.get(record.key, -1)
            last[record.key] = record.number
    return Verdict(lost=len(expected) - len(set(ids)), doubled=len(ids) - len(set(ids)), misordered=misordered)
