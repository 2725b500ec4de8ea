"""A consumer: which topics a service reads, and what it does on each event.

Delivery is at least once; the effect happens once. Position, inbox, effects and events of a batch commit in one
transaction, so a crash anywhere leaves either all of them or none. Order holds per key as far as the topic keeps it;
a dead letter that is brought back arrives last. Two kinds of messages are no one's fault and no dead letters: a type
or version that this code does not know is skipped and counted. A message that cannot be read is a dead letter.

A consumer has `on` handlers, one event each, or one `on_batch` handler for the whole mixed list. With `inbox=False`
that one gets every record there is, unreadable, unknown and repeated ones too, and does its own accounting: the audit
log is such a consumer. How records come from Kafka is chassis.faststream_adapter's matter, where reading starts is
chassis.placement's, what a failing handler leads to is chassis.batch's. Tested in tests/chassis/test_consumer*.py.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar

from contracts.envelope import Event, Payload, RawEvent
from contracts.registry import (
    UnknownTypeError,
    UnknownVersionError,
    UnreadableEventError,
    decode,
    lookup,
    type_of,
    typed,
)
from contracts.topics import Topic

from chassis import dead_letters, inbox, positions
from chassis.batch import Claimed, Refused
from chassis.ids import bounded
from chassis.positions import Advance, Position, TopicPart
from chassis.telemetry import metrics
from chassis.transaction import Transaction

if TYPE_CHECKING:
    from chassis.database import Database
    from chassis.runner import Runner
    from chassis.settings import Settings

P = TypeVar("P", bound=Payload)
UNREADABLE: Final = "unreadable:"


@dataclass(frozen=True, slots=True)
class Gap:
    """Offsets `first` to `last`, both included, hold no record; they lie right before the record that carries this.

    `retention`: the topic had dropped them before they were read, `earliest` is where it begins. `missing`: compacted
    away, or markers of transactions. `restart`: the topic is not the one that was read up to `previous`; it was made
    anew or its broker restored, and is read from `earliest` on (`last` below `first`: nothing is missing in it).
    """

    kind: Literal["retention", "missing", "restart"]
    first: int
    last: int
    earliest: int | None = None
    previous: int | None = None


@dataclass(slots=True, eq=False)
class Record:
    """One Kafka record with the event that it holds; `topic` is the registry's name."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    headers: Sequence[tuple[str, bytes | None]]
    value: bytes | None
    gap: Gap | None = None
    unreadable: str | None = None
    _event: RawEvent | None = None
    _typed: Event[Any] | None = None
    _skipped: bool = False

    @property
    def event(self) -> RawEvent:
        """The event. Raises UnreadableEventError when the bytes are none."""
        if self._event is None:
            raise UnreadableEventError(self.unreadable or "the record was not decoded")
        return self._event

    @property
    def part(self) -> TopicPart:
        return TopicPart(self.topic, self.partition)

    @property
    def pointer(self) -> str:
        """Where the record lies, in words: `payments-events/3/1042`."""
        return f"{self.topic}/{self.partition}/{self.offset}"

    @property
    def identity(self) -> str:
        """The event's id, bounded; for bytes that hold no event, a digest of them and of their place.

        Positions and inbox are written before any handler runs: what they cannot hold would stop the partition.
        """
        if self._event is not None:
            return bounded(self._event.id)
        digest = hashlib.sha256(f"{self.pointer}@{self.timestamp_ms}:".encode())
        digest.update(self.value or b"")
        return UNREADABLE + digest.hexdigest()

    def decode(self) -> None:
        """Read the envelope, or note why it cannot be read."""
        if self.value is None:
            self.unreadable = "the record has no value"
            return
        try:
            self._event = decode(self.value)
        except UnreadableEventError as error:
            self.unreadable = str(error)


Handler = Callable[[Transaction, Event[P]], Awaitable[None]]
BatchHandler = Callable[[Transaction, Sequence[Record]], Awaitable[None]]
SetAsideHandler = Callable[[Transaction, Record, str, Exception], Awaitable[None]]
H = TypeVar("H", bound=Callable[..., Awaitable[None]])


