"""The relay: moves what is committed in the outbox to Kafka, at least once, every key in its order.

A round is one transaction: it takes the advisory lock of this outbox or stands by, reads in id order what belongs to no
parked key, publishes it (chassis.publication), deletes what was acknowledged, parks the key of what never can be sent,
and commits. The lock dies with the transaction, so that a relay's death frees it at once and no clock is involved; the
server ends the transaction of a host that has vanished within ten seconds. A round lasts `ROUND_MAX_SECONDS` at most
and has committed before anything backs off. A round that finds nothing writes nothing.

There is no cursor: ids are given before they are committed, so a row may appear below one that is long gone.

What breaks the promise: a writer that emits without having locked the aggregate's row (ids are then not in commit
order), and partitions added to a topic (Kafka then moves keys to other partitions). Faults of the broker and of a whole
topic park nothing: they back off, the whole relay or that topic alone. Tested in tests/chassis/test_relay*.py, with
relays that are killed.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final, Literal

import asyncpg
import structlog
from aiokafka.errors import KafkaError

from chassis.database import Database
from chassis.faults import Fault, classify
from chassis.kafka import KafkaSettings, Producer
from chassis.publication import Published, Refusal, Row, Widths, publish
from chassis.settings import Settings
from chassis.telemetry import metrics
from chassis.web import Check

log = structlog.get_logger()

ROUND_MAX_SECONDS: Final = 2.0
PUBLISH_MAX_SECONDS: Final = 1.2
ROUND_MAX_ROWS: Final = 1_000
ROUND_MIN_ROWS: Final = 50
ROUND_MAX_BYTES: Final = 8 * 1_048_576
POLL_MIN_SECONDS: Final = 0.005
POLL_WOKEN_SECONDS: Final = 0.05
"""The first wait after a round whose events this process had told of itself: it will tell of the next ones too."""
POLL_MAX_SECONDS: Final = 0.25
_LOOK_SHARE: Final = 10
BACK_OFF_MIN_SECONDS: Final = 0.05
BACK_OFF_MAX_SECONDS: Final = 2.0
ASK_BROKER_SECONDS: Final = 5.0
_CONNECT_TIMEOUT_SECONDS: Final = 5.0
_REASON_MAX_CHARACTERS: Final = 500
_LOCK_CLASS: Final = 0x0B0B  # any number that nothing else in the database uses as the first half of an advisory lock

Outcome = Literal["worked", "idle", "standby", "failed"]


@dataclass(frozen=True, slots=True)
class RoundResult:
    """What one round did; `error` says what went wrong, also where other rows could be sent."""

    outcome: Outcome
    sent: int = 0
    parked: int = 0
    error: str | None = None
    full: bool = False
    """The round took as many rows as it may: more are likely to wait."""


@dataclass(slots=True)
class Health:
    """How the relay is: since when, and after how many failed rounds in a row."""

    failures: int = 0
    error: str | None = None
    since: float = 0.0

    def note(self, error: str | None) -> None:
        if error is None:
            self.failures, self.error = 0, None
        else:
            if not self.failures:
                self.since = time.monotonic()
            self.failures, self.error = self.failures + 1, error

    @property
    def back_off_seconds(self) -> float:
        longest = min(BACK_OFF_MAX_SECONDS, BACK_OFF_MIN_SECONDS * 2.0 ** min(self.failures, 10))
        return longest * random.uniform(0.5, 1.0)  # noqa: S311 - spreads retries, guards nothing


class _Statements:
    """The relay's SQL for one schema; every name in it is the schema's own."""

    def __init__(self, schema: str) -> None:
        outbox, parked = f"{schema}.outbox", f"{schema}.outbox_parked_keys"
        free = f"""topic <> ALL ($1::text[]) AND NOT EXISTS (
            SELECT FROM {parked} AS parked WHERE parked.topic = waiting.topic AND parked.key = waiting.key)"""
        # One round trip, but two statements: rows must be read with a snapshot that is younger than the lock. The
        # table's own number makes the lock this service's alone.
        self.begin = f"""
            BEGIN ISOLATION LEVEL READ COMMITTED;
            SELECT 1 WHERE pg_try_advisory_xact_lock(
                {_LOCK_CLASS}, ('{outbox}'::regclass::oid::bigint - 2147483648)::integer)"""
        self.look = f"SELECT EXISTS (SELECT FROM {outbox} AS waiting WHERE {free})"
        self.read = f"""
            SELECT id, topic, key, value, headers
            FROM (SELECT *, sum(octet_length(value)) OVER (ORDER BY id ROWS UNBOUNDED PRECEDING) AS bytes
                  FROM (SELECT * FROM {outbox} AS waiting WHERE {free} ORDER BY id LIMIT $2) AS oldest) AS counted
            WHERE bytes - octet_length(value) < $3
            ORDER BY id"""
        self.delete = f"DELETE FROM {outbox} WHERE id = ANY ('{{%s}}'::bigint[])"
        self.park = f"""
            INSERT INTO {parked} (topic, key, event_id, reason)
            SELECT topic, key, event_id, $2 FROM {outbox} WHERE id = $1
            ON CONFLICT (topic, key) DO NOTHING RETURNING event_id::text"""


class Relay:
    """One relay of a service's outbox: a part of its process. Of all relays of one outbox one works at a time.

    `gather_seconds`: how long it lets events gather after it was woken, for a service whose events nobody waits for.
    """

    name = "relay"

    def __init__(
        self,
        database: Database,
        kafka: KafkaSettings,
        open_producer: Callable[[KafkaSettings], Awaitable[Producer]] = Producer.open,
        *,
        gather_seconds: float = 0.0,
    ) -> None:
        self._database = database
        self._gather_seconds = gather_seconds
        self._kafka = kafka
        self._open_producer = open_producer
        self.sql = _Statements(database.schema)
        self._connection: asyncpg.Connection | None = None
        self._producer: Producer | None = None
        self._asked_at = 0.0
        self._widths = Widths()
        self._max_rows = ROUND_MAX_ROWS
        self._held: dict[str, _Held] = {}
        self._turn = asyncio.Lock()
        self._stopping = asyncio.Event()
        self._ended = asyncio.Event()
        self._ended.set()
        self.health = Health()

    @classmethod
    def of(cls, database: Database, settings: Settings, *, gather_seconds: float = 0.0) -> Relay:
        kafka = KafkaSettings.of(f"{database.service}-relay", settings)
        return cls(database, kafka, gather_seconds=gather_seconds)

    async def run(self) -> None:
        """Relay until `stop` is called; faults of PostgreSQL and Kafka are waited out."""
        self._ended.clear()
        try:
            pause, woken = POLL_MIN_SECONDS, True
            while not self._stopping.is_set():
                started = time.monotonic()
                result = await self._round(look_first=not woken)
                if result.outcome == "failed":
                    await self._rest(self.health.back_off_seconds)
                elif result.full:
                    woken = True
                else:
                    if result.outcome == "worked":
                        pause = POLL_WOKEN_SECONDS if woken else POLL_MIN_SECONDS
                    else:
                        # A look that took long, past many events of parked keys, must not become all that is done.
                        pause = max(pause, _LOOK_SHARE * (time.monotonic() - started))
                    woken = await self._database.committed.wait(pause)
                    if woken and self._gather_seconds:
                        await self._rest(self._gather_seconds)
                    pause = POLL_MIN_SECONDS if woken else min(POLL_MAX_SECONDS, pause * 2)
        finally:
            await self.close()
            self._ended.set()

    async def stop(self) -> None:
        """Let the round in flight commit, then let `run` return."""
        self._stopping.set()
        self._database.committed.set()
        await self._ended.wait()

    async def drain(self, *, timeout_seconds: float = 30.0) -> int:
        """Relay until nothing waits but events of parked keys; returns how many were sent. Raises TimeoutError."""
        total, last = 0, RoundResult("standby")
        try:
            async with asyncio.timeout(timeout_seconds):
                while (last := await self.round()).outcome != "idle" or last.error:
                    total += last.sent
                    if last.outcome in {"standby", "failed"} or last.error:
                        await asyncio.sleep(POLL_MIN_SECONDS)
        except TimeoutError:
            raise TimeoutError(f"the outbox is not empty after {timeout_seconds} s, {total} sent, {last}") from None
        return total

    async def round(self) -> RoundResult:
        """Run one round. Faults of PostgreSQL and Kafka are told, not raised."""
        return await self._round(look_first=False)

    def check(self) -> Check:
        """Ready while the last round found PostgreSQL, Kafka and every topic that it needs."""
        if self.health.error is None:
            return Check(self.name, ok=True)
        seconds = time.monotonic() - self.health.since
        return Check(self.name, ok=False, detail=f"for {seconds:.0f} s: {self.health.error}")

    async def close(self) -> None:
        """Give up the connection and the producer; the next round opens others."""
        await self._give_up_producer()
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None

    async def _rest(self, seconds: float) -> None:
        """Do nothing for so long, or until `stop` is called."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()

    async def _round(self, *, look_first: bool) -> RoundResult:
        async with self._turn:
            try:
                result = await self._attempt(look_first=look_first)
            except Exception as error:
                # What a round meets is infrastructure, or it is a fault of ours: then the process ends, loudly.
                if classify(error) is Fault.POISON:
                    raise
                result = RoundResult("failed", error=_said(error))
        metrics.RELAY_ROUNDS.labels(result.outcome).inc()
        if result.error is not None and not self.health.failures:
            log.warning("relay.trouble", service=self._database.service, error=result.error)
        elif result.error is None and self.health.failures:
            log.info("relay.recovered", service=self._database.service, failures=self.health.failures)
        self.health.note(result.error)
        return result

    async def _attempt(self, *, look_first: bool) -> RoundResult:
        connection = await self._connected()
        producer = await self._ready_producer()
        held = self._topics_held()
        if look_first and not await connection.fetchval(self.sql.look, held):
            return RoundResult("idle", error=self._held_error())
        async with self._transaction(connection) as works:
            if not works:
                return RoundResult("standby", error=self._held_error())
            rows = await connection.fetch(self.sql.read, held, self._max_rows, ROUND_MAX_BYTES)
            if not rows:
                if not held:
                    self._held.clear()
                return RoundResult("idle", error=self._held_error())
            return await self._relay(connection, producer, rows)

    @asynccontextmanager
    async def _transaction(self, connection: asyncpg.Connection) -> AsyncIterator[bool]:
        """A round's transaction, True where it holds the lock; whatever ends it early ends its connection too."""
        try:
            async with asyncio.timeout(ROUND_MAX_SECONDS):
                yield await connection.execute(self.sql.begin) == "SELECT 1"
                if connection.is_in_transaction():
                    await connection.execute("COMMIT")
        except BaseException:
            connection.terminate()
            self._connection = None
            raise

    async def _relay(self, connection: asyncpg.Connection, producer: Producer, rows: Sequence[Row]) -> RoundResult:
        try:
            published = await publish(producer, rows, self._widths, timeout_seconds=PUBLISH_MAX_SECONDS)
        except BaseException:
            await self._give_up_producer()
            raise
        if published.spent:
            # Before the lock is free: nothing of this round may be on its way when another relay starts the next.
            await self._give_up_producer()
        for refusal in published.refusals:
            await self._park(connection, refusal)
        if published.acknowledged:
            # Ids are numbers of our own: without parameters one round trip deletes and commits.
            ids = ",".join(map(str, published.acknowledged))
            await connection.execute(f"{self.sql.delete % ids}; COMMIT")
        full = len(rows) >= self._max_rows
        self._learn(published)
        sent, parked = len(published.acknowledged), len(published.refusals)
        if published.broker_error is not None:
            return RoundResult("failed", sent, parked, published.broker_error)
        return RoundResult("worked", sent, parked, self._held_error(), full)

    async def _park(self, connection: asyncpg.Connection, refusal: Refusal) -> None:
        row, reason = refusal.row, refusal.reason[:_REASON_MAX_CHARACTERS]
        event_id = await connection.fetchval(self.sql.park, row["id"], reason)
        log.error("relay.key_parked", topic=row["topic"], key=row["key"], event_id=event_id, reason=reason)

    def _learn(self, published: Published) -> None:
        for topic, count in published.by_topic.items():
            metrics.RELAYED.labels(topic).inc(count)
            self._held.pop(topic, None)
        for topic, error in published.topic_errors.items():
            self._held[topic] = _Held.again(self._held.get(topic), error)
        if published.timed_out:
            # A slow broker must not be sent the same megabyte over and over: less of it may be acknowledged in time.
            self._max_rows = max(ROUND_MIN_ROWS, self._max_rows // 4)
        elif published.broker_error is None:
            self._max_rows = min(ROUND_MAX_ROWS, self._max_rows * 2)

    def _topics_held(self) -> list[str]:
        now = time.monotonic()
        return [topic for topic, held in self._held.items() if held.until > now]

    def _held_error(self) -> str | None:
        return "; ".join(f"topic {topic}: {held.error}" for topic, held in self._held.items()) or None

    async def _connected(self) -> asyncpg.Connection:
        """The relay's own connection: a pooled one would be lent out while a round waits for Kafka."""
        if self._connection is None or self._connection.is_closed():
            url = self._database.engine.url.set(drivername="postgresql")
            self._connection = await asyncpg.connect(
                url.render_as_string(hide_password=False),
                timeout=_CONNECT_TIMEOUT_SECONDS,
                command_timeout=ROUND_MAX_SECONDS,
                server_settings=_SERVER_SETTINGS | {"application_name": self._kafka.client_id},
            )
        return self._connection

    async def _ready_producer(self) -> Producer:
        """The producer, opened where there is none; now and then asks whether Kafka is still there."""
        now = time.monotonic()
        if self._producer is not None and now - self._asked_at > ASK_BROKER_SECONDS:
            self._asked_at = now
            if not await self._producer.answers():
                await self._give_up_producer()
        if self._producer is None:
            self._producer = await self._open_producer(self._kafka)
            self._asked_at = now
        return self._producer

    async def _give_up_producer(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            await producer.close()


@dataclass(frozen=True, slots=True)
class _Held:
    """A topic that takes nothing now: passed by until then, so that other topics go on."""

    error: str
    pause_seconds: float
    until: float

    @classmethod
    def again(cls, before: _Held | None, error: str) -> _Held:
        pause = BACK_OFF_MIN_SECONDS if before is None else min(BACK_OFF_MAX_SECONDS, before.pause_seconds * 2)
        return cls(error, pause, time.monotonic() + pause)


_SERVER_SETTINGS: Final = {
    "jit": "off",
    "tcp_user_timeout": "10000",
    "idle_in_transaction_session_timeout": "10000",
    "statement_timeout": "2000",
    # A deletion that a crash takes back is an event sent twice, in its order, as after any relay's death; what it
    # follows is durable all the same. Waiting for the disk would hold up the next round instead.
    "synchronous_commit": "off",
    # The table is empty or long from one minute to the next, so statistics mislead: always by id, from its start.
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
    "enable_sort": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
}


def _said(error: Exception) -> str:
    if isinstance(error, KafkaError | OSError | asyncpg.PostgresError | asyncpg.InterfaceError) and str(error):
        return f"{type(error).__name__}: {error}"
    return type(error).__name__
