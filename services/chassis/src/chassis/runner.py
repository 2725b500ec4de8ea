"""The runner: a consumer's part of a process, from its start to its stop.

It promises that Kafka and PostgreSQL may be away for as long as they like, from the start or later, while `check`
says so; that a consumer which will never deliver again ends the process; and that stopping commits the batch in
flight. The offsets that it commits to Kafka serve lag figures and nothing else, so their loss is no fault.
Tested in tests/chassis/test_consumer*.py.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import structlog
from aiokafka.errors import KafkaError

from chassis import inbox
from chassis.batch import Backoff, describe
from chassis.clock import real_now
from chassis.consumer import Consumer
from chassis.database import Database
from chassis.faststream_adapter import Feed, KafkaFeed
from chassis.faults import Fault, classify
from chassis.lag import Backlog, LagGauge
from chassis.positions import TopicPart
from chassis.reader import Reader
from chassis.settings import Settings
from chassis.web import Check

log = structlog.get_logger()

START_MAX_SECONDS: Final = 60.0
STALL_MAX_SECONDS: Final = 60.0
_LOOK_SECONDS: Final = 1.0
_PROBE_SECONDS: Final = 5.0
_PRUNE_SECONDS: Final = 3_600.0
# A segment goes when its newest record is older than the topic's retention, and may hold records of a whole week.
_PRUNE_MARGIN: Final = timedelta(days=8)
_NOT_READY_AFTER_ATTEMPTS: Final = 3


class ConsumerDeadError(RuntimeError):
    """The consumer will never deliver again; the process has to end."""


@dataclass(slots=True)
class ConnectionState:
    """What is known about Kafka: whether it answered last, the newest error, records behind over all partitions.

    `lag_seconds` is how long the oldest of them has been there; both are as of `probed_at`.
    """

    connected: bool = False
    error: str | None = None
    lag_records: int = 0
    lag_seconds: float = 0.0
    probed_at: datetime | None = None


class Runner:
    """Runs one consumer in this process."""

    def __init__(self, consumer: Consumer, database: Database, settings: Settings) -> None:
        self._consumer = consumer
        self._database = database
        topics = {settings.topic_prefix + topic.name: topic for topic in consumer.reads}
        self._options = Feed(
            bootstrap_servers=settings.kafka_bootstrap_servers,
            group=settings.topic_prefix + consumer.name,
            topics=tuple(topics),
            instance=None if settings.instance is None else f"{settings.instance}.{consumer.name}",
            batch_max_records=consumer.batch_max_records,
        )
        self.reader = Reader(consumer, database, topics)
        self._feed = self._new_feed()
        self._stopping = asyncio.Event()
        self._ended = asyncio.Event()
        self._dead: str | None = None
        self.state = ConnectionState()
        self._lag = LagGauge(consumer.name)
        self._backlog = Backlog()

    @property
    def name(self) -> str:
        return self._consumer.name

    @property
    def alive(self) -> bool:
        """False when this consumer will never deliver again."""
        return self._dead is None

    async def run(self) -> None:
        """Consume until `stop` is called. Raises ConsumerDeadError when there is no hope of delivering again."""
        try:
            if await self._start():
                await self._watch()
        finally:
            await self.reader.released()
            await self._stop_feed()
            self.state.connected = False
            self._lag.clear()
            self._ended.set()

    async def stop(self) -> None:
        """Commit the batch in flight, or drop it where it waits to be tried again; then leave the group."""
        self._stopping.set()
        await self._ended.wait()

    async def passed(self, topic: str, partition: int, offset: int, *, timeout_seconds: float = 30.0) -> None:
        """Wait until the stored position of a partition that is read here has passed `offset`. Raises TimeoutError."""
        part = TopicPart(topic, partition)
        try:
            async with asyncio.timeout(timeout_seconds):
                await self.reader.passed(part, offset)
        except TimeoutError:
            at = self.reader.position(part)
            why = self._why_not_ready() or "ready"
            raise TimeoutError(f"{self.name} stands at {at} in {topic}/{partition}, not past {offset}: {why}") from None

    def check(self) -> Check:
        """Ready when Kafka answers, the group has assigned, every partition is placed and batches commit."""
        detail = self._why_not_ready()
        return Check(self.name, ok=detail is None, detail=detail)

    def _why_not_ready(self) -> str | None:
        reader, trouble = self.reader.state, self.reader.trouble
        if self._dead is not None:
            return self._dead
        if not self.state.connected:
            return f"Kafka: {self.state.error or 'not connected yet'}"
        if trouble.attempts >= _NOT_READY_AFTER_ATTEMPTS:
            return f"a batch has failed {trouble.attempts} times: {trouble.error}"
        if reader.placing_error is not None:
            return f"positions: {reader.placing_error}"
        if not reader.joined or len(self.reader.placed) < reader.assigned:
            return "waiting for its partitions"
        return None

    def _new_feed(self) -> KafkaFeed:
        feed = self.reader.feed = KafkaFeed(self._options, self.reader)
        return feed

    async def _stop_feed(self) -> None:
        await self._feed.stop()
        # A rebalance may have given partitions to the feed while it stopped.
        await self.reader.released()

    async def _start(self) -> bool:
        """Connect, however long that takes; False when stopped before."""
        attempt, backoff = 0, Backoff(first_seconds=0.25)
        while not self._stopping.is_set():
            try:
                async with asyncio.timeout(START_MAX_SECONDS):
                    await self._unless_stopped(self._feed.start())
            except Exception as error:
                if classify(error) is not Fault.INFRASTRUCTURE:
                    raise
                attempt += 1
                self.state.error = describe(error)
                log.warning("consumer.not_connected", consumer=self.name, attempt=attempt, error=describe(error))
                await self._stop_feed()
                self._feed = self._new_feed()
                await self._stopped_within(backoff.seconds(attempt))
            else:
                self.state.connected, self.state.error = True, None
                return not self._stopping.is_set()
        return False

    async def _unless_stopped(self, work: Coroutine[Any, Any, None]) -> None:
        """Await `work`, or cancel it as soon as this runner is stopped."""
        task, stopping = asyncio.ensure_future(work), asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait({task, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                task.result()
        finally:
            task.cancel()
            stopping.cancel()
            await asyncio.gather(task, stopping, return_exceptions=True)

    async def _stopped_within(self, seconds: float) -> bool:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                return await self._stopping.wait()
        return False

    async def _watch(self) -> None:
        """Look after a feed that runs: is it alive, does Kafka answer, how far behind is it."""
        probed = pruned = float("-inf")
        while not await self._stopped_within(_LOOK_SECONDS):
            self._dead = self._why_dead()
            if self._dead is not None:
                raise ConsumerDeadError(f"consumer {self.name} is dead: {self._dead}")
            if time.monotonic() - probed >= _PROBE_SECONDS:
                await self._unless_stopped(self._probe())
                probed = time.monotonic()
            if self._consumer.inbox and time.monotonic() - pruned >= _PRUNE_SECONDS:
                await self._unless_stopped(self._prune())
                pruned = time.monotonic()
        await self.reader.finish()
        await self._commit(self.reader.placed)

    def _why_dead(self) -> str | None:
        idle_seconds = 0.0 if self.reader.busy else self._feed.idle_seconds
        stalled = f"it has not polled for {idle_seconds:.0f} s" if idle_seconds > STALL_MAX_SECONDS else None
        return self._feed.why_dead or stalled

    async def _probe(self) -> None:
        """Ask the brokers how far behind this member is; their answer says also that they can be reached."""
        try:
            ends = await self._feed.probe()
        except (KafkaError, OSError) as error:
            self.state.connected, self.state.error = False, describe(error)
            return
        self.state.connected, self.state.error = True, None
        placed = dict(self.reader.placed)
        self.state.lag_records = self._lag.show(ends, placed)
        self.state.lag_seconds, self.state.probed_at = self._backlog.look(ends, placed), real_now()
        await self._commit(placed)

    async def _commit(self, placed: Mapping[Any, int]) -> None:
        with contextlib.suppress(KafkaError, OSError):
            await self._feed.commit(placed)

    async def _prune(self) -> None:
        """Forget what no topic can deliver again; never where one keeps its records for ever."""
        retentions = [topic.retention_ms for topic in self._consumer.reads]
        if any(each is None for each in retentions):
            return
        age = timedelta(milliseconds=max(each or 0 for each in retentions)) + _PRUNE_MARGIN
        rows = inbox.PRUNE_MAX_ROWS
        try:
            while rows >= inbox.PRUNE_MAX_ROWS:
                async with self._database.transaction() as tx:
                    rows = await inbox.prune(tx.connection, self._database.schema, self.name, older_than=age)
        except Exception as error:
            log.warning("inbox.not_pruned", consumer=self.name, error=describe(error))
