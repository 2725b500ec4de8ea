"""How tasks are loaded and saved. Whoever loads one to change it locks its row: outbox order is commit order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast
from zoneinfo import ZoneInfo

from contracts.envelope import Actor, Snapshot
from sqlalchemy import Row, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from tasks import translate
from tasks.due import deadline, pause_ends_at
from tasks.states import (
    OPEN_STATES,
    Block,
    Cancelled,
    Claimed,
    Completed,
    DueAt,
    DueOn,
    EnteredInError,
    Facts,
    InProgress,
    Open,
    Outcome,
    Person,
    Source,
    Task,
    name_of,
    owner_of,
)
from tasks.tables import ended_conditions, operational_tasks, task_history, task_occurrences


@dataclass(frozen=True, slots=True)
class Stored:
    """A task as it is stored; `version` counts its changes, from 1."""

    task: Task
    version: int
    created_at: datetime
    updated_at: datetime


class TaskNotFoundError(LookupError):
    """There is no such task."""

    def __init__(self, task_id: str) -> None:
        super().__init__(f"there is no task {task_id}")
        self.task_id = task_id


async def load(connection: AsyncConnection, task_id: str, *, lock: bool = False) -> Stored:
    """One task. Raises TaskNotFoundError."""
    query = select(operational_tasks).where(operational_tasks.c.id == task_id)
    row = (await connection.execute(query.with_for_update() if lock else query)).one_or_none()
    if row is None:
        raise TaskNotFoundError(task_id)
    return stored(row)


async def lock_dedupe_key(connection: AsyncConnection, key: str) -> None:
    """Let nobody else open a task of this key until the transaction ends."""
    await _lock(connection, f"tasks.dedupe:{key}")


async def live_with_key(connection: AsyncConnection, key: str) -> Stored | None:
    """The one task of this key that has not ended, locked."""
    query = (
        select(operational_tasks)
        .where(operational_tasks.c.dedupe_key == key, operational_tasks.c.state.in_(OPEN_STATES))
        .with_for_update()
    )
    row = (await connection.execute(query)).one_or_none()
    return None if row is None else stored(row)


async def add(connection: AsyncConnection, task: Task, zone: ZoneInfo, *, now: datetime) -> Stored:
    """Write a task that was not there before."""
    values = {**_fixed(task), **_changing(task, zone), "created_at": now, "updated_at": now, "version": 1}
    await connection.execute(insert(operational_tasks).values(values))
    return Stored(task, 1, now, now)


async def save(connection: AsyncConnection, before: Stored, task: Task, zone: ZoneInfo, *, now: datetime) -> Stored:
    """Write what has become of a task that was loaded and locked."""
    version = before.version + 1
    values = {**_changing(task, zone), "updated_at": now, "version": version}
    await connection.execute(update(operational_tasks).where(operational_tasks.c.id == task.facts.id).values(values))
    return Stored(task, version, before.created_at, now)


async def note_history(
    connection: AsyncConnection,
    after: Stored,
    *,
    change: str,
    actor: Actor,
    reason: str | None,
    comment: str | None,
    snapshot: Snapshot,
) -> None:
    """Append one line to a task's history."""
    values = {
        "task_id": after.task.facts.id,
        "version": after.version,
        "change": change,
        "at": after.updated_at,
        "actor_kind": actor.kind,
        "actor_id": actor.id,
        "actor_name": actor.name,
        "reason": reason,
        "comment": comment,
        "after": snapshot,
    }
    await connection.execute(insert(task_history).values(values))


async def note_occurrence(
    connection: AsyncConnection, after: Stored, source: Source, fields: Mapping[str, str], note: str | None
) -> None:
    """Append what led to a task, or has happened again."""
    values = {
        "task_id": after.task.facts.id,
        "number": after.task.facts.occurrences,
        "at": after.updated_at,
        "event_id": source.event_id,
        "pointer": source.pointer,
        "fields": dict(fields),
        "note": note,
    }
    await connection.execute(insert(task_occurrences).values(values))


async def lock_condition(connection: AsyncConnection, condition: str) -> None:
    """Let nobody else block by this condition or end it until the transaction ends."""
    await _lock(connection, f"tasks.condition:{condition}")


async def has_ended(connection: AsyncConnection, condition: str) -> bool:
    """Whether this condition is over; ask with its lock held."""
    query = select(ended_conditions.c.condition).where(ended_conditions.c.condition == condition)
    return (await connection.execute(query)).first() is not None


async def end_condition(connection: AsyncConnection, condition: str, event_id: str, *, now: datetime) -> None:
    """Keep that a condition is over, for whoever names it later."""
    statement = text(
        "INSERT INTO tasks.ended_conditions (condition, ended_at, event_id) VALUES (:condition, :at, :event_id)"
        " ON CONFLICT DO NOTHING"
    )
    await connection.execute(statement, {"condition": condition, "at": now, "event_id": event_id})


async def waiting_for(connection: AsyncConnection, condition: str) -> Sequence[str]:
    """The ids of the tasks whose block this condition ends."""
    query = (
        select(operational_tasks.c.id)
        .where(operational_tasks.c.unblocked_by == condition)
        .order_by(operational_tasks.c.id)
    )
    return list((await connection.execute(query)).scalars())


