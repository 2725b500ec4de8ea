"""The one place that knows FastStream and aiokafka's consumer: batches of raw records in, nothing else.

It promises: no record is lost to its headers or its body, for neither is decoded here; no offset is committed before
`deliver` has returned, and none is ever read back; no topic is created; reading begins where `seek` says; a rebalance
waits for `released`. FastStream swallows what a handler raises, so `deliver` must not fail: should it, this feed is
dead, and so is one whose coordination or fetching has ended, for aiokafka revives neither.

While a batch is processed the next one is read ahead, so that it holds all that has come meanwhile: aiokafka fetches
nothing while records of an earlier fetch wait, and FastStream sleeps when it was given none.

FastStream 0.7 and aiokafka 0.14 are pinned exactly, because what follows reads their internals.
Tested in tests/chassis/test_consumer*.py.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from types import TracebackType
from typing import Any, Final, Protocol

from aiokafka import ConsumerRebalanceListener, ConsumerRecord, TopicPartition
from aiokafka.structs import OffsetAndMetadata
from faststream import AckPolicy, BaseMiddleware
from faststream.kafka import KafkaBroker
from faststream.kafka.message import FAKE_CONSUMER, KafkaMessage

REBALANCE_TIMEOUT_MS: Final = 20_000
FETCH_MAX_WAIT_MS: Final = 500
_MAX_POLL_INTERVAL_MS: Final = 300_000
_REQUEST_TIMEOUT_MS: Final = 15_000
_RETRY_BACKOFF_MS: Final = 500
# A topic that was made anew, or has new partitions, is noticed by looking only.
_METADATA_MAX_AGE_MS: Final = 5_000
_STOP_MAX_SECONDS: Final = 5.0
_READ_MAX_MS: Final = 500
_READ_AHEAD_MAX_SECONDS: Final = 1.0
_PROBE_MAX_SECONDS: Final = 3.0


class Member(Protocol):
    """Who receives what the feed reads."""

    async def deliver(self, records: Sequence[ConsumerRecord]) -> None:
        """Process records of any partitions, each partition's in order; return when they are committed or dropped."""

    async def assigned(self, partitions: Collection[TopicPartition]) -> None:
        """These partitions are paused: seek and resume each when its place is known."""

    async def released(self) -> None:
        """Every partition is about to go; return when nothing is in flight any more."""


@dataclass(frozen=True, slots=True)
class Feed:
    """What to read, as whom. `instance` makes the group membership static."""

    bootstrap_servers: str
    group: str
    topics: Sequence[str]
    instance: str | None
    batch_max_records: int


async def _parse(records: tuple[ConsumerRecord, ...]) -> KafkaMessage:
    """Wrap a batch without looking into it: FastStream's own parser fails on a header that is null or not UTF-8."""
    return KafkaMessage(body=b"", headers={}, raw_message=records, consumer=FAKE_CONSUMER)


async def _decode(message: KafkaMessage) -> Any:
    """Hand the raw records on: FastStream's own decoder fails on bodies that are not JSON."""
    return message.raw_message


async def _close_by_force(consumer: Any) -> None:
    tasks = [consumer._coordinator._coordination_task, consumer._coordinator._heartbeat_task]
    tasks = [task for task in tasks if task is not None]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, consumer._fetcher.close(), return_exceptions=True)
    await asyncio.gather(consumer._client.close(), return_exceptions=True)


