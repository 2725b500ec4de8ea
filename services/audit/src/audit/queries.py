"""Read queries over the log: newest first, keyset by seq."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple

from sqlalchemy import ColumnElement, Row, Select, Table, func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from audit.domain import Place, ReviewState
from audit.tables import (
    audit_log,
    conflicts,
    coverage,
    event_ids,
    gaps,
    log_head,
    positions,
    quarantine,
    reviews,
    search,
    search_head,
    sensitive,
)

_WITHOUT_BYTES = tuple(column for column in audit_log.columns if column.name != "value")


_REVIEW_STATES: Final = text(
    """
    SELECT asked.seq, s.why, r.verdict, r.reason, r.reviewer_id, r.reviewer_name, r.reviewed_at
    FROM unnest(CAST(:seqs AS bigint[])) AS asked (seq)
    LEFT JOIN audit.sensitive AS s ON s.seq = asked.seq
    LEFT JOIN LATERAL (
        SELECT * FROM audit.reviews WHERE of_seq = asked.seq ORDER BY seq DESC LIMIT 1
    ) AS r ON true
    """
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which records: every given part must match; `action` is the event type."""

    entity_type: str | None = None
    entity_id: str | None = None
    workflow: str | None = None
    workflow_id: str | None = None
    actor: str | None = None
    action: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    awaiting_review: bool = False

    @property
    def one_timeline(self) -> bool:
        """Whether an index of the log itself leaves little to look through."""
        return self.entity_id is not None or self.workflow_id is not None

    def on_the_log(self) -> Iterator[ColumnElement[bool]]:
        """What is asked of columns that only the log has."""
        given = (self.entity_type, self.entity_id, self.workflow, self.workflow_id)
        columns = (audit_log.c.entity_type, audit_log.c.entity_id, audit_log.c.workflow_name, audit_log.c.workflow_id)
        yield from (column == value for column, value in zip(columns, given, strict=True) if value is not None)
        if self.awaiting_review:
            reviewed = select(reviews.c.seq).where(reviews.c.of_seq == audit_log.c.seq).exists()
            yield audit_log.c.seq.in_(select(sensitive.c.seq))
            yield ~reviewed

    def on_either(self, table: Table) -> Iterator[ColumnElement[bool]]:
        """What is asked of columns that the log and the projection have."""
        if self.actor is not None:
            yield table.c.actor_id == self.actor
        if self.action is not None:
            yield table.c.action == self.action
        if self.since is not None:
            yield table.c.occurred_at >= self.since
        if self.until is not None:
            yield table.c.occurred_at < self.until


def _records(wanted: Wanted, *, before_seq: int | None, limit: int) -> Select[Any]:
    """One timeline is read from the log; else actor, action and time lead, by the projection behind it."""
    query: Select[Any] = select(*_WITHOUT_BYTES).where(*wanted.on_the_log()).limit(limit)
    projected = list(wanted.on_either(search))
    table = search if projected and not wanted.one_timeline else audit_log
    if table is audit_log:
        query = query.where(*wanted.on_either(audit_log))
    else:
        query = query.join(search, search.c.seq == audit_log.c.seq).where(*projected)
    query = query.order_by(table.c.seq.desc())
    return query if before_seq is None else query.where(table.c.seq < before_seq)


async def list_records(
    connection: AsyncConnection, wanted: Wanted, *, before_seq: int | None, limit: int
) -> Sequence[Row[Any]]:
    """Up to `limit` records with a seq below `before_seq`, newest first, without their bytes."""
    rows: Sequence[Row[Any]] = (await connection.execute(_records(wanted, before_seq=before_seq, limit=limit))).all()
    return rows


async def get_record(connection: AsyncConnection, seq: int) -> Row[Any] | None:
    """One record with its exact bytes."""
    if not 0 < seq < 2**63:
        return None
    return (await connection.execute(select(audit_log).where(audit_log.c.seq == seq))).one_or_none()


async def review_states(connection: AsyncConnection, seqs: Sequence[int]) -> Mapping[int, ReviewState]:
    """How each of these records was reviewed."""
    rows = await connection.execute(_REVIEW_STATES, {"seqs": list(seqs)})
    return {
        row.seq: ReviewState(
            row.verdict or ("not_needed" if row.why is None else "awaiting"),
            row.why,
            row.reason,
            row.reviewer_id,
            row.reviewer_name,
            row.reviewed_at,
        )
        for row in rows
    }


async def head(connection: AsyncConnection) -> Mapping[str, int]:
    """`last_seq` of the log and `searchable_seq`, up to which actor, action and time can be searched."""
    columns = (log_head.c.last_seq, search_head.c.searchable_seq)
    row = (await connection.execute(select(*(select(each).scalar_subquery() for each in columns)))).one()
    return {"last_seq": row[0], "searchable_seq": row[1]}


