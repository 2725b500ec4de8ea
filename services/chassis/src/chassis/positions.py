"""Positions: how far each consumer has come in each partition, kept beside the effects and moved with them.

`advance` compares and swaps: it moves a partition on only when its row still says what the caller last knew. A member
that lost a partition without noticing, or commits late, finds another value and must roll everything back; so does
one whose database was restored under it. Because the row keeps the id of the last event before the position, a reader
can tell whether the topic still is the one that it read. Tested in tests/chassis/test_consumer_placement.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

from sqlalchemy import BigInteger, CheckConstraint, Column, DateTime, Integer, MetaData, Table, Text, func
from sqlalchemy.ext.asyncio import AsyncConnection

from chassis.batch import BatchLostError
from chassis.sql import Statement


class TopicPart(NamedTuple):
    """One partition of a topic, by the topic's name in the registry (without a deployment's prefix)."""

    topic: str
    partition: int


@dataclass(frozen=True, slots=True)
class Position:
    """The next offset to read, and the identity of the record before it (null only before the first)."""

    next_offset: int
    last_event_id: str | None


@dataclass(frozen=True, slots=True)
class Advance:
    """One partition's move; `known` is None when no row was there."""

    part: TopicPart
    known: Position | None
    to: Position


class PositionLostError(BatchLostError):
    """A stored position is not what this process last knew: somebody else has moved it. Roll back and read again."""

    def __init__(self, consumer: str, parts: Sequence[TopicPart]) -> None:
        self.consumer = consumer
        self.parts = tuple(parts)
        names = ", ".join(f"{part.topic}/{part.partition}" for part in parts)
        super().__init__(f"another process has moved {consumer} in {names}")


def positions_table(metadata: MetaData) -> Table:
    """The positions of the service whose MetaData this is. Its role needs SELECT, INSERT and UPDATE."""
    return Table(
        "positions",
        metadata,
        Column("consumer", Text, primary_key=True),
        Column("topic", Text, primary_key=True),
        Column("partition", Integer, primary_key=True, autoincrement=False),
        Column("next_offset", BigInteger, nullable=False),
        Column("last_event_id", Text),
        Column("updated_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
        CheckConstraint("next_offset >= 0", name="positions_next_offset"),
        # A row changes with every batch: room on its page keeps those updates out of the index.
        postgresql_with={"fillfactor": 20},
    )


async def load(
    connection: AsyncConnection, schema: str, consumer: str, parts: Sequence[TopicPart]
) -> Mapping[TopicPart, Position]:
    """The stored positions of `parts`; a partition that was never read is absent."""
    rows = await _statements(schema).load.all(
        connection,
        {
            "consumer": consumer,
            "topics": [part.topic for part in parts],
            "partitions": [part.partition for part in parts],
        },
    )
    return {TopicPart(row.topic, row.partition): Position(row.next_offset, row.last_event_id) for row in rows}


async def advance(connection: AsyncConnection, schema: str, consumer: str, moves: Sequence[Advance]) -> None:
    """Move every partition on, or raise PositionLostError; the rows stay locked until the transaction ends.

    Called first in a transaction, it makes two members that hold the same partition take turns, and the later one
    lose before it has done any work.
    """
    statements = _statements(schema)
    moved: set[TopicPart] = set()
    first, later = [move for move in moves if move.known is None], [move for move in moves if move.known is not None]
    if first:
        moved |= await _run(connection, statements.insert, consumer, first)
    if later:
        moved |= await _run(connection, statements.swap, consumer, later)
    lost = [move.part for move in moves if move.part not in moved]
    if lost:
        raise PositionLostError(consumer, lost)


async def _run(
    connection: AsyncConnection, statement: Statement, consumer: str, moves: Sequence[Advance]
) -> set[TopicPart]:
    ordered = sorted(moves, key=lambda move: move.part)
    given = {
        "consumer": consumer,
        "topics": [move.part.topic for move in ordered],
        "partitions": [move.part.partition for move in ordered],
        "offsets": [move.to.next_offset for move in ordered],
        "ids": [move.to.last_event_id for move in ordered],
        "known_offsets": [move.known and move.known.next_offset for move in ordered],
        "known_ids": [move.known and move.known.last_event_id for move in ordered],
    }
    return {TopicPart(row.topic, row.partition) for row in await statement.all(connection, given)}


class _Statements:
    """The statements for one schema."""

    def __init__(self, schema: str) -> None:
        self.load = Statement(
            f"""
            SELECT topic, partition, next_offset, last_event_id
            FROM {schema}.positions
            JOIN unnest(CAST(:topics AS text[]), CAST(:partitions AS int[])) AS given (topic, partition)
                USING (topic, partition)
            WHERE consumer = :consumer
            """
        )
        self.insert = Statement(
            f"""
            INSERT INTO {schema}.positions (consumer, topic, partition, next_offset, last_event_id)
            SELECT :consumer, given.* FROM unnest(
                CAST(:topics AS text[]), CAST(:partitions AS int[]), CAST(:offsets AS bigint[]), CAST(:ids AS text[])
            ) AS given (topic, partition, next_offset, last_event_id)
            ON CONFLICT DO NOTHING
            RETURNING topic, partition
            """
        )
        self.swap = Statement(
            f"""
            UPDATE {schema}.positions AS stored
            SET next_offset = given.next_offset, last_event_id = given.last_event_id, updated_at = now()
            FROM unnest(
                CAST(:topics AS text[]), CAST(:partitions AS int[]), CAST(:offsets AS bigint[]), CAST(:ids AS text[]),
                CAST(:known_offsets AS bigint[]), CAST(:known_ids AS text[])
            ) AS given (topic, partition, next_offset, last_event_id, known_offset, known_id)
            WHERE stored.consumer = :consumer AND stored.topic = given.topic AND stored.partition = given.partition
                AND stored.next_offset = given.known_offset
                AND stored.last_event_id IS NOT DISTINCT FROM given.known_id
            RETURNING stored.topic, stored.partition
            """
        )


@cache
def _statements(schema: str) -> _Statements:
    return _Statements(schema)
