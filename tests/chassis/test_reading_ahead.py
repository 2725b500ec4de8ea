"""Records that come while a batch is handled: read ahead as one batch, whatever aiokafka fetched at once."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import pytest
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import ConsumerStoppedError
from chassis.faststream_adapter import Ahead
from contracts.topics import PAYMENTS_EVENTS

from tests.support.consuming import Ground, Raw
from tests.support.eventually import eventually


@pytest.fixture
async def consumer(ground: Ground) -> AsyncIterator[AIOKafkaConsumer]:
    """A consumer of one partition, which stands at its start."""
    await ground.create(PAYMENTS_EVENTS)
    made = AIOKafkaConsumer(bootstrap_servers=ground.servers, enable_auto_commit=False)
    await made.start()
    try:
        made.assign([part_of(ground)])
        await made.seek_to_beginning()
        yield made
    finally:
        await made.stop()


@pytest.fixture
async def ahead() -> AsyncIterator[Ahead]:
    made = Ahead(max_records=3)
    yield made
    await made.close()


def part_of(ground: Ground) -> TopicPartition:
    return TopicPartition(ground.physical(PAYMENTS_EVENTS), 0)


async def write(ground: Ground, *names: str) -> None:
    for name in names:
        await ground.write(PAYMENTS_EVENTS, Raw(name.encode(), b"key", partition=0))


def names(records: Sequence[ConsumerRecord]) -> list[str]:
    return [record.value.decode() for record in records]


async def test_what_comes_while_a_batch_is_handled_is_the_next_batch(
    ground: Ground, consumer: AIOKafkaConsumer, ahead: Ahead
) -> None:
    await write(ground, "first")
    assert names(await ahead.take(consumer)) == ["first"]

    await write(ground, "second", "third", "fourth", "fifth")
    await eventually(lambda: consumer.position(part_of(ground)), lambda read: read == 4)

    assert names(await ahead.take(consumer)) == ["second", "third", "fourth"], "no more than a batch"
    assert names(await ahead.take(consumer)) == ["fifth"]


async def test_what_was_read_ahead_is_dropped_where_reading_goes_on_elsewhere(
    ground: Ground, consumer: AIOKafkaConsumer, ahead: Ahead
) -> None:
    await write(ground, "first", "second", "third")
    taken = names(await ahead.take(consumer))
    await eventually(lambda: consumer.position(part_of(ground)), lambda read: read == 3)

    ahead.forget([part_of(ground)])
    consumer.seek(part_of(ground), 0)

    again: list[str] = []
    while len(again) < 3:
        again += names(await ahead.take(consumer))
    assert taken[0] == "first"
    assert again == ["first", "second", "third"]


async def test_who_takes_is_told_why_nothing_can_be_read(consumer: AIOKafkaConsumer, ahead: Ahead) -> None:
    await consumer.stop()
    for _ in range(2):
        with pytest.raises(ConsumerStoppedError):
            await ahead.take(consumer)
