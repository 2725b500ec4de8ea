"""The reader: what one member of a consumer's group does with the partitions that it has been given.

Partitions arrive paused. Each is placed (chassis.placement), which may have to wait for PostgreSQL, and then read.
Every batch is committed or dropped as a whole before the next one is asked for; one that is dropped is read again
from the stored position. Whatever this member believes about a position, PostgreSQL's compare-and-swap decides.
Tested in tests/chassis/test_consumer*.py.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import TYPE_CHECKING, Final

import structlog
from aiokafka import ConsumerRecord, TopicPartition
from contracts.topics import Topic

from chassis import positions
from chassis.batch import AbandonedError, Backoff, BatchLostError, Limits, Trouble, describe, run_batch
from chassis.consumer import Consumer, Delivery, Record
from chassis.database import Database
from chassis.faststream_adapter import REBALANCE_TIMEOUT_MS
from chassis.placement import Place, Verdict, Watermarks, place, start_again
from chassis.positions import Position, TopicPart
from chassis.telemetry import metrics, traces

if TYPE_CHECKING:
    from chassis.faststream_adapter import KafkaFeed

log = structlog.get_logger()
RELEASE_MAX_SECONDS: Final = REBALANCE_TIMEOUT_MS / 1_000 * 0.75


@dataclass(slots=True)
class ReaderState:
    """What a member of a group knows about its partitions; `alarms` stay until the process ends."""

    joined: bool = False
    assigned: int = 0
    placing_error: str | None = None
    alarms: dict[TopicPart, str] = field(default_factory=dict)


class Reader:
    """Places partitions, runs their records through the consumer, moves the positions."""

    def __init__(self, consumer: Consumer, database: Database, topics: Mapping[str, Topic]) -> None:
        """`topics` names each topic as the brokers know it."""
        self._consumer = consumer
        self._database = database
        self._topics = topics
        self._limits = Limits(max_items=consumer.batch_max_records)
        self._places: dict[TopicPart, Place] = {}
        self._partitions: dict[TopicPart, TopicPartition] = {}
        self._placing: set[asyncio.Task[None]] = set()
        self._abandon = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._moved = asyncio.Condition()
        self.feed: KafkaFeed
        self.trouble = Trouble()
        self.state = ReaderState()

    @property
    def busy(self) -> bool:
        """Whether a batch is in flight."""
        return not self._idle.is_set()

    @property
    def finishing(self) -> bool:
        """Whether the batch in flight is the last one before the partitions go, or the process does."""
        return self._abandon.is_set()

    @property
    def placed(self) -> Mapping[TopicPartition, int]:
        """The partitions that are being read, with the offset that each has come to."""
        return {self._partitions[part]: at.next_offset for part, at in self._places.items()}

    def position(self, part: TopicPart) -> int:
        """The next offset of a partition; -1 while it is not read here."""
        at = self._places.get(part)
        return -1 if at is None else at.next_offset

    async def passed(self, part: TopicPart, offset: int) -> None:
        """Wait until the stored position of `part` has passed `offset`."""
        async with self._moved:
            await self._moved.wait_for(lambda: self.position(part) > offset)

    async def finish(self) -> None:
        """Wait, but not for ever, for the batch in flight; one that would have to be tried again is dropped."""
        self._abandon.set()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(RELEASE_MAX_SECONDS):
                await self._idle.wait()

    # What the feed calls.

    async def assigned(self, partitions: Collection[TopicPartition]) -> None:
        self.state.joined, self.state.assigned = True, len(partitions)
        self._place_soon(partitions, doubts=0)

    async def released(self) -> None:
        for task in self._placing:
            task.cancel()
        await asyncio.gather(*self._placing, return_exceptions=True)
        await self.finish()
        # A batch that is still in flight keeps the old event: it gives up as soon as it fails, and cannot commit once
        # somebody else has moved its positions.
        self._abandon = asyncio.Event()
        self._places.clear()
        self.state.joined, self.state.assigned = False, 0

    async def deliver(self, records: Sequence[ConsumerRecord]) -> None:
        self._idle.clear()
        try:
            accepted, places = self._accept(records)
            await self._process(accepted, places)
        finally:
            self._idle.set()

    # Placing partitions.

    def _place_soon(self, partitions: Collection[TopicPartition], *, doubts: int) -> None:
        if partitions:
            task = asyncio.create_task(self._place(partitions, doubts), name=f"{self._consumer.name}.place")
            self._placing.add(task)
            task.add_done_callback(self._placing.discard)

    async def _place(self, partitions: Collection[TopicPartition], doubts: int) -> None:
        """Find out where to read on, however long PostgreSQL and Kafka take, and begin to read."""
        backoff = Backoff(first_seconds=0.1)
        for attempt in itertools.count(1):
            try:
                await self._find_places(partitions, doubts)
            except Exception as error:
                self.state.placing_error = describe(error)
                log.warning("consumer.not_placed", consumer=self._consumer.name, error=describe(error))
                await asyncio.sleep(backoff.seconds(attempt))
            else:
                self.state.placing_error = None
                break
        async with self._moved:
            self._moved.notify_all()

    async def _find_places(self, partitions: Collection[TopicPartition], doubts: int) -> None:
        parts = {TopicPart(self._topics[each.topic].name, each.partition): each for each in partitions}
        async with self._database.reading() as tx:
            known = await positions.load(tx.connection, self._database.schema, self._consumer.name, list(parts))
        earliest, end = await self.feed.watermarks(partitions)
        places = {
            part: place(
                known.get(part),
                Watermarks(earliest[each], end[each]),
                compacted=self._topics[each.topic].cleanup == "compact",
                doubts=doubts,
            )
            for part, each in parts.items()
        }
        # From here to the end nothing is awaited: no record can come between seeking and knowing what was sought.
        self.feed.start_reading({each: places[part].seek_to for part, each in parts.items()})
        self._places.update(places)
        self._partitions.update(parts)
        for part, at in places.items():
            self._tell_alarm(part, at)

    def _place_again(self, parts: Collection[TopicPart], *, doubts: int) -> None:
        """Stop reading partitions that are still held, and find out where to read on."""
        held = [self._partitions[part] for part in parts if self._places.pop(part, None) is not None]
        if held:
            self.feed.pause(held)
            self._place_soon(held, doubts=doubts)

    def _start_again(self, part: TopicPart, at: Place) -> None:
        self._tell_alarm(part, at)
        self._places[part] = start_again(at, at.earliest)
        self.feed.start_reading({self._partitions[part]: at.earliest})

    def _tell_alarm(self, part: TopicPart, at: Place) -> None:
        if at.alarm is None:
            return
        metrics.CONSUMER_ALARMS.labels(self._consumer.name, at.alarm.name.lower()).inc()
        self.state.alarms[part] = at.alarm.value
        log.error(
            "consumer.position_not_trusted",
            consumer=self._consumer.name,
            topic=part.topic,
            partition=part.partition,
            reason=at.alarm.value,
            position=None if at.known is None else at.known.next_offset,
            earliest=at.earliest,
        )

    # Records.

    def _accept(self, records: Sequence[ConsumerRecord]) -> tuple[list[Record], dict[TopicPart, Place]]:
        """The records to process, with their partitions: those that follow what is stored, where reading goes on."""
        accepted: list[Record] = []
        places: dict[TopicPart, Place] = {}
        for (topic, partition), group in itertools.groupby(records, attrgetter("topic", "partition")):
            name = self._topics[topic].name
            part = TopicPart(name, partition)
            at = self._places.get(part)
            if at is None:
                continue  # fetched before the partition was paused or given away; it is read again from its place
            verdict, taken = at.take([_record(name, each) for each in group])
            if verdict is Verdict.GO_ON:
                accepted.extend(taken)
                places[part] = at
            elif verdict is Verdict.START_AGAIN:
                self._start_again(part, at)
            else:
                self._place_again([part], doubts=at.doubts + 1)
        return accepted, places

    async def _process(self, records: list[Record], places: Mapping[TopicPart, Place]) -> None:
        for record in records:
            self._consumer.read(record)
        while records:
            delivery = Delivery(
                self._consumer, self._database.schema, records, {part: at.known for part, at in places.items()}
            )
            try:
                with traces.span(f"{self._consumer.name} batch", kind="consumer", links=_traces(records)):
                    await run_batch(self._database, delivery, self._limits, trouble=self.trouble, abandon=self._abandon)
            except AbandonedError:
                self.trouble.clear()
                return
            except BatchLostError as lost:
                log.warning("consumer.batch_lost", consumer=self._consumer.name, reason=str(lost))
                self.trouble.clear()
                self._place_again(list(places), doubts=0)
                return
            if delivery.duplicates:
                metrics.CONSUMER_SKIPPED.labels(self._consumer.name, "duplicate").inc(delivery.duplicates)
            await self._move(places, delivery.moved)
            records = records[delivery.taken :]

    async def _move(self, places: Mapping[TopicPart, Place], moved: Mapping[TopicPart, Position]) -> None:
        for part, to in moved.items():
            places[part].move(to)
        async with self._moved:
            self._moved.notify_all()


def _traces(records: Sequence[Record]) -> list[str | None]:
    if not traces.tracing():
        return []
    return [record.event.traceparent for record in records if record.unreadable is None]


def _record(topic: str, raw: ConsumerRecord) -> Record:
    return Record(topic, raw.partition, raw.offset, raw.timestamp, raw.key, raw.headers, raw.value)
