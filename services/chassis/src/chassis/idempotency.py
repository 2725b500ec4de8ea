"""Idempotency keys: a request that is sent again has its effect once and is answered as before.

The key, the answer and the effect are committed in one transaction, so there is no moment in which one of them is
known without the others: after a crash in the middle nothing is, and the same request does it, once. While one
transaction works under a key, it holds an advisory lock that dies with it; a second request with that key is told so
at once instead of waiting. What failed is not kept, because nothing was changed: the same key may try again. A key
belongs to its caller and to one operation on one path. Tested in tests/chassis/test_idempotency.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import orjson
from sqlalchemy import (
    CheckConstraint,
    Column,
    DateTime,
    Index,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection

ANSWER_MAX_BYTES: Final = 262_144
KEY_MAX_CHARACTERS: Final = 255
PRUNE_MAX_ROWS: Final = 10_000
TABLE: Final = "idempotency_keys"


class KeyInFlightError(Exception):
    """Another request with this key is being worked on."""


class KeyReusedError(Exception):
    """This key was given with another request before."""


class AnswerTooLargeError(Exception):
    """The answer is larger than what is kept under a key; nothing was done."""

    def __init__(self, size_bytes: int) -> None:
        super().__init__(f"The answer has {size_bytes} bytes, {ANSWER_MAX_BYTES} are kept under an Idempotency-Key")


@dataclass(frozen=True, slots=True)
class Key:
    """A key as its caller gave it, for one operation; `fingerprint` is the digest of the whole request."""

    caller: str
    operation: str
    key: str
    fingerprint: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """What was answered: enough to send it again."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def idempotency_table(metadata: MetaData) -> Table:
    """The keys of the service whose MetaData this is. Its role needs SELECT, INSERT and DELETE."""
    return Table(
        TABLE,
        metadata,
        Column("caller", Text, primary_key=True),
        Column("operation", Text, primary_key=True),
        Column("key", Text, primary_key=True),
        Column("fingerprint", LargeBinary, nullable=False),
        Column("status", SmallInteger, nullable=False),
        Column("headers", JSONB, nullable=False),
        Column("answer", LargeBinary, nullable=False),
        Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
        CheckConstraint(f"octet_length(answer) <= {ANSWER_MAX_BYTES}", name="idempotency_keys_answer_size"),
        Index("idempotency_keys_created_at", "created_at", postgresql_using="brin"),
    )


async def claim(connection: AsyncConnection, schema: str, key: Key) -> Answer | None:
    """Hold `key` until the transaction ends; returns what was answered under it before, None when nothing was.

    Raises KeyInFlightError and KeyReusedError.
    """
    name = "\n".join((schema, key.caller, key.operation, key.key))
    lock = text("SELECT pg_try_advisory_xact_lock(hashtextextended(:name, 0))")
    if not (await connection.execute(lock, {"name": name})).scalar_one():
        raise KeyInFlightError
    # A statement of its own: its snapshot is taken when the lock is held, so it sees what the last holder committed.
    found = text(
        f"SELECT fingerprint, status, headers, answer FROM {schema}.{TABLE}"
        " WHERE caller = :caller AND operation = :operation AND key = :key"
    )
    given = {"caller": key.caller, "operation": key.operation, "key": key.key}
    row = (await connection.execute(found, given)).one_or_none()
    if row is None:
        return None
    if row.fingerprint != key.fingerprint:
        raise KeyReusedError
    return Answer(row.status, row.headers, row.answer)


async def keep(connection: AsyncConnection, schema: str, key: Key, answer: Answer) -> None:
    """Keep what is about to be answered, beside the effect. Raises AnswerTooLargeError."""
    if len(answer.body) > ANSWER_MAX_BYTES:
        raise AnswerTooLargeError(len(answer.body))
    statement = text(
        f"""
        INSERT INTO {schema}.{TABLE} (caller, operation, key, fingerprint, status, headers, answer)
        VALUES (:caller, :operation, :key, :fingerprint, :status, CAST(:headers AS jsonb), :answer)
        """
    )
    await connection.execute(
        statement,
        {
            "caller": key.caller,
            "operation": key.operation,
            "key": key.key,
            "fingerprint": key.fingerprint,
            "status": answer.status,
            "headers": orjson.dumps(dict(answer.headers)).decode(),
            "answer": answer.body,
        },
    )


async def prune(connection: AsyncConnection, schema: str, *, older_than: timedelta) -> int:
    """Forget at most PRUNE_MAX_ROWS keys that are older than this; returns how many."""
    statement = text(
        f"""
        DELETE FROM {schema}.{TABLE}
        WHERE (caller, operation, key) IN (
            SELECT caller, operation, key FROM {schema}.{TABLE}
            WHERE created_at < now() - CAST(:age AS interval)
            LIMIT :most
        )
        """
    )
    return (await connection.execute(statement, {"age": older_than, "most": PRUNE_MAX_ROWS})).rowcount
