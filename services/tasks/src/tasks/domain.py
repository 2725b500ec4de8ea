"""The lifecycle of a task: what may be done in which state, and what it leads to.

        open --claim/assign--> claimed --start--> in progress
          ^------release----------'------------------'
        any of these --complete--> completed, --cancel--> cancelled; both --reopen--> open or claimed
        everything --enter in error--> entered in error, which is final

`decide` returns no change when what is asked is so already, and raises a refusal when it may not be. Claiming never
steals; of two who complete a task the first one does. Ids, time and kinds are arguments.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import assert_never

from tasks.commands import (
    Assign,
    BlockTask,
    Cancel,
    Change,
    Claim,
    Command,
    Comment,
    Complete,
    EndCondition,
    EnterInError,
    NoteAgain,
    ReachUntil,
    Release,
    Reopen,
    SetDue,
    SetPriority,
    Start,
    TaskAssigned,
    TaskBlocked,
    TaskCancelled,
    TaskClaimed,
    TaskCommentedOn,
    TaskCompleted,
    TaskNotedAgain,
    TaskOpened,
    TaskReleased,
    TaskReopened,
    TaskReprioritised,
    TaskRescheduled,
    TaskStarted,
    TaskUnblocked,
    TaskWithdrawn,
    Unblock,
)
from tasks.due import paused_by
from tasks.refusals import (
    AlreadyClaimedError,
    AlreadyEndedError,
    BlockedError,
    BlockUnknownError,
    NotOwnerError,
    OutcomeForbiddenError,
    OutcomeUnknownError,
    TooLateToReopenError,
    UntilPassedError,
)
from tasks.states import (
    Block,
    Cancelled,
    Claimed,
    Completed,
    EnteredInError,
    Facts,
    InProgress,
    Kind,
    Open,
    Person,
    Task,
    name_of,
    owner_of,
)

Changes = tuple[Change, ...]
Live = Open | Claimed | InProgress


def open_task(facts: Facts, owner: Person | None, block: BlockTask | None, *, now: datetime) -> Changes:
    """What opens a task: at once somebody's, and blocked, where that is asked for; a block may be over already."""
    opened = TaskOpened(facts, owner, at=now)
    return (opened,) if block is None else (opened, TaskBlocked(_block(facts.kind, block, now)))


def decide(task: Task, command: Command, *, now: datetime) -> Changes:
    """What follows from `command`; nothing when it is so already. Raises RefusedError."""
    match command:
        case Comment(words):
            return (TaskCommentedOn(words),)
        case EnterInError(by, reason):
            return () if isinstance(task, EnteredInError) else (TaskWithdrawn(by, at=now, reason=reason),)
        case Reopen():
            return _reopen(task, command, now)
        case EndCondition() | ReachUntil() if isinstance(task, Completed | Cancelled | EnteredInError):
            return ()  # an ended task waits for nothing
        case Cancel(by, reason):
            if isinstance(task, Cancelled) and task.by == by:
                return ()
            _require_live(task)
            return (TaskCancelled(by, at=now, reason=reason),)
        case Complete():
            return _complete(task, command, now)
        case _:
            return _decide_live(_require_live(task), command, now)


def _decide_live(task: Live, command: Command, now: datetime) -> Changes:
    facts = task.facts
    match command:
        case Claim(by):
            return _claim(task, by, now)
        case Release(by):
            return _release(task, by)
        case Assign(to):
            return () if owner_of(task) == to else (TaskAssigned(to, at=now),)
        case SetDue(due, start_by):
            same = (facts.due, facts.start_by) == (due, start_by)
            return () if same else (TaskRescheduled(due, start_by, at=now),)
        case SetPriority(priority):
            return () if facts.priority == priority else (TaskReprioritised(priority),)
        case BlockTask():
            return _block_task(task, command, now)
        case Unblock() | EndCondition() | ReachUntil():
            return _unblock(facts, command, now)
        case Start(by):
            return _start(task, by, now)
        case NoteAgain(block):
            if block is None or facts.blocked is not None:
                return (TaskNotedAgain(),)
            return (TaskNotedAgain(), TaskBlocked(_block(facts.kind, block, now)))
        case Comment() | EnterInError() | Reopen() | Cancel() | Complete():
            raise AssertionError("decided for tasks in any state")
        case _:
            assert_never(command)


def _require_live(task: Task) -> Live:
    if isinstance(task, Completed | Cancelled | EnteredInError):
        raise AlreadyEndedError(task)
    return task


def _claim(task: Live, by: Person, now: datetime) -> Changes:
    match task:
        case Open():
            return (TaskClaimed(by, at=now),)
        case Claimed(_, owner, at) | InProgress(_, owner, at):
            if owner.id == by.id:
                return ()
            raise AlreadyClaimedError(task.facts.id, owner, at, name_of(task))


def _release(task: Live, by: Person) -> Changes:
    match task:
        case Open():
            return ()
        case Claimed(_, owner) | InProgress(_, owner):
            if owner.id != by.id:
                raise NotOwnerError(task.facts.id, owner)
            return (TaskReleased(),)


