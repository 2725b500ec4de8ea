"""One unit of work: load, decide, save, tell, in the transaction that the edge opened."""

from __future__ import annotations

import contextlib

from chassis import versions
from chassis.ids import new_id
from chassis.transaction import Draft, Transaction
from contracts.envelope import Entity, Snapshot
from contracts.events import OperationalTaskUpdated

from tasks import store, translate
from tasks.commands import (
    BlockTask,
    Change,
    Command,
    Complete,
    EndCondition,
    NoteAgain,
    ReachUntil,
    Reopen,
    TaskBlocked,
    TaskCancelled,
    TaskCommentedOn,
    TaskReopened,
    TaskUnblocked,
    TaskWithdrawn,
)
from tasks.domain import Changes, decide, evolve, open_task
from tasks.refusals import AlreadyEndedError, LostError, RefusedError
from tasks.rules import Rules
from tasks.states import Facts, Outcome, Person, Source, Task
from tasks.store import Stored
from tasks.translate import Request

_UNTIL_MAX_TASKS = 100


class StillOpenError(RefusedError):
    """Another task with the same dedupe key is open: of a key there is one at a time."""

    def __init__(self, task_id: str, key: str) -> None:
        super().__init__("Another task about the same thing is open")
        self.task_id, self.key = task_id, key


async def open_or_note(tx: Transaction, rules: Rules, request: Request) -> tuple[Stored, bool]:
    """Open a task, or note another occurrence on the open one of the same key; returns it and whether it is new.

    Raises RefusedError for a block that the kind does not know.
    """
    if request.block is not None and request.block.condition is not None:
        await store.lock_condition(tx.connection, request.block.condition)
    found = None
    if request.dedupe_key is not None:
        await store.lock_dedupe_key(tx.connection, request.dedupe_key)
        found = await store.live_with_key(tx.connection, request.dedupe_key)
    if found is None:
        after = await _open(tx, rules, request)
    else:
        changes = decide(found.task, NoteAgain(request.block), now=tx.now)
        after = await _apply(tx, rules, found, changes, reason=request.reason)
        source = request.source or found.task.facts.source
        await store.note_occurrence(tx.connection, after, source, request.fields, request.note)
    return await _unblock_if_over(tx, rules, after), found is None


async def _open(tx: Transaction, rules: Rules, request: Request) -> Stored:
    task_id = new_id()
    source = request.source or Source("task", task_id, "task", task_id)
    facts = Facts(
        id=task_id,
        kind=request.kind,
        title=request.title,
        queue=request.queue,
        source=source,
        opened_at=tx.now,
        priority=request.priority,
        note=request.note,
        due=request.due,
        start_by=request.start_by,
        member_id=request.fields.get(translate.MEMBER_ID) or _member(source),
        dedupe_key=request.dedupe_key,
        gates=request.gates,
        metadata=request.fields,
    )
    changes = open_task(facts, request.owner, request.block, now=tx.now)
    task = _evolved(None, changes)
    after = await store.add(tx.connection, task, rules.zone, now=tx.now)
    await _tell(tx, None, after, changes[0], request.reason)
    await store.note_occurrence(tx.connection, after, source, request.fields, request.note)
    return after


def _member(source: Source) -> str | None:
    return source.entity_id if source.entity_type == "member" else None


async def do(tx: Transaction, rules: Rules, task_id: str, command: Command, *, expected: int | None) -> Stored:
    """Do `command` on a task whose newest version the caller has read.

    A lost race says who won, however old the caller's view is; what is so already is answered as done. Anything else
    needs the newest version. Raises RefusedError, StaleVersionError, TaskNotFoundError, StillOpenError.
    """
    condition = command.condition if isinstance(command, BlockTask) else None
    if condition is not None:
        await store.lock_condition(tx.connection, condition)
    before = await store.load(tx.connection, task_id, lock=True)
    try:
        changes = decide(before.task, command, now=tx.now)
    except LostError:
        raise
    except RefusedError:
        versions.require("task", task_id, expected=expected, version=before.version)
        raise
    if not changes:
        return before
    versions.require("task", task_id, expected=expected, version=before.version)
    if isinstance(command, Reopen):
        await _require_no_other(tx, before.task.facts)
    after = await _apply(tx, rules, before, changes)
    return await _unblock_if_over(tx, rules, after) if condition is not None else after


