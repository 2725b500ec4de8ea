"""How the log is written: for a small batch one statement that locks the head and looks, and one that appends."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from chassis.sql import Part, Statement, Write, copy, read_together, write_together
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from audit import guards
from audit.domain import TOLD, Entry, Gap, Place, Pointer, Recorded, Status, Tally, Unreadable, seal
from audit.tables import PARTITION_RECORDS, SCHEMA

_ENSURE_PARTITION = text("SELECT audit.ensure_partition(:seq)")
_INCARNATIONS = Statement("SELECT topic, partition, max(incarnation) AS incarnation FROM audit.coverage GROUP BY 1, 2")
# Looking the ids up in the statement that waits for the head may miss what the writer before has just committed; the
# primary key of event_ids then makes a conflict of it, and the batch runs again.
_LOCK_HEAD = Statement(
    """
    WITH head AS MATERIALIZED (SELECT last_seq FROM audit.log_head WHERE id = 1 FOR UPDATE)
    SELECT head.last_seq, known.source, known.event_id, encode(known.sha256, 'hex') AS sha256
    FROM head LEFT JOIN (
        unnest(CAST(:sources AS text[]), CAST(:ids AS text[])) AS given (source, event_id)
        JOIN audit.event_ids AS known USING (source, event_id)
    ) ON true
    """
)
_COLUMNS = ("seq", "recorded_at", *Place._fields, "record_offset", "schema_status", "sentence", "value", *TOLD)
_CLAIM = Part(
    """
    moved_head AS (UPDATE audit.log_head SET last_seq = CAST(:last_seq AS bigint) WHERE id = 1),
    claimed_ids AS (
        INSERT INTO audit.event_ids (source, event_id, sha256, seal, seq)
        SELECT * FROM unnest(
            CAST(:sources AS text[]), CAST(:ids AS text[]), CAST(:hashes AS bytea[]), CAST(:seals AS bytea[]),
            CAST(:seqs AS bigint[]))
    )
    """
)
_TYPES = {
    "seq": "bigint",
    "recorded_at": "timestamptz",
    "partition": "integer",
    "incarnation": "integer",
    "record_offset": "bigint",
    "value": "bytea",
    "version": "integer",
    "occurred_at": "timestamptz",
}
_APPEND = Part(
    f"""
    appended AS (
        INSERT INTO audit.audit_log ({", ".join(_COLUMNS)})
        SELECT * FROM unnest({", ".join(f"CAST(:{name} AS {_TYPES.get(name, 'text')}[])" for name in _COLUMNS)})
    )
    """
)
_QUARANTINE = text(
    """
    INSERT INTO audit.quarantine
        (topic, partition, incarnation, record_offset, reason, detail, seq, dead_letter_id, key, value, found_at)
    VALUES (:topic, :partition, :incarnation, :record_offset, :reason, :detail, :seq, CAST(:dead_letter_id AS uuid),
            :key, :value, :found_at)
    """
)
_QUARANTINED_AT = text(
    """
    SELECT topic, partition, incarnation, record_offset FROM audit.quarantine
    WHERE dead_letter_id = CAST(:id AS uuid)
    """
)
_REINTERPRET = text(
    """
    INSERT INTO audit.reinterpreted (topic, partition, incarnation, record_offset, seq)
    SELECT topic, partition, incarnation, record_offset, :seq FROM audit.quarantine
    WHERE dead_letter_id = CAST(:id AS uuid)
    """
)
_CONFLICT = text(
    """
    INSERT INTO audit.conflicts (topic, partition, incarnation, record_offset, source, event_id, value, found_at)
    VALUES (:topic, :partition, :incarnation, :record_offset, :source, :event_id, :value, :found_at)
    """
)
_GAP = text(
    """
    INSERT INTO audit.gaps (topic, partition, incarnation, first_offset, next_offset, explanation, found_at)
    VALUES (:topic, :partition, :incarnation, :first_offset, :next_offset, :explanation, :found_at)
    """
)
_COVER = Part(
    """
    covered AS (
        INSERT INTO audit.coverage AS held
            (topic, partition, incarnation, first_offset, next_offset,
             recorded, duplicate, quarantined, technical, explained_gap, unexplained_gap)
        SELECT topic, partition, incarnation, first_offset, first_offset + total,
               recorded, duplicate, quarantined, technical, explained_gap, unexplained_gap
        FROM unnest(
            CAST(:topics AS text[]), CAST(:partitions AS integer[]), CAST(:incarnations AS integer[]),
            CAST(:first_offsets AS bigint[]), CAST(:totals AS bigint[]), CAST(:recorded AS bigint[]),
            CAST(:duplicate AS bigint[]), CAST(:quarantined AS bigint[]), CAST(:technical AS bigint[]),
            CAST(:explained_gap AS bigint[]), CAST(:unexplained_gap AS bigint[]))
            AS given (topic, partition, incarnation, first_offset, total,
                      recorded, duplicate, quarantined, technical, explained_gap, unexplained_gap)
        ON CONFLICT (topic, partition, incarnation) DO UPDATE SET
            next_offset = held.next_offset + excluded.next_offset - excluded.first_offset,
            recorded = held.recorded + excluded.recorded,
            duplicate = held.duplicate + excluded.duplicate,
            quarantined = held.quarantined + excluded.quarantined,
            technical = held.technical + excluded.technical,
            explained_gap = held.explained_gap + excluded.explained_gap,
            unexplained_gap = held.unexplained_gap + excluded.unexplained_gap
    )
    """
)
_FEW_RECORDS = 100
"""Up to so many records go with everything else in one statement; for more, COPY takes PostgreSQL half the time."""


@dataclass(frozen=True, slots=True)
class Head:
    """The end of the log, locked: nobody else appends until this transaction ends.

    `incarnations`: for each partition that was read, how often it has been found made anew. `known`: which (source,
    id) of those asked for the log holds, with the sha256 of their bytes.
    """

    last_seq: int
    known: Mapping[tuple[str, str], bytes]
    incarnations: Mapping[tuple[str, int], int]


async def lock_head(connection: AsyncConnection, identities: Sequence[tuple[str, str]]) -> Head:
    """Lock the head of the log and look these events up. Raises GuardsMissingError."""
    given = {"sources": [source for source, _ in identities], "ids": [event_id for _, event_id in identities]}
    found = await read_together(
        connection, head=(_LOCK_HEAD, given), incarnations=(_INCARNATIONS, {}), faults=guards.FAULTS
    )
    guards.refuse(found["faults"])
    return Head(
        last_seq=found["head"][0]["last_seq"],
        known={
            (row["source"], row["event_id"]): bytes.fromhex(row["sha256"])
            for row in found["head"]
            if row["source"] is not None
        },
        incarnations={(row["topic"], row["partition"]): row["incarnation"] for row in found["incarnations"]},
    )


async def append(connection: AsyncConnection, recorded: Sequence[Recorded], *also: Write, at: datetime) -> None:
    """Write the records, their ids and the new head, and `also`; makes the next partition well before it is needed."""
    if not recorded:
        return await write_together(connection, *also)
    first, last = recorded[0].seq, recorded[-1].seq
    half = PARTITION_RECORDS // 2
    if (first - 1 + half) // PARTITION_RECORDS != (last + half) // PARTITION_RECORDS:
        await connection.execute(_ENSURE_PARTITION, {"seq": last + half})
    claim = (
        _CLAIM,
        {
            "last_seq": last,
            "sources": [item.entry.source for item in recorded],
            "ids": [item.entry.event_id for item in recorded],
            "hashes": [item.entry.sha256 for item in recorded],
            "seals": [_seal(item, at) for item in recorded],
            "seqs": [item.seq for item in recorded],
        },
    )
    rows = [_row(item, at) for item in recorded]
    if len(rows) <= _FEW_RECORDS:
        columns = dict(zip(_COLUMNS, zip(*rows, strict=True), strict=True))
        return await write_together(connection, claim, (_APPEND, columns), *also)
    await write_together(connection, claim, *also)
    return await copy(connection, f"{SCHEMA}.audit_log", _COLUMNS, rows)


def cover(counted: Mapping[Place, Tally], first: Mapping[Place, int]) -> Iterator[Write]:
    """Add a batch to the account of each partition; `first` is where each one's part of the batch begins."""
    if not counted:
        return
    places = sorted(counted)
    tallies = [counted[place] for place in places]
    yield (
        _COVER,
        {
            "topics": [place.topic for place in places],
            "partitions": [place.partition for place in places],
            "incarnations": [place.incarnation for place in places],
            "first_offsets": [first[place] for place in places],
            "totals": [tally.total for tally in tallies],
            "recorded": [tally.recorded for tally in tallies],
            "duplicate": [tally.duplicate for tally in tallies],
            "quarantined": [tally.quarantined for tally in tallies],
            "technical": [tally.technical for tally in tallies],
            "explained_gap": [tally.explained_gap for tally in tallies],
            "unexplained_gap": [tally.unexplained_gap for tally in tallies],
        },
    )