def _start(task: Live, by: Person, now: datetime) -> Changes:
    if isinstance(task, Claimed | InProgress) and task.owner.id != by.id:
        raise AlreadyClaimedError(task.facts.id, task.owner, task.at, name_of(task))
    if isinstance(task, InProgress):
        return ()
    if task.facts.blocked is not None:
        raise BlockedError(task.facts.id, task.facts.blocked)
    return (TaskStarted(by, at=now),)


def _complete(task: Task, command: Complete, now: datetime) -> Changes:
    if isinstance(task, Completed) and (task.by, task.outcome) == (command.by, command.outcome):
        return ()
    facts, code = _require_live(task).facts, command.outcome.code
    if code not in facts.kind.outcomes:
        raise OutcomeUnknownError(facts.kind.name, code, facts.kind.outcomes)
    rule = facts.rule()
    if facts.blocked is not None and rule is not None and code in rule.forbids:
        raise OutcomeForbiddenError(code, facts.blocked)
    return (TaskCompleted(command.by, at=now, outcome=command.outcome),)


def _reopen(task: Task, command: Reopen, now: datetime) -> Changes:
    match task:
        case Open() | Claimed() | InProgress():
            return ()
        case EnteredInError():
            raise AlreadyEndedError(task)
        case Completed() | Cancelled():
            if task.at < command.not_before:
                raise TooLateToReopenError(task, command.not_before)
            return (TaskReopened(at=now, reason=command.reason),)


def _block_task(task: Live, command: BlockTask, now: datetime) -> Changes:
    held = task.facts.blocked
    if held is None:
        if command.until is not None and command.until <= now:
            raise UntilPassedError(command.until)
        return (TaskBlocked(_block(task.facts.kind, command, now)),)
    if (held.code, held.text, held.until, held.condition) == (
        command.code,
        command.text,
        command.until,
        command.condition,
    ):
        return ()
    raise BlockedError(task.facts.id, held)


def _block(kind: Kind, command: BlockTask, now: datetime) -> Block:
    rule = kind.blocks.get(command.code)
    if rule is None:
        raise BlockUnknownError(kind.name, command.code, frozenset(kind.blocks))
    if command.condition is not None and not rule.names_condition:
        naming = frozenset(code for code, each in kind.blocks.items() if each.names_condition)
        raise BlockUnknownError(kind.name, command.code, naming, condition=True)
    return Block(command.code, now, now, command.text, command.until, command.condition)


def _unblock(facts: Facts, command: Unblock | EndCondition | ReachUntil, now: datetime) -> Changes:
    held = facts.blocked
    if held is None:
        return ()
    match command:
        case Unblock(reason):
            return (TaskUnblocked(at=now, reason=reason),)
        case EndCondition(condition):
            return (TaskUnblocked(at=now, reason="what it waited for is over"),) if held.condition == condition else ()
        case ReachUntil():
            over = held.until is not None and held.until <= now
            return (TaskUnblocked(at=now, reason="the block was to last until now"),) if over else ()


def evolve(task: Task | None, change: Change) -> Task:
    """The task after `change`; None before it was opened."""
    if isinstance(change, TaskOpened):
        return Open(change.facts) if change.owner is None else Claimed(change.facts, change.owner, change.at)
    if task is None:
        raise ValueError("a task begins by being opened")
    facts = task.facts
    match change:
        case TaskClaimed(person, at) | TaskAssigned(person, at):
            return Claimed(facts, person, at)
        case TaskReleased():
            return Open(facts)
        case TaskStarted(by, at):
            return InProgress(facts, by, at)
        case TaskCompleted(by, at, outcome):
            return Completed(_unblocked(facts, at), owner_of(task), by, at, outcome)
        case TaskCancelled(by, at, reason):
            return Cancelled(_unblocked(facts, at), owner_of(task), by, at, reason)
        case TaskWithdrawn(by, at, reason):
            return EnteredInError(_unblocked(facts, at), owner_of(task), by, at, reason)
        case TaskReopened(at):
            owner = owner_of(task)
            return Open(facts) if owner is None else Claimed(facts, owner, at)
        case _:
            return replace(task, facts=_changed(facts, change))


def _changed(
    facts: Facts,
    change: TaskRescheduled | TaskReprioritised | TaskBlocked | TaskUnblocked | TaskCommentedOn | TaskNotedAgain,
) -> Facts:
    match change:
        case TaskRescheduled(due, start_by, at):
            # The clock of the new date starts now, stopped where a block stops it.
            held = facts.blocked and replace(facts.blocked, paused_from=at)
            return replace(facts, due=due, start_by=start_by, paused=type(facts.paused)(), blocked=held)
        case TaskReprioritised(priority):
            return replace(facts, priority=priority)
        case TaskBlocked(block):
            return replace(facts, blocked=block)
        case TaskUnblocked(at):
            return _unblocked(facts, at)
        case TaskCommentedOn():
            return facts
        case TaskNotedAgain():
            return replace(facts, occurrences=facts.occurrences + 1)
        case _:
            assert_never(change)


def _unblocked(facts: Facts, at: datetime) -> Facts:
    return replace(facts, blocked=None, paused=facts.paused + paused_by(facts, at))
