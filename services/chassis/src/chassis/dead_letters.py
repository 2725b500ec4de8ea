"""Dead letters: messages that could not be processed, kept whole, with the reason and a way back.

A letter is written in the transaction that commits what stood around it, together with a `message.dead_lettered`
event on the service's own topic. `retry` runs the handler for that message again: once the cause is mended the effect
happens, once, and the letter is closed; until then it stays open with the newest reason.
Tested in tests/chassis/test_dead_letters.py.
"""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

import orjson
from contracts.envelope import Entity, RawEvent, Workflow
from contracts.events import MessageDeadLettered
from contracts.topics import own_topic
from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection

from chassis.batch import check_deferred, describe, sandboxed
from chassis.ids import new_id
from chassis.telemetry import metrics
from chassis.transaction import Cause, Draft, Transaction

REASON_MAX_CHARACTERS: Final = 2_000
Headers = Sequence[tuple[str, bytes | None]]
State = Literal["open", "retried"]
_SUMMARY: Final = (
    "id, owner, consumer, pointer, reason_class, reason, topic, partition, record_offset, event_id, message_type, "
    "created_at, state, attempts, retried_at"
)
_WHOLE: Final = f"{_SUMMARY}, message, key, headers"


def dead_letters_table(metadata: MetaData) -> Table:
    """The dead letters of the service whose MetaData this is. Its role needs SELECT, INSERT and UPDATE."""
    return Table(
        "dead_letters",
        metadata,
        Column("id", Uuid, primary_key=True),
        Column("owner", Text, nullable=False),
        Column("consumer", Text, nullable=False),
        Column("pointer", Text, nullable=False),
        Column("reason_class", Text, nullable=False),
        Column("reason", Text, nullable=False),
        Column("message", LargeBinary, nullable=False),
        Column("key", LargeBinary),
        Column("headers", JSONB),
        Column("topic", Text),
        Column("partition", Integer),
        Column("record_offset", BigInteger),
        Column("event_id", Text),
        Column("message_type", Text),
        Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
        Column("state", Text, nullable=False, server_default="open"),
        Column("attempts", Integer, nullable=False, server_default="0"),
        Column("retried_at", DateTime(timezone=True)),
        CheckConstraint("state IN ('open', 'retried')", name="dead_letters_state"),
        Index("dead_letters_open", "id", postgresql_where=text("state = 'open'")),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """A message to set aside; `cause` is its event where it could be read."""

    consumer: str
    pointer: str
    message: bytes
    error: Exception
    key: bytes | None = None
    headers: Headers | None = None
    topic: str | None = None
    partition: int | None = None
    record_offset: int | None = None
    event_id: str | None = None
    message_type: str | None = None
    cause: RawEvent | None = None


@dataclass(frozen=True, slots=True)
class Summary:
    """A message that was set aside, without its bytes. `attempts` counts retries by hand."""

    id: str
    owner: str
    consumer: str
    pointer: str
    reason_class: str
    reason: str
    topic: str | None
    partition: int | None
    record_offset: int | None
    event_id: str | None
    message_type: str | None
    created_at: datetime
    state: State
    attempts: int
    retried_at: datetime | None


@dataclass(frozen=True, slots=True)
class DeadLetter(Summary):
    """A message that was set aside, whole."""

    message: bytes
    key: bytes | None
    headers: Headers | None


Retrier = Callable[[Transaction, DeadLetter], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Retried:
    """How a retry ended: `retried` when the message had its effect, `open` with a reason when it failed again."""

    state: State
    attempts: int
    reason: str | None


class DeadLetterNotFoundError(LookupError):
    """No dead letter has this id."""

    def __init__(self, dead_letter_id: str) -> None:
        self.dead_letter_id = dead_letter_id
        super().__init__(f"there is no dead letter {dead_letter_id}")


class NobodyRetriesError(LookupError):
    """The consumer that set this message aside does not exist in this version of the service."""

    def __init__(self, consumer: str) -> None:
        self.consumer = consumer
        super().__init__(f"this version of the service has no consumer {consumer}")


async def add(tx: Transaction, schema: str, letter: Letter) -> str:
    """Set a message aside and tell of it; returns the dead letter's id."""
    dead_letter_id, reason_class = new_id(), type(letter.error).__name__
    reason = _storable(describe(letter.error))
    statement = text(
        f"""
        INSERT INTO {schema}.dead_letters (id, owner, consumer, pointer, reason_class, reason, message, key, headers,
            topic, partition, record_offset, event_id, message_type)
        VALUES (CAST(:id AS uuid), :owner, :consumer, :pointer, :reason_class, :reason, :message, :key,
            CAST(:headers AS jsonb), :topic, :partition, :record_offset, :event_id, :message_type)
        """
    )
    await tx.connection.execute(
        statement,
        {
            "id": dead_letter_id,
            "owner": tx.service,
            "consumer": letter.consumer,
            "pointer": _storable(letter.pointer),
            "reason_class": reason_class,
            "reason": reason,
            "message": letter.message,
            "key": letter.key,
            "headers": None if letter.headers is None else _headers_to_json(letter.headers),
            "topic": letter.topic,
            "partition": letter.partition,
            "record_offset": letter.record_offset,
            "event_id": letter.event_id and _storable(letter.event_id),
            "message_type": letter.message_type and _storable(letter.message_type),
        },
    )
    _caused(tx, letter.cause).emit(
        Draft(
            MessageDeadLettered(
                owner=tx.service,
                consumer=letter.consumer,
                pointer=_storable(letter.pointer),
                reason_class=reason_class,
                message_type=letter.message_type and _storable(letter.message_type),
            ),
            entity=Entity(type="dead_letter", id=dead_letter_id),
            workflow=Workflow(name="dead_letter", id=dead_letter_id),
            reason=reason,
            topic=own_topic(tx.service),
        )
    )
    metrics.DEAD_LETTERS.labels(letter.consumer, reason_class).inc()
    return dead_letter_id


def _caused(tx: Transaction, event: RawEvent | None) -> Transaction:
    if event is not None:
        return tx.caused_by(event)
    return tx.automatically(tx._cause or Cause(correlation_id=new_id()))


async def page(
    connection: AsyncConnection,
    schema: str,
    *,
    limit: int,
    state: State | None = None,
    consumer: str | None = None,
    after: str | None = None,
) -> list[Summary]:
    """The newest dead letters first, `limit` of them, from behind the id `after`; no bytes, which may be megabytes."""
    rows = await connection.execute(
        text(
            f"""
            SELECT {_SUMMARY} FROM {schema}.dead_letters
            WHERE (CAST(:state AS text) IS NULL OR state = :state)
                AND (CAST(:consumer AS text) IS NULL OR consumer = :consumer)
                AND (CAST(:after AS uuid) IS NULL OR id < CAST(:after AS uuid))
            ORDER BY id DESC LIMIT :most
            """
        ),
        {"state": state, "consumer": consumer, "after": after, "most": limit},
    )
    return [Summary(**{**row._mapping, "id": str(row.id)}) for row in rows]


async def find(connection: AsyncConnection, schema: str, dead_letter_id: str, *, lock: bool = False) -> DeadLetter:
    """One dead letter. Raises DeadLetterNotFoundError."""
    rows = await connection.execute(
        text(f"SELECT {_WHOLE} FROM {schema}.dead_letters WHERE id = CAST(:id AS uuid) {'FOR UPDATE' if lock else ''}"),
        {"id": dead_letter_id},
    )
    row = rows.first()
    if row is None:
        raise DeadLetterNotFoundError(dead_letter_id)
    return _dead_letter(dict(row._mapping))


async def retry(tx: Transaction, schema: str, dead_letter_id: str, retriers: Mapping[str, Retrier]) -> Retried:
    """Handle a dead letter again, in a savepoint of `tx`; one that has had its effect is left alone.

    Raises DeadLetterNotFoundError and NobodyRetriesError; conflicts and infrastructure faults are raised as they
    came, and leave the letter as it was.
    """
    letter = await find(tx.connection, schema, dead_letter_id, lock=True)
    if letter.state == "retried":
        return Retried("retried", letter.attempts, None)
    retrier = retriers.get(letter.consumer)
    if retrier is None:
        raise NobodyRetriesError(letter.consumer)

    async def handle() -> None:
        await retrier(tx, letter)
        await check_deferred(tx.connection)

    error = await sandboxed(tx, handle)
    reason = None if error is None else _storable(describe(error))
    await tx.connection.execute(
        text(
            f"""
            UPDATE {schema}.dead_letters
            SET attempts = attempts + 1,
                state = CASE WHEN CAST(:reason AS text) IS NULL THEN 'retried' ELSE state END,
                retried_at = CASE WHEN CAST(:reason AS text) IS NULL THEN now() ELSE retried_at END,
                reason = coalesce(:reason, reason),
                reason_class = coalesce(:reason_class, reason_class)
            WHERE id = CAST(:id AS uuid)
            """
        ),
        {"id": dead_letter_id, "reason": reason, "reason_class": None if error is None else type(error).__name__},
    )
    return Retried("retried" if error is None else "open", letter.attempts + 1, reason)


def _storable(words: str) -> str:
    """PostgreSQL's text takes neither NUL nor half a surrogate pair."""
    return words[:REASON_MAX_CHARACTERS].replace("\x00", "\ufffd").encode("utf-8", "replace").decode()


def _headers_to_json(headers: Headers) -> str:
    pairs = [[_storable(name), None if value is None else base64.b64encode(value).decode()] for name, value in headers]
    return orjson.dumps(pairs).decode()


def _headers_from_json(pairs: list[list[str | None]]) -> Headers:
    return [(name or "", None if value is None else base64.b64decode(value)) for name, value in pairs]


def _dead_letter(values: dict[str, Any]) -> DeadLetter:
    headers = values.pop("headers")
    values["id"] = str(values["id"])
    return DeadLetter(headers=None if headers is None else _headers_from_json(headers), **values)
