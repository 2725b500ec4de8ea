"""How the log is written and read. Writing is one statement for each table and batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from audit.domain import Entry, Gap, Place, Recorded, Status, Tally, Unreadable
from audit.tables import PARTITION_RECORDS

_LOCK_HEAD = text("SELECT last_seq FROM audit.log_head WHERE id = 1 FOR UPDATE")
_MOVE_HEAD = text("UPDATE audit.log_head SET last_seq = :seq WHERE id = 1")
_ENSURE_PARTITION = text("SELECT audit.ensure_partition(:seq)")
_INCARNATIONS = text("SELECT topic, partition, max(incarnation) AS incarnation FROM audit.coverage GROUP BY 1, 2")
_KNOWN = text(
    """
    SELECT known.source, known.event_id, known.sha256
    FROM unnest(CAST(:sources AS text[]), CAST(:ids AS text[])) AS given (source, event_id)
    JOIN audit.event_ids AS known USING (source, event_id)
    """
)
_CLAIM = text(
    """
    INSERT INTO audit.event_ids (source, event_id, sha256, seq)
    SELECT * FROM unnest(
        CAST(:sources AS text[]), CAST(:ids AS text[]), CAST(:hashes AS bytea[]), CAST(:seqs AS bigint[]))
    """
)
_COLUMNS = {
    "seq": "bigint",
    "event_id": "text",
    "source": "text",
    "action": "text",
    "version": "integer",
    "schema_status": "text",
    "actor_kind": "text",
    "actor_id": "text",
    "actor_name": "text",
    "entity_type": "text",
    "entity_id": "text",
    "workflow_name": "text",
    "workflow_id": "text",
    "occurred_at": "timestamptz",
    "topic": "text",
    "partition": "integer",
    "incarnation": "integer",
    "record_offset": "bigint",
    "reason": "text",
    "sentence": "text",
    "value": "bytea",
}
_APPEND = text(
    f"""
    INSERT INTO audit.audit_log ({", ".join(_COLUMNS)}, recorded_at)
    SELECT *, CAST(:recorded_at AS timestamptz)
    FROM unnest({", ".join(f"CAST(:{name} AS {kind}[])" for name, kind in _COLUMNS.items())})
    """
)
_QUARANTINE = text(
    """
    INSERT INTO audit.quarantine
        (topic, partition, incarnation, record_offset, reason, detail, seq, key, value, found_at)
    VALUES (:topic, :partition, :incarnation, :record_offset, :reason, :detail, :seq, :key, :value, :found_at)
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
_COVER = text(
    """
    INSERT INTO audit.coverage AS held
        (topic, partition, incarnation, first_offset, next_offset,
         recorded, duplicate, quarantined, technical, explained_gap, unexplained_gap)
    VALUES (:topic, :partition, :incarnation, CAST(:first_offset AS bigint), CAST(:first_offset AS bigint) + CAST(:total AS bigint),
            :recorded, :duplicate, :quarantined, :technical, :explained_gap, :unexplained_gap)
    ON CONFLICT (topic, partition, incarnation) DO UPDATE SET
        next_offset = held.next_offset + CAST(:total AS bigint),
        recorded = held.recorded + excluded.recorded,
        duplicate = held.duplicate + excluded.duplicate,
        quarantined = held.quarantined + excluded.quarantined,
        technical = held.technical + excluded.technical,
        explained_gap = held.explained_gap + excluded.explained_gap,
        unexplained_gap = held.unexplained_gap + excluded.unexplained_gap
    """
)


async def lock_head(connection: AsyncConnection) -> int:
    """The last sequence number; nobody else appends until this transaction ends."""
    return int((await connection.execute(_LOCK_HEAD)).scalar_one())


async def incarnations(connection: AsyncConnection) -> dict[tuple[str, int], int]:
    """For each partition that was read: how often it has been found made anew."""
    return {(row.topic, row.partition): row.incarnation for row in await connection.execute(_INCARNATIONS)}


async def known_ids(connection: AsyncConnection, entries: Sequence[Entry]) -> dict[tuple[str, str], bytes]:
    """Which of the entries' (source, id) the log holds already, with the sha256 of their bytes."""
    given = {"sources": [entry.source for entry in entries], "ids": [entry.event_id for entry in entries]}
    rows = await connection.execute(_KNOWN, given)
    return {(row.source, row.event_id): bytes(row.sha256) for row in rows}