class Ahead:
    """The records that have come since the last batch was taken, at most one batch of them.

    A task of its own reads them, which never gives up what it was given: to cancel `take` loses nothing.
    """

    def __init__(self, max_records: int) -> None:
        self._max_records = max_records
        self._records: dict[TopicPartition, list[ConsumerRecord]] = {}
        self._come = asyncio.Event()
        self._asked = asyncio.Event()
        self._waiting = False
        self._taken_at = 0.0
        self._reading: asyncio.Task[None] | None = None

    async def take(self, consumer: Any) -> tuple[ConsumerRecord, ...]:
        """Return all records that are there, of each partition in their order; waits for one. Raises what reading did.

        Whoever takes them is busy with them until the next call.
        """
        self._waiting = True
        self._asked.set()
        while not self._records:
            if self._reading is None:
                self._reading = asyncio.create_task(self._read(consumer), name="consumer.read_ahead")
                self._reading.add_done_callback(lambda _: self._come.set())
            await self._come.wait()
            self._come.clear()
            if self._reading.done():
                ended, self._reading = self._reading, None
                ended.result()
        self._waiting, self._taken_at = False, time.monotonic()
        self._asked.set()
        records, self._records = self._records, {}
        return tuple(chain.from_iterable(records.values()))

    def forget(self, partitions: Collection[TopicPartition]) -> None:
        """Drop what was read of partitions that are about to be read from elsewhere, or no more."""
        for partition in partitions:
            self._records.pop(partition, None)

    async def close(self) -> None:
        """Read no more."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)

    async def _read(self, consumer: Any) -> None:
        while True:
            self._asked.clear()
            room = self._max_records - sum(map(len, self._records.values()))
            if room <= 0 or (not self._waiting and time.monotonic() - self._taken_at > _READ_AHEAD_MAX_SECONDS):
                # A member whose batch takes for ever must be seen not to ask: Kafka gives its partitions to others.
                await self._asked.wait()
                continue
            for partition, records in (await consumer.getmany(timeout_ms=_READ_MAX_MS, max_records=room)).items():
                self._records.setdefault(partition, []).extend(records)
            if self._records:
                self._come.set()


class _Witness(BaseMiddleware):
    """Sees what FastStream swallows: a batch that raises anywhere between its arrival and its end."""

    def __init__(self, *args: Any, tell: Callable[[BaseException], None], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._tell = tell

    async def after_processed(
        self,
        exc_type: type[BaseException] | None = None,
        exc_val: BaseException | None = None,
        exc_tb: TracebackType | None = None,
    ) -> bool | None:
        if isinstance(exc_val, Exception):
            self._tell(exc_val)
        return await super().after_processed(exc_type, exc_val, exc_tb)


class KafkaFeed(ConsumerRebalanceListener):  # type: ignore[misc]
    """One member of a consumer group, from `start` to `stop`; a feed is never started twice."""

    def __init__(self, feed: Feed, member: Member) -> None:
        self._member = member
        self._topics = feed.topics
        self._failure: BaseException | None = None
        self._broker = KafkaBroker(
            feed.bootstrap_servers.split(","),
            client_id=feed.instance or feed.group,
            consumer_only=True,
            allow_auto_create_topics=False,
            apply_types=False,
            logger=None,
            parser=_parse,
            decoder=_decode,
            middlewares=(partial(_Witness, tell=self._fail),),
            request_timeout_ms=_REQUEST_TIMEOUT_MS,
            metadata_max_age_ms=_METADATA_MAX_AGE_MS,
            retry_backoff_ms=_RETRY_BACKOFF_MS,
        )
        self._subscriber = self._broker.subscriber(
            *feed.topics,
            batch=True,
            max_records=feed.batch_max_records,
            group_id=feed.group,
            group_instance_id=feed.instance,
            ack_policy=AckPolicy.MANUAL,
            auto_offset_reset="earliest",
            rebalance_timeout_ms=REBALANCE_TIMEOUT_MS,
            max_poll_interval_ms=_MAX_POLL_INTERVAL_MS,
            fetch_max_wait_ms=FETCH_MAX_WAIT_MS,
            listener=self,
        )
        self._ahead = Ahead(feed.batch_max_records)
        self._subscriber.get_msg = self._ahead.take  # type: ignore[method-assign]
        self._subscriber(member.deliver)

    async def start(self) -> None:
        """Connect and join the group. Raises KafkaError, OSError; call `stop` in any case."""
        await self._broker.start()

    async def stop(self) -> None:
        """Leave the group; never raises and never waits for long."""
        consumer = self._subscriber.consumer
        await self._ahead.close()
        try:
            async with asyncio.timeout(_STOP_MAX_SECONDS):
                await self._broker.stop()
        except Exception as error:
            # In mid-rebalance aiokafka waits for the other members; its connections must not outlive this feed.
            self._failure = self._failure or error
            if consumer is not None:
                await _close_by_force(consumer)

    @property
    def why_dead(self) -> str | None:
        """Why this feed will never deliver again; None while it may."""
        consumer = self._subscriber.consumer
        if self._failure is not None:
            return f"delivery failed: {self._failure!r}"
        if consumer is None:
            return "it is not started"
        if consumer._coordinator._coordination_task.done():
            return "its group coordination has ended"
        if consumer._fetcher.error_future.done():
            return "its fetching has ended"
        return None

    @property
    def idle_seconds(self) -> float:
        """How long nobody has asked this consumer for records; it asks all the time unless a batch is in flight."""
        consumer = self._subscriber.consumer
        return 0.0 if consumer is None else float(consumer._subscription.fetcher_idle_time)

    @property
    def assignment(self) -> frozenset[TopicPartition]:
        """The partitions that the group has given to this member."""
        return frozenset(self._consumer.assignment())

    def start_reading(self, places: Mapping[TopicPartition, int]) -> None:
        """Seek and resume partitions that are assigned. Raises IllegalStateError for one that is not any more."""
        self._ahead.forget(places)
        for partition, offset in places.items():
            self._consumer.seek(partition, offset)
        self._consumer.resume(*places)

    def pause(self, partitions: Collection[TopicPartition]) -> None:
        """Read no more from partitions, which must be assigned, until `start_reading`."""
        self._consumer.pause(*partitions)
        self._ahead.forget(partitions)

    async def watermarks(
        self, partitions: Collection[TopicPartition]
    ) -> tuple[Mapping[TopicPartition, int], Mapping[TopicPartition, int]]:
        """The earliest and the next offset of each partition, from the brokers. Raises KafkaError, TimeoutError."""
        async with asyncio.timeout(_REQUEST_TIMEOUT_MS / 1_000):
            earliest = await self._consumer.beginning_offsets(list(partitions))
            return earliest, await self._consumer.end_offsets(list(partitions))

    async def probe(self) -> Mapping[TopicPartition, int]:
        """The next offsets of the assigned partitions, or of any one; so the brokers answer. Raises as `watermarks`."""
        partitions = self.assignment or {TopicPartition(self._topics[0], 0)}
        async with asyncio.timeout(_PROBE_MAX_SECONDS):
            return dict(await self._consumer.end_offsets(list(partitions)))

    async def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Tell Kafka how far this group has come, for whoever watches its lag. Raises KafkaError."""
        if not offsets:
            return
        await self._consumer.commit({part: OffsetAndMetadata(offset, "") for part, offset in offsets.items()})

    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:  # noqa: ARG002 - eager: all
        await self._member.released()

    async def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        self._consumer.pause(*assigned)
        await self._member.assigned(assigned)

    @property
    def _consumer(self) -> Any:
        return self._subscriber.consumer

    def _fail(self, error: BaseException) -> None:
        self._failure = error
