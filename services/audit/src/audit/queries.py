"""Read queries over the log: newest first, keyset by seq."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, select
from sqlalchemy.ext.asyncio import AsyncConnection

from audit.tables import audit_log, coverage, gaps, log_head, search, search_head

_WITHOUT_BYTES = tuple(column for column in audit_log.columns if column.name != "value")


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


def _records(wanted: Wanted) -> Select[Any]:
    """Entity and workflow are indexed on the log itself; actor, action and time on the projection behind it."""
    given: list[tuple[Any, ColumnElement[bool]]] = [
        (wanted.entity_type, audit_log.c.entity_type == wanted.entity_type),
        (wanted.entity_id, audit_log.c.entity_id == wanted.entity_id),
        (wanted.workflow, audit_log.c.workflow_name == wanted.workflow),
        (wanted.workflow_id, audit_log.c.workflow_id == wanted.workflow_id),
    ]
    projected: list[tuple[Any, ColumnElement[bool]]] = [
        (wanted.actor, search.c.actor_id == wanted.actor),
        (wanted.action, search.c.action == wanted.action),
        (wanted.since, search.c.occurred_at >= wanted.since),
        (wanted.until, search.c.occurred_at < wanted.until),
    ]
    query: Select[Any] = select(*_WITHOUT_BYTES).where(*(clause for value, clause in given if value is not None))
    asked = [clause for value, clause in projected if value is not None]
    if asked:
        query = query.join(search, search.c.seq == audit_log.c.seq).where(*asked)
    return query


async def list_records(
    connection: AsyncConnection, wanted: Wanted, *, before_seq: int | None, limit: int
) -> Sequence[Row[Any]]:
    """Up to `limit` records with a seq below `before_seq`, newest first, without their bytes."""
    query = _records(wanted).order_by(audit_log.c.seq.desc()).limit(limit)
    if before_seq is not None:
        query = query.where(audit_log.c.seq < before_seq)
    return (await connection.execute(query)).all()


async def get_record(connection: AsyncConnection, seq: int) -> Row[Any] | None:
    """One record with its exact bytes."""
    return (await connection.execute(select(audit_log).where(audit_log.c.seq == seq))).one_or_none()


async def head(connection: AsyncConnection) -> Mapping[str, int]:
    """`last_seq` of the log and `searchable_seq`, up to which actor, action and time can be searched."""
    row = (await connection.execute(select(log_head.c.last_seq, search_head.c.searchable_seq))).one()
    return {"last_seq": row.last_seq, "searchable_seq": row.searchable_seq}


async def list_coverage(connection: AsyncConnection) -> Sequence[Row[Any]]:
    """The account of every partition, each incarnation on its own."""
    order = (coverage.c.topic, coverage.c.partition, coverage.c.incarnation)
    return (await connection.execute(select(coverage).order_by(*order))).all()


async def list_gaps(connection: AsyncConnection, *, limit: int = 1_000) -> Sequence[Row[Any]]:
    """The gaps found, unexplained ones first."""
    order = (gaps.c.explanation.is_not(None), gaps.c.topic, gaps.c.partition, gaps.c.first_offset)
    return (await connection.execute(select(gaps).order_by(*order).limit(limit))).all()