async def append(connection: AsyncConnection, recorded: Sequence[Recorded], *, at: datetime) -> None:
    """Write the records, their ids and the new head; makes the next partition well before it is needed."""
    if not recorded:
        return
    entries = [item.entry for item in recorded]
    seqs = [item.seq for item in recorded]
    if seqs[0] // PARTITION_RECORDS != (seqs[-1] + PARTITION_RECORDS // 2) // PARTITION_RECORDS:
        await connection.execute(_ENSURE_PARTITION, {"seq": seqs[-1] + PARTITION_RECORDS // 2})
    ids = {"sources": [entry.source for entry in entries], "ids": [entry.event_id for entry in entries]}
    await connection.execute(_CLAIM, {**ids, "hashes": [entry.sha256 for entry in entries], "seqs": seqs})
    await connection.execute(_APPEND, {**_arrays(seqs, entries), "recorded_at": at})
    await connection.execute(_MOVE_HEAD, {"seq": seqs[-1]})


def _arrays(seqs: Sequence[int], entries: Sequence[Entry]) -> dict[str, list[Any]]:
    pointers = [entry.pointer for entry in entries]
    places = [pointer.place for pointer in pointers]
    plain = (
        "event_id source action version actor_kind actor_id actor_name entity_type entity_id "
        "workflow_name workflow_id occurred_at reason sentence value"
    )
    return {
        "seq": list(seqs),
        "schema_status": [entry.status.value for entry in entries],
        "topic": [place.topic for place in places],
        "partition": [place.partition for place in places],
        "incarnation": [place.incarnation for place in places],
        "record_offset": [pointer.offset for pointer in pointers],
        **{name: [getattr(entry, name) for entry in entries] for name in plain.split()},
    }


async def quarantine(
    connection: AsyncConnection, unreadable: Sequence[Unreadable], recorded: Sequence[Recorded], *, at: datetime
) -> None:
    """Set aside what is no event of ours, and note the records whose type is not understood yet."""
    rows = [
        {
            **_pointer(item.pointer.place, item.pointer.offset),
            "reason": "unreadable",
            "detail": item.detail,
            "seq": None,
        }
        | {"key": item.key, "value": item.value, "found_at": at}
        for item in unreadable
    ] + [
        {**_pointer(item.entry.pointer.place, item.entry.pointer.offset), "reason": item.entry.status.value}
        | {"detail": f"{item.entry.action}/{item.entry.version}", "seq": item.seq}
        | {"key": None, "value": None, "found_at": at}
        for item in recorded
        if item.entry.status is not Status.KNOWN
    ]
    if rows:
        await connection.execute(_QUARANTINE, rows)


async def keep_conflicts(connection: AsyncConnection, conflicts: Sequence[Entry], *, at: datetime) -> None:
    """Keep events whose id the log holds with other bytes."""
    rows = [
        {**_pointer(entry.pointer.place, entry.pointer.offset), "source": entry.source, "event_id": entry.event_id}
        | {"value": entry.value, "found_at": at}
        for entry in conflicts
    ]
    if rows:
        await connection.execute(_CONFLICT, rows)


async def keep_gaps(connection: AsyncConnection, gaps: Sequence[Gap], *, at: datetime) -> None:
    """Keep which offsets Kafka did not hold, and why."""
    rows = [
        {"topic": gap.place.topic, "partition": gap.place.partition, "incarnation": gap.place.incarnation}
        | {"first_offset": gap.first, "next_offset": gap.end, "explanation": gap.explanation, "found_at": at}
        for gap in gaps
    ]
    if rows:
        await connection.execute(_GAP, rows)


async def cover(connection: AsyncConnection, counted: Mapping[Place, Tally], first: Mapping[Place, int]) -> None:
    """Add a batch to the account of each partition; `first` is where each one's part of the batch begins."""
    rows = [
        {
            "topic": place.topic,
            "partition": place.partition,
            "incarnation": place.incarnation,
            "first_offset": first[place],
            "total": tally.total,
            "recorded": tally.recorded,
            "duplicate": tally.duplicate,
            "quarantined": tally.quarantined,
            "technical": tally.technical,
            "explained_gap": tally.explained_gap,
            "unexplained_gap": tally.unexplained_gap,
        }
        for place, tally in sorted(counted.items(), key=lambda item: (item[0].topic, item[0].partition))
    ]
    if rows:
        await connection.execute(_COVER, rows)


def _pointer(place: Place, offset: int) -> dict[str, Any]:
    return {
        "topic": place.topic,
        "partition": place.partition,
        "incarnation": place.incarnation,
        "record_offset": offset,
    }
