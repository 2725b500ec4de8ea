"""The outbox: events wait in the transaction that they tell of, until the relay has sent them.

`outbox_table` binds the table to a service's MetaData; the service's own migration creates it, with the storage
settings of `OUTBOX_STORAGE`, which keep a table small that is emptied as fast as it is filled.
"""

from __future__ import annotations

from collections.abc import Sequence
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

from chassis.transaction import EVENT_MAX_BYTES, Outgoing

OUTBOX_STORAGE: Final = {
    "autovacuum_vacuum_scale_factor": 0,
    "autovacuum_vacuum_threshold": 2_000,
    "autovacuum_vacuum_insert_scale_factor": 0,
    "autovacuum_vacuum_insert_threshold": 20_000,
    "autovacuum_vacuum_cost_delay": 0,
    "autovacuum_analyze_scale_factor": 0,
    "autovacuum_analyze_threshold": 20_000,
}


def outbox_table(metadata: MetaData) -> Table:
    """The outbox of the service whose MetaData this is; `headers` null means the content type alone."""
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


async def insert(connection: AsyncConnection, schema: str, rows: Sequence[Outgoing]) -> None:
    """Write the events of one transaction, in their order, in one statement."""
    if not rows:
        return
    statement = text(
        f"""
        INSERT INTO {schema}.outbox (event_id, topic, key, value)
        SELECT event_id, topic, key, value
        FROM unnest(
            CAST(:ids AS uuid[]), CAST(:topics AS text[]), CAST(:keys AS text[]), CAST(:vals AS bytea[])
        ) WITH ORDINALITY AS given (event_id, topic, key, value, position)
        ORDER BY position
        """
    )
    await connection.execute(
        statement,
        {
            "ids": [row.event_id for row in rows],
            "topics": [row.topic for row in rows],
            "keys": [row.key for row in rows],
            "vals": [row.value for row in rows],
        },
    )