async def blocked_until_now(connection: AsyncConnection, now: datetime, most: int) -> Sequence[str]:
    """Tasks whose block was to last until an instant that has come, locked; those that others hold are left out."""
    query = (
        select(operational_tasks.c.id)
        .where(operational_tasks.c.blocked_until <= now)
        .order_by(operational_tasks.c.blocked_until)
        .limit(most)
        .with_for_update(skip_locked=True)
    )
    return list((await connection.execute(query)).scalars())


async def _lock(connection: AsyncConnection, name: str) -> None:
    await connection.execute(text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))"), {"name": name})


def stored(row: Row[Any]) -> Stored:
    """A row as the domain knows it."""
    return Stored(_task(row), row.version, row.created_at, row.updated_at)


def _task(row: Row[Any]) -> Task:
    facts, since = _facts(row), row.state_since
    owner = None if row.owner_id is None else Person(row.owner_id, row.owner_name)
    by = None if row.ended_by_id is None else Person(row.ended_by_id, row.ended_by_name)
    match row.state, owner, by:
        case "open", None, None:
            return Open(facts)
        case "claimed", Person(), None:
            return Claimed(facts, owner, since)
        case "in_progress", Person(), None:
            return InProgress(facts, owner, since)
        case "completed", _, Person():
            outcome = Outcome(row.outcome_code, row.outcome_note, tuple(row.outcome_evidence or ()))
            return Completed(facts, owner, by, since, outcome)
        case "cancelled", _, Person():
            return Cancelled(facts, owner, by, since, row.ended_reason)
        case "entered_in_error", _, Person():
            return EnteredInError(facts, owner, by, since, row.ended_reason)
        case _:
            raise ValueError(f"task {row.id} is stored in no state: {row.state}")


def _facts(row: Row[Any]) -> Facts:
    return Facts(
        id=row.id,
        kind=translate.kind(row.kind),
        title=row.title,
        queue=row.queue,
        source=Source(
            row.source_workflow_name,
            row.source_workflow_id,
            row.source_entity_type,
            row.source_entity_id,
            row.source_event_id,
            row.source_pointer,
        ),
        opened_at=row.created_at,
        priority=row.priority,
        note=row.note,
        due=DueOn(row.due_on) if row.due_on else DueAt(row.due_at) if row.due_at else None,
        start_by=row.start_by,
        paused=timedelta(seconds=row.paused_seconds),
        blocked=_block(row),
        member_id=row.member_id,
        dedupe_key=row.dedupe_key,
        gates=tuple(row.gates),
        occurrences=row.occurrences,
        metadata=cast(Mapping[str, str], row._mapping["metadata"]),
    )


def _block(row: Row[Any]) -> Block | None:
    if row.blocked_code is None:
        return None
    return Block(
        row.blocked_code,
        row.blocked_since,
        row.blocked_paused_from,
        row.blocked_text,
        row.blocked_until,
        row.unblocked_by,
    )


def _fixed(task: Task) -> dict[str, Any]:
    facts, source = task.facts, task.facts.source
    return {
        "id": facts.id,
        "kind": facts.kind.name,
        "title": facts.title,
        "note": facts.note,
        "queue": facts.queue,
        "source_workflow_name": source.workflow_name,
        "source_workflow_id": source.workflow_id,
        "source_entity_type": source.entity_type,
        "source_entity_id": source.entity_id,
        "source_event_id": source.event_id,
        "source_pointer": source.pointer,
        "member_id": facts.member_id,
        "dedupe_key": facts.dedupe_key,
        "gates": list(facts.gates),
        "metadata": dict(facts.metadata),
    }


def _changing(task: Task, zone: ZoneInfo) -> dict[str, Any]:
    facts, owner, held = task.facts, owner_of(task), task.facts.blocked
    ended = task if isinstance(task, Completed | Cancelled | EnteredInError) else None
    outcome = task.outcome if isinstance(task, Completed) else None
    return {
        "state": name_of(task),
        "state_since": facts.opened_at if isinstance(task, Open) else task.at,
        "priority": facts.priority,
        "owner_id": owner and owner.id,
        "owner_name": owner and owner.name,
        "due_on": translate.due_on(facts.due),
        "due_at": translate.due_at(facts.due),
        "start_by": facts.start_by,
        "paused_seconds": round(facts.paused.total_seconds()),
        "deadline_at": deadline(facts, zone),
        "pause_ends_at": pause_ends_at(facts),
        "blocked_code": held and held.code,
        "blocked_text": held and held.text,
        "blocked_since": held and held.since,
        "blocked_paused_from": held and held.paused_from,
        "blocked_until": held and held.until,
        "unblocked_by": held and held.condition,
        "outcome_code": outcome and outcome.code,
        "outcome_note": outcome and outcome.note,
        "outcome_evidence": None if outcome is None else list(outcome.evidence),
        "ended_by_id": ended and ended.by.id,
        "ended_by_name": ended and ended.by.name,
        "ended_reason": ended.reason if isinstance(ended, Cancelled | EnteredInError) else None,
        "occurrences": facts.occurrences,
    }
