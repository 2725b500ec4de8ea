"""What the tasks service is asked for, and what it tells."""

from __future__ import annotations

from datetime import date
from typing import Annotated

from pydantic import Field

from contracts.envelope import Entity, Instant, Integer, Payload, Wire, Workflow
from contracts.events.shared import Change, Named
from contracts.registry import event_type
from contracts.topics import TASKS_COMMANDS, TASKS_EVENTS

Code = Annotated[str, Field(pattern="^[a-z]+(_[a-z]+)*$", max_length=60)]
"""A code out of a set that `contracts.tasks` closes per kind of task; open on the wire, so that a set can grow."""


class TaskSource(Wire):
    """Where a task comes from: the work and the entity that it is about, and the message that led to it.

    `pointer` is the Kafka record (`payments-events/3/1042`) where the message is known by one.
    """

    workflow: Workflow
    entity: Entity
    event_id: str | None = None
    pointer: str | None = None


class TaskBlocked(Wire):
    """Why a task cannot go on. `unblocked_by` names the condition whose end ends the block: `member_hold:<id>`."""

    code: Code
    text: str | None = None
    until: Instant | None = None
    unblocked_by: str | None = None


class TaskOutcome(Wire):
    """How a task ended: a code of its kind, words, and references of what proves it."""

    code: Code
    note: str | None = None
    evidence: tuple[str, ...] = ()


@event_type(
    "operational_task.requested",
    version=1,
    topic=TASKS_COMMANDS,
    entity="task_request",
    sentence="{actor} asked {body.queue} for a task{reason: because {}}",
)
class OperationalTaskRequested(Payload):
    """Open a task, or note another occurrence on the open one with this `dedupe_key`. The entity's id is that key.

    `fields` fill the title's template of the kind, and are kept; `member_id` among them says whom the task is about.
    Of `due_on` (the end of that business day) and `due_at` one is given at most. `gates` are the board's items that an
    open task of this holds back. Keyed by the dedupe key.
    """

    dedupe_key: str
    kind: Code
    fields: dict[str, str]
    queue: str
    source: TaskSource
    due_on: date | None = None
    due_at: Instant | None = None
    priority: Code | None = None
    blocked: TaskBlocked | None = None
    gates: tuple[str, ...] = ()
    note: str | None = None


@event_type(
    "operational_task.settled",
    version=1,
    topic=TASKS_COMMANDS,
    entity="task_request",
    sentence="{actor} said that a task is settled{reason: because {}}",
)
class OperationalTaskSettled(Payload):
    """What a task with this `dedupe_key` was about has come right by itself: where one is open, it ends so.

    `outcome` is a code of the task's kind. Keyed by the dedupe key, as the request was.
    """

    dedupe_key: str
    outcome: Code
    note: str | None = None


class TaskState(Wire):
    """A task as it stands after a change. `state`: open, claimed, in_progress, completed, cancelled, entered_in_error.

    Blocked is beside the state and keeps it. `version` counts changes, from 1.
    """

    id: str
    kind: Code
    title: str
    queue: str
    state: Code
    priority: Code
    owner: Named | None = None
    due_on: date | None = None
    due_at: Instant | None = None
    start_by: Instant | None = None
    note: str | None = None
    blocked: TaskBlocked | None = None
    outcome: TaskOutcome | None = None
    source: TaskSource
    dedupe_key: str | None = None
    gates: tuple[str, ...] = ()
    occurrences: Integer = 1
    version: Integer


@event_type(
    "operational_task.updated",
    version=1,
    topic=TASKS_EVENTS,
    entity="task",
    sentence="{actor} {body.change} the task {body.task.title}{body.task.outcome.code: with the outcome {}}"
    "{reason: because {}}",
)
class OperationalTaskUpdated(Payload):
    """A task changed. Emitted once per accepted command, after the change.

    `change`: opened, claimed, released, assigned, rescheduled, reprioritised, blocked, unblocked, started, completed,
    cancelled, reopened, commented on, noted again (another occurrence of what it is about), withdrawn (entered in
    error).
    """

    change: Change
    task: TaskState
    comment: str | None = None