def _seal(item: Recorded, at: datetime) -> bytes:
    entry = item.entry
    return seal(item.seq, at, entry.status, entry.pointer, entry.sentence, entry.sha256)


def _row(item: Recorded, at: datetime) -> tuple[Any, ...]:
    (place, offset), _, status, sentence, value, *told = item.entry
    return (item.seq, at, *place, offset, status, sentence, value, *told)


async def reinterpret(connection: AsyncConnection, dead_letter_id: str, seq: int) -> None:
    """Note that what was quarantined with this dead letter is record `seq` now."""
    await connection.execute(_REINTERPRET, {"id": dead_letter_id, "seq": seq})


async def quarantined_at(connection: AsyncConnection, dead_letter_id: str) -> Pointer | None:
    """Where in Kafka the record stood that was quarantined with this dead letter."""
    row = (await connection.execute(_QUARANTINED_AT, {"id": dead_letter_id})).one_or_none()
    return None if row is None else Pointer(Place(row.topic, row.partition, row.incarnation), row.record_offset)


async def quarantine(
    connection: AsyncConnection, unreadable: Sequence[Unreadable], recorded: Sequence[Recorded], *, at: datetime
) -> None:
    """Set aside what is no event of ours, and note the records whose type is not understood yet."""
    nothing = {"seq": None, "key": None, "value": None, "dead_letter_id": None, "found_at": at}
    rows = [
        {**nothing, **_pointer(item.pointer), "reason": "unreadable", "detail": item.detail}
        | {"key": item.key, "value": item.value, "dead_letter_id": item.dead_letter_id}
        for item in unreadable
    ] + [
        {**nothing, **_pointer(item.entry.pointer), "reason": item.entry.status.value, "seq": item.seq}
        | {"detail": f"{item.entry.action}/{item.entry.version}"}
        for item in recorded
        if item.entry.status is not Status.KNOWN
    ]
    if rows:
        await connection.execute(_QUARANTINE, rows)


async def keep_conflicts(connection: AsyncConnection, conflicts: Sequence[Entry], *, at: datetime) -> None:
    """Keep events whose id the log holds with other bytes."""
    rows = [
        {**_pointer(entry.pointer), "source": entry.source, "event_id": entry.event_id}
        | {"value": entry.value, "found_at": at}
        for entry in conflicts
    ]
    if rows:
        await connection.execute(_CONFLICT, rows)


async def keep_gaps(connection: AsyncConnection, gaps: Sequence[Gap], *, at: datetime) -> None:
    """Keep which offsets Kafka did not hold, and why."""
    rows = [
        gap.place._asdict()
        | {"first_offset": gap.first, "next_offset": gap.end, "explanation": gap.explanation, "found_at": at}
        for gap in gaps
    ]
    if rows:
        await connection.execute(_GAP, rows)


def _pointer(pointer: Pointer) -> dict[str, Any]:
    return {**pointer.place._asdict(), "record_offset": pointer.offset}
