"""Kafka's producer: the one adapter around aiokafka's, for the relay.

It is idempotent, waits for every replica that is in sync, and takes whole batches, each for one partition. It promises
that nothing creates a topic by asking for it, that every wait has a limit, and that after `close` it sends nothing any
more. A producer one of whose batches failed is spent: the numbers of its later batches no longer follow on what the
broker has seen. Whoever holds it closes it and opens another. Tested in tests/chassis/test_relay_kafka.py.

Parts of aiokafka that are not public are used here and nowhere else; the version is pinned.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from struct import unpack_from
from typing import Any, Final

from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    BrokerResponseError,
    InvalidTopicError,
    KafkaConnectionError,
    MessageSizeTooLargeError,
    RecordListTooLargeError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
    UnsupportedForMessageFormatError,
    kafka_errors,
)
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.producer.sender import Sender

from chassis.settings import Settings

OPEN_TIMEOUT_SECONDS: Final = 5.0
ASK_TIMEOUT_SECONDS: Final = 2.0
CLOSE_TIMEOUT_SECONDS: Final = 0.25
REQUEST_TIMEOUT_MS: Final = 2_000
RETRY_BACKOFF_MS: Final = 50
BATCH_MAX_BYTES: Final = 1_000_000
"""Below a topic's default of 1 MiB a batch, before compression; a larger record travels alone."""


class InvalidRecordError(BrokerResponseError):  # type: ignore[misc] # aiokafka is not typed
    """The broker refuses a record for what it is; aiokafka 0.14 takes this code for an unknown error."""

    errno = 87
    message = "INVALID_RECORD"
    description = "A record of the batch breaks a rule of its topic."


kafka_errors.setdefault(InvalidRecordError.errno, InvalidRecordError)


class Trouble(Enum):
    """Whose fault a failed send is: the record's for good, its topic's, or nobody's but the broker's."""

    RECORD = "record"
    TOPIC = "topic"
    BROKER = "broker"


_RECORD_TROUBLE: Final = (MessageSizeTooLargeError, RecordListTooLargeError, InvalidRecordError)
_TOPIC_TROUBLE: Final = (
    InvalidTopicError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
    UnsupportedForMessageFormatError,
)


def trouble_of(error: BaseException) -> Trouble:
    """Whose fault `error` is; what is not known to be a record's or a topic's passes, so it is the broker's."""
    if isinstance(error, _RECORD_TROUBLE):
        return Trouble.RECORD
    return Trouble.TOPIC if isinstance(error, _TOPIC_TROUBLE) else Trouble.BROKER


@dataclass(frozen=True, slots=True)
class KafkaSettings:
    """Where Kafka is and what this client calls itself and its topics."""

    bootstrap_servers: str
    topic_prefix: str = ""
    client_id: str = "backbone"

    @classmethod
    def of(cls, service: str, settings: Settings) -> KafkaSettings:
        return cls(settings.kafka_bootstrap_servers, settings.topic_prefix, settings.instance or service)


class _Sender(Sender):  # type: ignore[misc] # aiokafka is not typed
    """aiokafka's sender, except that it knows its requests and can end at once, without waiting for answers."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._requests: set[asyncio.Task[None]] = set()

    async def _send_produce_req(self, node_id: int, batches: Any) -> None:
        task: Any = asyncio.current_task()
        self._requests.add(task)
        try:
            await super()._send_produce_req(node_id, batches)
        finally:
            self._requests.discard(task)

    async def abort(self) -> None:
        routine: asyncio.Task[None] | None = self.sender_task
        # A request that was made but has not run yet is known, and cancelled, in the second turn.
        while routine is not None and not routine.done():
            for task in (routine, *self._requests):
                task.cancel()
            await asyncio.wait([routine], timeout=0.001)


class _Producer(AIOKafkaProducer):  # type: ignore[misc] # aiokafka is not typed
    """aiokafka's producer, except that it can be given up: its own `stop` waits until everything is delivered."""

    def __init__(self, settings: KafkaSettings) -> None:
        super().__init__(
            bootstrap_servers=settings.bootstrap_servers,
            client_id=settings.client_id,
            enable_idempotence=True,
            acks="all",
            # The cheapest that aiokafka offers for events: its lz4 has a fixed level of 9, ten times the work for more
            # bytes.
            compression_type="zstd",
            max_batch_size=BATCH_MAX_BYTES,
            linger_ms=0,
            request_timeout_ms=REQUEST_TIMEOUT_MS,
            retry_backoff_ms=RETRY_BACKOFF_MS,
        )
        self._sender = _Sender(
            self.client,
            acks=-1,
            txn_manager=self._txn_manager,
            retry_backoff_ms=RETRY_BACKOFF_MS,
            message_accumulator=self._message_accumulator,
            request_timeout_ms=REQUEST_TIMEOUT_MS,
        )

    async def abort(self) -> None:
        self._closed = True
        await self._sender.abort()
        await self.client.close()