async def list_coverage(connection: AsyncConnection) -> Sequence[Row[Any]]:
    """The account of every partition, each incarnation on its own."""
    order = (coverage.c.topic, coverage.c.partition, coverage.c.incarnation)
    return (await connection.execute(select(coverage).order_by(*order))).all()


async def list_positions(connection: AsyncConnection) -> Sequence[Row[Any]]:
    """How far the log has read each partition."""
    return (await connection.execute(select(positions).order_by(positions.c.topic, positions.c.partition))).all()


async def count_ids(connection: AsyncConnection) -> tuple[int, int]:
    """How many ids the log knows, and the highest seq among them."""
    query = select(func.count(), func.coalesce(func.max(event_ids.c.seq), 0)).select_from(event_ids)
    ids, last_seq = (await connection.execute(query)).one()
    return ids, last_seq


class Held(NamedTuple):
    """What stands beside the log for one partition: rows, and offsets that `gaps` lists as missing."""

    quarantined: int
    conflicts: int
    reinterpreted: int
    missing: int


NOTHING_HELD: Final = Held(0, 0, 0, 0)
_HELD: Final = text(
    """
    SELECT topic, partition, incarnation, sum(quarantined)::bigint AS quarantined, sum(conflicts)::bigint AS conflicts,
           sum(reinterpreted)::bigint AS reinterpreted, sum(missing)::bigint AS missing
    FROM (
        SELECT topic, partition, incarnation, count(*) AS quarantined, 0 AS conflicts, 0 AS reinterpreted, 0 AS missing
        FROM audit.quarantine GROUP BY 1, 2, 3
        UNION ALL
        SELECT topic, partition, incarnation, 0, count(*), 0, 0 FROM audit.conflicts GROUP BY 1, 2, 3
        UNION ALL
        SELECT log.topic, log.partition, log.incarnation, 0, 0, count(*), 0
        FROM audit.reinterpreted JOIN audit.audit_log AS log USING (seq)
        WHERE log.schema_status = 'known' GROUP BY 1, 2, 3
        UNION ALL
        SELECT topic, partition, incarnation, 0, 0, 0, sum(next_offset - first_offset) FROM audit.gaps GROUP BY 1, 2, 3
    ) AS parts
    GROUP BY 1, 2, 3
    """
)


async def held_by_place(connection: AsyncConnection) -> dict[Place, Held]:
    """What the accounts of each partition must agree with."""
    rows = await connection.execute(_HELD)
    return {
        Place(row.topic, row.partition, row.incarnation): Held(
            row.quarantined, row.conflicts, row.reinterpreted, row.missing
        )
        for row in rows
    }


async def list_gaps(connection: AsyncConnection, *, limit: int = 1_000) -> Sequence[Row[Any]]:
    """The gaps found, unexplained ones first."""
    order = (gaps.c.explanation.is_not(None), gaps.c.topic, gaps.c.partition, gaps.c.first_offset)
    return (await connection.execute(select(gaps).order_by(*order).limit(limit))).all()


async def list_quarantine(
    connection: AsyncConnection, *, before_id: int | None, limit: int, reason: str | None
) -> Sequence[Row[Any]]:
    """What could not be recorded, or was recorded without being understood; newest first, without the bytes."""
    without_bytes = (each for each in quarantine.columns if each.name not in ("key", "value"))
    query = select(*without_bytes).order_by(quarantine.c.id.desc()).limit(limit)
    query = query if before_id is None else query.where(quarantine.c.id < before_id)
    query = query if reason is None else query.where(quarantine.c.reason == reason)
    return (await connection.execute(query)).all()


async def list_conflicts(connection: AsyncConnection, *, before_id: int | None, limit: int) -> Sequence[Row[Any]]:
    """Events that came under an id which the log holds with other bytes, newest first, without the bytes."""
    query = select(*(each for each in conflicts.columns if each.name != "value")).order_by(conflicts.c.id.desc())
    query = query if before_id is None else query.where(conflicts.c.id < before_id)
    return (await connection.execute(query.limit(limit))).all()


async def count_set_aside(connection: AsyncConnection) -> dict[str, int]:
    """How many rows of quarantine there are by reason, and `conflicts`."""
    by_reason = await connection.execute(select(quarantine.c.reason, func.count()).group_by(quarantine.c.reason))
    counts = {row[0]: row[1] for row in by_reason}
    counts["conflicts"] = (await connection.execute(select(func.count()).select_from(conflicts))).scalar_one()
    return counts