async def settle(tx: Transaction, rules: Rules, key: str, by: Person, outcome: str, note: str | None) -> None:
    """End the open task of a key whose matter has come right by itself; without one, nobody has to do anything.

    Raises RefusedError for an outcome that its kind does not know.
    """
    await store.lock_dedupe_key(tx.connection, key)
    found = await store.live_with_key(tx.connection, key)
    if found is not None:
        with contextlib.suppress(AlreadyEndedError):
            await do(tx, rules, found.task.facts.id, Complete(by, Outcome(outcome, note)), expected=None)


async def _require_no_other(tx: Transaction, facts: Facts) -> None:
    if facts.dedupe_key is None:
        return
    await store.lock_dedupe_key(tx.connection, facts.dedupe_key)
    other = await store.live_with_key(tx.connection, facts.dedupe_key)
    if other is not None:
        raise StillOpenError(other.task.facts.id, facts.dedupe_key)


async def end_condition(tx: Transaction, rules: Rules, condition: str, event_id: str) -> None:
    """A condition is over, for now and for ever: every block that names it ends."""
    await store.lock_condition(tx.connection, condition)
    await store.end_condition(tx.connection, condition, event_id, now=tx.now)
    for task_id in await store.waiting_for(tx.connection, condition):
        await do(tx, rules, task_id, EndCondition(condition), expected=None)


async def end_blocks_until_now(tx: Transaction, rules: Rules) -> int:
    """Blocks that were to last until an instant that has come are over; returns how many tasks were looked at."""
    found = await store.blocked_until_now(tx.connection, tx.now, _UNTIL_MAX_TASKS)
    for task_id in found:
        await do(tx, rules, task_id, ReachUntil(), expected=None)
    return len(found)


async def _unblock_if_over(tx: Transaction, rules: Rules, stored: Stored) -> Stored:
    """End a block that was over before it was there: its condition had ended, or its time had passed."""
    held = stored.task.facts.blocked
    if held is None:
        return stored
    changes = decide(stored.task, ReachUntil(), now=tx.now)
    if not changes and held.condition is not None and await store.has_ended(tx.connection, held.condition):
        changes = decide(stored.task, EndCondition(held.condition), now=tx.now)
    return await _apply(tx.automatically(tx.cause), rules, stored, changes) if changes else stored


async def _apply(
    tx: Transaction, rules: Rules, before: Stored, changes: Changes, *, reason: str | None = None
) -> Stored:
    task = _evolved(before.task, changes)
    after = await store.save(tx.connection, before, task, rules.zone, now=tx.now)
    await _tell(tx, before, after, changes[0], reason)
    return after


def _evolved(task: Task | None, changes: Changes) -> Task:
    for change in changes:
        task = evolve(task, change)
    if task is None:
        raise ValueError("nothing has changed")
    return task


async def _tell(tx: Transaction, before: Stored | None, after: Stored, change: Change, reason: str | None) -> None:
    """Exactly one event and one line of history for one accepted command."""
    verb, comment = translate.CHANGES[type(change)], change.text if isinstance(change, TaskCommentedOn) else None
    words = _reason(change) or reason
    shown: Snapshot = translate.snapshot(after.task, after.version)
    await store.note_history(
        tx.connection, after, change=verb, actor=tx.actor, reason=words, comment=comment, snapshot=shown
    )
    tx.emit(
        Draft(
            OperationalTaskUpdated(change=verb, task=translate.state(after.task, after.version), comment=comment),
            entity=Entity(type="task", id=after.task.facts.id),
            workflow=translate.workflow(after.task),
            before=None if before is None else translate.snapshot(before.task, before.version),
            after=shown,
            reason=words,
        )
    )


def _reason(change: Change) -> str | None:
    match change:
        case TaskBlocked(block):
            return block.text
        case TaskUnblocked(_, reason):
            return reason
        case TaskCancelled() | TaskWithdrawn() | TaskReopened():
            return change.reason
        case _:
            return None
