"""The inbox: which events a consumer has taken, so that delivery at least once has its effect once.

`claim` marks a whole batch in the transaction of its effects: rolled back together, they are open again; committed
together, the same id is a duplicate for ever after. A replay is therefore a new message with a new id. Rows may go
once no topic can deliver their event again: `prune` is called with an age beyond every retention.
Tested in tests/chassis/test_consumer_handlers.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from functools import cache
from typing import Final

from sqlalchemy import Column, DateTime, Index, MetaData, Table, Text, func, text
from sqlalchemy.ext.asyncio import AsyncConnection

from chassis.sql import Statement

PRUNE_MAX_ROWS: Final = 10_000


def inbox_table(metadata: MetaData) -> Table:
    """The inbox of the service whose MetaData this is. Its role needs SELECT, INSERT and DELETE."""
    return Table(
        "inbox",
        metadata,
        Column("consumer", Text, primary_key=True),
        Column("event_id", Text, primary_key=True),
        Column("claimed_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
        # Rows arrive in the order of their age: a few pages of summaries serve where a tree would double the writes.
        Index("inbox_claimed_at", "claimed_at", postgresql_using="brin"),
    )


async def claim(connection: AsyncConnection, schema: str, consumer: str, event_ids: Sequence[str]) -> set[str]:
    """Take the events that `consumer` has not had yet, in one statement; returns their ids."""
    if not event_ids:
        return set()
    # Sorted, so that two batches with events in common wait for each other instead of deadlocking.
    rows = await _claim(schema).all(connection, {"consumer": consumer, "ids": sorted(set(event_ids))})
    return {row.event_id for row in rows}


@cache
def _claim(schema: str) -> Statement:
    return Statement(
        f"""
        INSERT INTO {schema}.inbox (consumer, event_id)
        SELECT :consumer, event_id FROM unnest(CAST(:ids AS text[])) AS given (event_id)
        ON CONFLICT DO NOTHING
        RETURNING event_id
        """
    )


async def prune(connection: AsyncConnection, schema: str, consumer: str, *, older_than: timedelta) -> int:
    """Forget at most PRUNE_MAX_ROWS events that were claimed longer ago than `older_than`; returns how many."""
    statement = text(
        f"""
        DELETE FROM {schema}.inbox
        WHERE (consumer, event_id) IN (
            SELECT consumer, event_id FROM {schema}.inbox
            WHERE consumer = :consumer AND claimed_at < now() - CAST(:age AS interval)
            LIMIT :most
        )
        """
    )
    result = await connection.execute(statement, {"consumer": consumer, "age": older_than, "most": PRUNE_MAX_ROWS})
    return result.rowcount