class Producer:
    """A connected producer; topics are named without their prefix."""

    def __init__(self, inner: _Producer, settings: KafkaSettings) -> None:
        self._inner = inner
        self._prefix = settings.topic_prefix
        self._closing: asyncio.Future[None] | None = None

    @classmethod
    async def open(cls, settings: KafkaSettings) -> Producer:
        """Connect. Raises KafkaError, or TimeoutError after `OPEN_TIMEOUT_SECONDS`."""
        producer = cls(_Producer(settings), settings)
        try:
            async with asyncio.timeout(OPEN_TIMEOUT_SECONDS):
                await producer._inner.start()
        except BaseException:
            await producer.close()
            raise
        return producer

    async def close(self) -> None:
        """Send nothing more, deliver nothing more, disconnect; a connection that hangs is left to end by itself."""
        self._closing = self._closing or asyncio.ensure_future(self._inner.abort())
        await asyncio.wait([self._closing], timeout=CLOSE_TIMEOUT_SECONDS)

    async def partitions_of(self, topic: str) -> Sequence[int]:
        """The partitions of `topic`, in order. Raises UnknownTopicOrPartitionError, KafkaConnectionError."""
        known = self._partitions_of(topic)
        if known is None:
            if not await self.answers():
                raise KafkaConnectionError("no broker answers")
            known = self._partitions_of(topic)
        if known is None:
            # The library must not learn the name: it would ask for it, and a broker may create what is asked for.
            raise UnknownTopicOrPartitionError(self._prefix + topic)
        return known

    def _partitions_of(self, topic: str) -> Sequence[int] | None:
        partitions = self._inner.client.cluster.partitions_for_topic(self._prefix + topic)
        return None if partitions is None else sorted(partitions)

    async def answers(self) -> bool:
        """Whether a broker answers within `ASK_TIMEOUT_SECONDS`; learns all topics and leaders anew."""
        try:
            async with asyncio.timeout(ASK_TIMEOUT_SECONDS):
                return bool(await self._inner.client.force_metadata_update())
        except TimeoutError:
            return False

    def batch(self) -> BatchBuilder:
        """An empty batch; its `append` returns None when it is full."""
        return self._inner.create_batch()

    async def submit(self, batch: BatchBuilder, topic: str, partition: int) -> asyncio.Future[Any]:
        """Hand a batch over; the future ends when every replica in sync has it, and waits for ever while none has."""
        future: asyncio.Future[Any] = await self._inner.send_batch(batch, self._prefix + topic, partition=partition)
        return future


_MASK: Final = 0xFFFFFFFF
_FACTOR: Final = 0x5BD1E995


def partition_for(key: bytes, partitions: Sequence[int]) -> int:
    """The partition that Kafka's own clients choose for `key`: murmur2, in less than half of aiokafka's time."""
    size = len(key)
    whole = size >> 2
    value = 0x9747B28C ^ size
    for word in unpack_from(f"<{whole}I", key):
        word = word * _FACTOR & _MASK
        value = (value * _FACTOR & _MASK) ^ ((word ^ word >> 24) * _FACTOR & _MASK)
    rest = key[whole << 2 :]
    if rest:
        value = (value ^ int.from_bytes(rest, "little")) * _FACTOR & _MASK
    value = (value ^ value >> 13) * _FACTOR & _MASK
    return partitions[((value ^ value >> 15) & 0x7FFFFFFF) % len(partitions)]
