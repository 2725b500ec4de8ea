"""A state reader: a compacted topic as the newest value of each key, in every process, without a group.

It reads every partition from its first record to its end, and only then says that it is `current`; after that it
follows. It promises that a `View` sees each partition's records in their order, tombstones among them; that one which
has lost its place (the connection went, the topic was cut or made anew) is cleared and read again from the first
record, and is not current until that is done; and that `current` is never true while the brokers have not answered for
longer than `probe_seconds` and the time that one question may take. A record that waits for longer than that makes it
untrue as well. How long ago anything was heard is `heard_at`, the time that stands on the newest record.

Whoever acts on such a state decides what to do while it is not current; nothing is decided here. A look at all topics
and the end by force go through parts of aiokafka that are not public; the version is pinned.
Tested in tests/chassis/test_state_reader.py.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Protocol

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError, UnknownTopicOrPartitionError
from contracts.topics import Topic

from chassis.database import Wake
from chassis.kafka import KafkaSettings
from chassis.poller import Poller
from chassis.web import Check

log = structlog.get_logger()
_WAIT_MS: Final = 200
_REQUEST_TIMEOUT_MS: Final = 3_000
_ASK_MAX_SECONDS: Final = 2.0
_CLOSE_MAX_SECONDS: Final = 2.0
_METADATA_MAX_AGE_MS: Final = 5_000


@dataclass(frozen=True, slots=True)
class StateRecord:
    """One record of a compacted topic; `value` None takes the key away. `at` is the time that stands on the record."""

    key: str
    value: bytes | None
    at: datetime


class View(Protocol):
    """What a reader keeps up to date. Neither method may fail: what cannot be read is the view's to note."""

    def clear(self) -> None:
        """Forget everything: it is about to be read again."""

    def apply(self, record: StateRecord) -> None:
        """Take one record in."""


class LostPlaceError(KafkaError):  # type: ignore[misc] # aiokafka is not typed
    """The topic ends before the place that this reader had come to: it was cut or made anew."""

    retriable = True


class StateReader(Poller):
    """Follows one compacted topic; `changed` is set whenever a record was applied or `current` has changed."""

    idle_seconds = 0.0

    def __init__(self, topic: Topic, settings: KafkaSettings, view: View, *, probe_seconds: float = 1.0) -> None:
        super().__init__(unready=f"{topic.name} is not read yet")
        self._topic = settings.topic_prefix + topic.name
        self._settings = settings
        self._view = view
        self._probe_seconds = probe_seconds
        self._consumer: Any = None
        self._ends: Mapping[TopicPartition, int] = {}
        self._positions: dict[TopicPartition, int] = {}
        self._probed_at = 0.0
        self._current = False
        self.heard_at: datetime | None = None
        self.changed = Wake()
        self.name = f"state.{topic.name}"  # type: ignore[misc] # one of each topic in a process

    @property
    def current(self) -> bool:
        """Whether all that stood in the topic a moment ago has been applied."""
        return self._current and time.monotonic() - self._probed_at <= self._probe_seconds + _ASK_MAX_SECONDS

    def check(self) -> Check:
        """Ready once it is current; says what it waits for otherwise."""
        if self._trouble is None and not self.current:
            return Check(self.name, ok=False, detail=f"{self._topic} is not read to its end yet")
        return super().check()

    async def step(self) -> int:
        """Open where nothing is open, take in what has arrived, look where the topic ends."""
        try:
            if self._consumer is None:
                await self._open()
            elif time.monotonic() - self._probed_at >= self._probe_seconds:
                await self._probe()
            arrived = await self._consumer.getmany(timeout_ms=_WAIT_MS)
        except BaseException:
            await self.close()
            raise
        for part, records in arrived.items():
            for record in records:
                self._take(record)
            self._positions[part] = records[-1].offset + 1
        if not self._current and self._reached(self._ends):
            self._current = True
            log.info("state.current", topic=self._topic, records=sum(self._positions.values()))
            self.changed.set()
        elif arrived:
            self.changed.set()
        return 1

    async def close(self) -> None:
        """Let go of the connection; what is known stays, and is not current."""
        consumer, self._consumer = self._consumer, None
        if self._current:
            self._current = False
            self.changed.set()
        if consumer is not None:
            await _stopped(consumer)

    async def _open(self) -> None:
        """Start at the first record of every partition. Raises KafkaError, TimeoutError."""
        self._consumer = consumer = AIOKafkaConsumer(
            bootstrap_servers=self._settings.bootstrap_servers,
            client_id=self._settings.client_id,
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="none",
            request_timeout_ms=_REQUEST_TIMEOUT_MS,
            metadata_max_age_ms=_METADATA_MAX_AGE_MS,
            fetch_max_wait_ms=_WAIT_MS,
        )
        # Its own time-outs end it: a start that is cancelled leaves its first connection open.
        await consumer.start()
        # All topics are asked for: a broker may create one that it is asked for by name.
        numbers = (await consumer._client.fetch_all_metadata()).partitions_for_topic(self._topic)
        if not numbers:
            raise UnknownTopicOrPartitionError(self._topic)
        parts = [TopicPartition(self._topic, number) for number in sorted(numbers)]
        consumer.assign(parts)
        async with asyncio.timeout(_ASK_MAX_SECONDS):
            starts = await consumer.beginning_offsets(parts)
            self._ends = await consumer.end_offsets(parts)
        for part in parts:
            consumer.seek(part, starts[part])
        self._view.clear()
        self.heard_at = None
        self._positions = dict(starts)
        self._probed_at = time.monotonic()

    async def _probe(self) -> None:
        """Look where the topic ends now. Raises KafkaError, TimeoutError; LostPlaceError."""
        async with asyncio.timeout(_ASK_MAX_SECONDS):
            ends = await self._consumer.end_offsets(list(self._positions))
        if any(ends[part] < position for part, position in self._positions.items()):
            raise LostPlaceError(f"{self._topic} ends before what was read of it")
        if self._current and not self._reached(self._ends):
            self._current = False
            self.changed.set()
        self._ends, self._probed_at = ends, time.monotonic()

    def _reached(self, ends: Mapping[TopicPartition, int]) -> bool:
        return all(self._positions[part] >= end for part, end in ends.items())

    def _take(self, record: Any) -> None:
        at = datetime.fromtimestamp(record.timestamp / 1_000, UTC)
        self._view.apply(StateRecord((record.key or b"").decode("utf-8", "replace"), record.value, at))
        self.heard_at = at


async def _stopped(consumer: Any) -> None:
    stop = asyncio.ensure_future(consumer.stop())
    await asyncio.wait([stop], timeout=_CLOSE_MAX_SECONDS)
    if not stop.done():
        # The library's own tasks can miss being cancelled once (a wait that ends in the same moment takes it away).
        log.warning("state.closed_by_force", consumer=repr(consumer))
        stop.cancel()
    elif not stop.cancelled() and stop.exception() is None:
        return
    # What went wrong while it fetched is raised again by `stop`, which then leaves the connections open.
    await asyncio.wait([asyncio.ensure_future(consumer._client.close())], timeout=_CLOSE_MAX_SECONDS)
