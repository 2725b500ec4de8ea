"""Reading tasks: lists by keyset, newest first, and their history."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, Row, and_, any_, func, literal, or_, select, true
from sqlalchemy.ext.asyncio import AsyncConnection

from tasks.due import DueState, business_day, end_of_day
from tasks.states import OPEN_STATES
from tasks.tables import operational_tasks, task_history

_t = operational_tasks.c


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which tasks are looked for: everything that is given must match."""

    queue: str | None = None
    owner: str | None = None
    states: Sequence[str] = ()
    due: DueState | None = None
    blocked: bool | None = None
    kind: str | None = None
    gate: str | None = None
    dedupe_key: str | None = None
    member_id: str | None = None
    entity: tuple[str, str | None] | None = None
    workflow: tuple[str, str | None] | None = None
    text: str | None = None


async def list_tasks(
    connection: AsyncConnection,
    wanted: Wanted,
    *,
    before: str | None,
    limit: int,
    now: datetime,
    zone: ZoneInfo,
) -> Sequence[Row[Any]]:
    """Tasks, newest first, from behind the id `before`."""
    query = select(operational_tasks).where(*_conditions(wanted, now, zone)).order_by(_t.id.desc()).limit(limit)
    if before is not None:
        query = query.where(_t.id < before)
    return (await connection.execute(query)).all()


def _conditions(wanted: Wanted, now: datetime, zone: ZoneInfo) -> list[ColumnElement[bool]]:
    exact = {
        _t.queue: wanted.queue,
        _t.owner_id: wanted.owner,
        _t.kind: wanted.kind,
        _t.dedupe_key: wanted.dedupe_key,
        _t.member_id: wanted.member_id,
    }
    found: list[ColumnElement[bool]] = [column == value for column, value in exact.items() if value is not None]
    if wanted.states:
        found.append(_t.state.in_(wanted.states))
    if wanted.blocked is not None:
        found.append(_t.blocked_code.is_not(None) if wanted.blocked else _t.blocked_code.is_(None))
    if wanted.gate is not None:
        found.append(literal(wanted.gate) == any_(_t.gates))
    if wanted.entity is not None:
        found += _pair(_t.source_entity_type, _t.source_entity_id, wanted.entity)
    if wanted.workflow is not None:
        found += _pair(_t.source_workflow_name, _t.source_workflow_id, wanted.workflow)
    if wanted.text is not None:
        found.append(_holds(wanted.text))
    if wanted.due is not None:
        found.append(_due(wanted.due, now, zone))
    return found


def _pair(
    first: ColumnElement[str], second: ColumnElement[str], wanted: tuple[str, str | None]
) -> list[ColumnElement[bool]]:
    name, id_ = wanted
    return [first == name] if id_ is None else [first == name, second == id_]


def _holds(words: str) -> ColumnElement[bool]:
    columns = (_t.title, _t.note, _t.blocked_text, _t.outcome_note)
    return or_(*(column.icontains(words, autoescape=True) for column in columns))


def _due(state: DueState, now: datetime, zone: ZoneInfo) -> ColumnElement[bool]:
    """The same as `tasks.due.due_state`, for PostgreSQL."""
    live, dated = _t.state.in_(OPEN_STATES), _t.deadline_at.is_not(None)
    paused = and_(_t.pause_ends_at.is_not(None), _t.pause_ends_at > now)
    running = and_(live, dated, or_(_t.pause_ends_at.is_(None), _t.pause_ends_at <= now))
    tonight = end_of_day(business_day(now, zone), zone)
    match state:
        case "none":
            return or_(_t.state.not_in(OPEN_STATES), _t.deadline_at.is_(None))
        case "paused":
            return and_(live, dated, paused)
        case "overdue":
            return and_(running, _t.deadline_at <= now)
        case "due_today":
            return and_(running, _t.deadline_at > now, _t.deadline_at <= tonight)
        case "upcoming":
            return and_(running, _t.deadline_at > tonight)


async def history(connection: AsyncConnection, task_id: str, *, after: int | None, limit: int) -> Sequence[Row[Any]]:
    """What became of a task, oldest first, from behind a version."""
    query = (
        select(task_history)
        .where(task_history.c.task_id == task_id, task_history.c.version > after if after is not None else true())
        .order_by(task_history.c.version)
        .limit(limit)
    )
    return (await connection.execute(query)).all()


async def count_overdue(connection: AsyncConnection, kind: str, now: datetime, zone: ZoneInfo) -> int:
    """How many tasks of a kind are overdue."""
    query = select(func.count()).select_from(operational_tasks).where(_t.kind == kind, _due("overdue", now, zone))
    return int((await connection.execute(query)).scalar_one())


async def count_gating(connection: AsyncConnection) -> Sequence[tuple[str, int]]:
    """How many tasks that have not ended hold each item of the board back."""
    gate = func.unnest(_t.gates).label("gate")
    live = select(gate).where(_t.state.in_(OPEN_STATES)).subquery()
    query = select(live.c.gate, func.count()).group_by(live.c.gate).order_by(live.c.gate)
    return [(row[0], row[1]) for row in await connection.execute(query)]
