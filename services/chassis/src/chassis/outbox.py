"""The outbox: events wait in the transaction that they tell of, until the relay has sent them.

`outbox_table` binds both tables to a service's MetaData; the service's own migration creates them, with what
SQLAlchemy does not say: `ALTER TABLE outbox ALTER COLUMN value SET STORAGE EXTERNAL` (Kafka compresses, a row need
not), `ALTER TABLE outbox SET (...)` with every parameter of `OUTBOX_STORAGE`, and `GRANT SELECT, INSERT, DELETE` on
both to the role that the service runs as. A row is never updated.

A key whose event no topic will ever take is parked: the relay passes its events by, in their order, until somebody
has mended the reason and calls `unpark`. Tested in tests/chassis/test_outbox.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Final

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    Identity,
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

from chassis.sql import Part, Write, write_together
from chassis.transaction import EVENT_MAX_BYTES, Outgoing

OUTBOX_STORAGE: Final = {
    # Values of some kilobytes stay in their row: a side table costs more than it saves when rows live for milliseconds.
    "toast_tuple_target": 8_160,
    # The table is emptied as fast as it is filled, so what counts is the churn and never the share of a size.
    "autovacuum_vacuum_scale_factor": 0,
    "autovacuum_vacuum_threshold": 2_000,
    "autovacuum_vacuum_insert_scale_factor": 0,
    "autovacuum_vacuum_insert_threshold": 20_000,
    "autovacuum_vacuum_cost_delay": 0,
    "autovacuum_analyze_scale_factor": 0,
    "autovacuum_analyze_threshold": 20_000,
    "toast.autovacuum_vacuum_scale_factor": 0,
    "toast.autovacuum_vacuum_threshold": 2_000,
    "toast.autovacuum_vacuum_cost_delay": 0,
}
"""Storage parameters that keep the table small under constant churn, as soon as autovacuum_naptime allows."""

MEASURED_MAX_ROWS: Final = 1_000_000
_PARKED: Final = "topic, key, event_id::text AS event_id, reason, parked_at"


@dataclass(frozen=True, slots=True)
class OutboxState:
    """What an outbox holds: events to be sent, the age of the oldest, bytes with indexes, and what stands aside."""

    depth: int
    oldest_age_seconds: float
    table_bytes: int
    parked_keys: int
    parked_rows: int


@dataclass(frozen=True, slots=True)
class ParkedKey:
    """A key that stands aside: the first of its events that cannot be sent, and why."""

    topic: str
    key: str
    event_id: str
    reason: str
    parked_at: datetime


def outbox_table(metadata: MetaData) -> Table:
    """The outbox of the service whose MetaData this is, beside its table of parked keys.

    `headers` null means the content type alone; an object of strings is added to it.
    """
    Table(
        "outbox_parked_keys",
        metadata,
        Column("topic", Text, primary_key=True),
        Column("key", Text, primary_key=True),
        Column("event_id", Uuid, nullable=False),
        Column("reason", Text, nullable=False),
        Column("parked_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    )
    return Table(
        "outbox",
        metadata,
        Column("id", BigInteger, Identity(always=True), primary_key=True),
        Column("event_id", Uuid, nullable=False),
        Column("topic", Text, nullable=False),
        Column("key", Text, nullable=False),
        Column("value", LargeBinary, nullable=False),
        Column("headers", JSONB),
        Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
        CheckConstraint(f"octet_length(value) <= {EVENT_MAX_BYTES}", name="outbox_value_size"),
    )


@cache
def _insert_into(schema: str) -> Part:
    return Part(
        f"""
        outbox_rows AS (
            INSERT INTO {schema}.outbox (event_id, topic, key, value)
            SELECT event_id, topic, key, value
            FROM unnest(
                CAST(:ids AS uuid[]), CAST(:topics AS text[]), CAST(:keys AS text[]), CAST(:vals AS bytea[])
            ) WITH ORDINALITY AS given (event_id, topic, key, value, position)
            ORDER BY position
        )
        """
    )


def tell(schema: str, rows: Sequence[Outgoing]) -> Iterator[Write]:
    """Put the events of one transaction that are not there yet into the outbox, in their order.

    For whoever writes together: what is emitted later is written by itself, when the transaction ends.
    """
    fresh = [row for row in rows if not row.written]
    if not fresh:
        return
    for row in fresh:
        row.written = True
    yield (
        _insert_into(schema),
        {
            "ids": [row.event_id for row in fresh],
            "topics": [row.topic for row in fresh],
            "keys": [row.key for row in fresh],
            "vals": [row.value for row in fresh],
        },
    )


async def insert(connection: AsyncConnection, schema: str, rows: Sequence[Outgoing]) -> None:
    """Write the events of one transaction, in their order, in one statement."""
    await write_together(connection, *tell(schema, rows))


async def measure(connection: AsyncConnection, schema: str) -> OutboxState:
    """Measure the outbox now; events of parked keys are counted apart, so that they do not hide a relay that lags.

    The oldest MEASURED_MAX_ROWS rows are looked at: beyond them the table's bytes alone tell how much there is.
    """
    statement = text(
        f"""
        SELECT count(*) FILTER (WHERE parked.key IS NULL) AS depth,
               coalesce(extract(epoch FROM clock_timestamp()
                   - min(created_at) FILTER (WHERE parked.key IS NULL)), 0)::float8 AS oldest_age_seconds,
               pg_total_relation_size('{schema}.outbox') AS table_bytes,
               (SELECT count(*) FROM {schema}.outbox_parked_keys) AS parked_keys,
               count(*) FILTER (WHERE parked.key IS NOT NULL) AS parked_rows
        FROM (SELECT topic, key, created_at FROM {schema}.outbox ORDER BY id LIMIT {MEASURED_MAX_ROWS}) AS waiting
        LEFT JOIN {schema}.outbox_parked_keys AS parked
               ON parked.topic = waiting.topic AND parked.key = waiting.key
        """
    )
    row = (await connection.execute(statement)).one()
    return OutboxState(**row._mapping)


async def parked(
    connection: AsyncConnection, schema: str, *, limit: int = 100, after: str | None = None
) -> list[ParkedKey]:
    """The keys that stand aside, `limit` of them, that with the oldest event first, from behind the event `after`."""
    statement = text(
        f"""
        SELECT {_PARKED} FROM {schema}.outbox_parked_keys
        WHERE CAST(:after AS uuid) IS NULL OR event_id > CAST(:after AS uuid)
        ORDER BY event_id LIMIT :limit
        """
    )
    rows = await connection.execute(statement, {"limit": limit, "after": after})
    return [ParkedKey(**row._mapping) for row in rows]


async def unpark(connection: AsyncConnection, schema: str, topic: str, key: str) -> ParkedKey | None:
    """Let the events of a parked key go on, in their order; returns what stood aside, None when nothing did.

    The relay parks it again, with a new reason, where its first event still cannot be sent.
    """
    statement = text(f"DELETE FROM {schema}.outbox_parked_keys WHERE topic = :topic AND key = :key RETURNING {_PARKED}")
    row = (await connection.execute(statement, {"topic": topic, "key": key})).one_or_none()
    return None if row is None else ParkedKey(**row._mapping)