class Consumer:
    """What one consumer of a service reads and does; `runner` makes it run in a process."""

    def __init__(self, name: str, *, reads: Sequence[Topic], inbox: bool = True, batch_max_records: int = 500) -> None:
        if not reads:
            raise ValueError(f"consumer {name} reads no topic")
        self.name = name
        self.reads = tuple(reads)
        self.inbox = inbox
        self.batch_max_records = batch_max_records
        self._handlers: dict[tuple[str, int], Handler[Any]] = {}
        self._batch_handler: BatchHandler | None = None
        self._set_aside_handler: SetAsideHandler | None = None

    def on(self, payload: type[P]) -> Callable[[Handler[P]], Handler[P]]:
        """Register the handler of one event type; its transaction already says which event caused it."""
        declared = type_of(payload)
        if self._batch_handler is not None or not self.inbox:
            raise ValueError(f"consumer {self.name} has either `on` handlers and an inbox, or one `on_batch` handler")
        if not set(declared.topics) & set(self.reads):
            raise ValueError(f"consumer {self.name} reads no topic that carries {declared.name}")
        if (declared.name, declared.version) in self._handlers:
            raise ValueError(f"consumer {self.name} handles {declared.name}/{declared.version} twice")

        def register(handler: Handler[P]) -> Handler[P]:
            self._handlers[declared.name, declared.version] = handler
            return handler

        return register

    def on_batch(self, handler: BatchHandler) -> BatchHandler:
        """Register the one handler of every record, in batches; a record's event is its cause."""
        if self._handlers or self._batch_handler is not None:
            raise ValueError(f"consumer {self.name} has either `on` handlers or one `on_batch` handler")
        self._batch_handler = handler
        return handler

    def on_set_aside(self, handler: SetAsideHandler) -> SetAsideHandler:
        """Register what else happens, in the same transaction, when a record becomes the dead letter of that id."""
        self._set_aside_handler = handler
        return handler

    def runner(self, database: Database, settings: Settings) -> Runner:
        """The part of a process that runs this consumer. Raises ValueError when it has no handler."""
        if not self._handlers and self._batch_handler is None:
            raise ValueError(f"consumer {self.name} has no handler")
        from chassis.runner import Runner

        return Runner(self, database, settings)

    def read(self, record: Record) -> None:
        """Decode a record and decide, once for all attempts, whether this consumer takes it."""
        record.decode()
        if not self.inbox or record._event is None:
            return
        event = record._event
        handled = (event.type, event.version) in self._handlers
        try:
            if handled:
                record._typed = typed(event)
            else:
                lookup(event.type, event.version)
                record._skipped = self._batch_handler is None
        except UnreadableEventError as error:
            record.unreadable = str(error)
        except UnknownTypeError:
            record._skipped = True
            metrics.CONSUMER_SKIPPED.labels(self.name, "unknown_type").inc()
        except UnknownVersionError:
            record._skipped = True
            metrics.CONSUMER_SKIPPED.labels(self.name, "unknown_version").inc()

    async def handle(self, tx: Transaction, records: Sequence[Record]) -> None:
        """Run the handlers for records that have been read."""
        if self._batch_handler is not None:
            return await self._batch_handler(tx, records)
        for record in records:
            event = record.event
            view = tx.caused_by(event, record.pointer)
            await self._handlers[event.type, event.version](view, record._typed)  # type: ignore[arg-type]
        return None

    async def set_aside(self, tx: Transaction, schema: str, record: Record, error: Exception) -> None:
        """Make a dead letter of a record."""
        event = record._event
        letter = dead_letters.Letter(
            consumer=self.name,
            pointer=record.pointer,
            message=record.value or b"",
            error=error,
            key=record.key,
            headers=record.headers,
            topic=record.topic,
            partition=record.partition,
            record_offset=record.offset,
            event_id=record.identity,
            message_type=None if event is None else event.type,
            cause=event,
        )
        dead_letter_id = await dead_letters.add(tx, schema, letter)
        if self._set_aside_handler is not None:
            await self._set_aside_handler(tx, record, dead_letter_id, error)

    def retrier(self, schema: str) -> dead_letters.Retrier:
        """What `dead_letters.retry` needs to handle a message of this consumer again."""

        async def handle_again(tx: Transaction, letter: dead_letters.DeadLetter) -> None:
            record = Record(
                letter.topic or "",
                letter.partition or 0,
                letter.record_offset or 0,
                int(letter.created_at.timestamp() * 1_000),
                letter.key,
                letter.headers or (),
                letter.message,
            )
            self.read(record)
            if self.inbox:
                if record.unreadable is not None:
                    raise UnreadableEventError(record.unreadable)
                lookup(record.event.type, record.event.version)
                if record._skipped:
                    return
                if letter.event_id != record.identity and not await inbox.claim(
                    tx.connection, schema, self.name, [record.identity]
                ):
                    return  # unreadable when it was set aside, and delivered again, readable, since
            await self.handle(tx, [record])

        return handle_again


class Delivery:
    """One batch of records on its way through the batch runner."""

    def __init__(
        self, consumer: Consumer, schema: str, records: Sequence[Record], known: Mapping[TopicPart, Position | None]
    ) -> None:
        self._consumer = consumer
        self._schema = schema
        self._records = records
        self._known = known
        self.taken = 0
        self.moved: dict[TopicPart, Position] = {}
        self.duplicates = 0

    @property
    def name(self) -> str:
        return self._consumer.name

    async def claim(self, tx: Transaction, limit: int) -> Claimed[Record]:
        """Move the positions past the first `limit` records and take from these what was never taken."""
        records = self._records[:limit]
        last = {(record.topic, record.partition): record for record in records}
        self.taken = len(records)
        self.moved = {record.part: Position(record.offset + 1, record.identity) for record in last.values()}
        moves = [Advance(part, self._known.get(part), to) for part, to in self.moved.items()]
        await positions.advance(tx.connection, self._schema, self.name, moves)
        if not self._consumer.inbox:
            return Claimed(records)
        return await self._claim_in_inbox(tx, [record for record in records if not record._skipped])

    async def _claim_in_inbox(self, tx: Transaction, records: Sequence[Record]) -> Claimed[Record]:
        identities = [record.identity for record in records]
        fresh = await inbox.claim(tx.connection, self._schema, self.name, identities)
        items: list[Record] = []
        refused: list[Refused[Record]] = []
        for record, identity in zip(records, identities, strict=True):
            if identity not in fresh:
                continue
            fresh.discard(identity)  # the same event may stand in a batch twice
            if record.unreadable is not None:
                refused.append(Refused(record, UnreadableEventError(record.unreadable)))
            else:
                items.append(record)
        self.duplicates = len(records) - len(items) - len(refused)
        return Claimed(items, refused)

    async def handle(self, tx: Transaction, items: Sequence[Record]) -> None:
        await self._consumer.handle(tx, items)

    async def set_aside(self, tx: Transaction, item: Record, error: Exception) -> None:
        await self._consumer.set_aside(tx, self._schema, item, error)
