"""Wire to domain and back: what other services ask for, and what the tasks service tells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import Final, cast, get_args

from contracts.envelope import Actor, Entity, Snapshot, Workflow
from contracts.events import OperationalTaskRequested, TaskOutcome, TaskSource, TaskState
from contracts.events import TaskBlocked as WireBlocked
from contracts.events.shared import Named
from contracts.tasks import KINDS, QUEUES

from tasks import commands
from tasks.commands import BlockTask, Change
from tasks.states import (
    Block,
    BlockRule,
    Completed,
    Due,
    DueAt,
    DueOn,
    Kind,
    Person,
    Priority,
    Source,
    Task,
    name_of,
    owner_of,
)
from tasks.texts import NOTE_MAX_CHARACTERS, SHORT_MAX_CHARACTERS, TITLE_MAX_CHARACTERS, clean, inert

MEMBER_ID: Final = "member_id"
DAYS: Final = (date(2000, 1, 1), date(2199, 12, 31))
GATES_MAX: Final = 10
FIELDS_MAX: Final = 20
FIELD_MAX_CHARACTERS: Final = 200
EVIDENCE_MAX: Final = 20
CHANGES: Final[Mapping[type[Change], str]] = {
    commands.TaskOpened: "opened",
    commands.TaskClaimed: "claimed",
    commands.TaskReleased: "released",
    commands.TaskAssigned: "assigned",
    commands.TaskRescheduled: "rescheduled",
    commands.TaskReprioritised: "reprioritised",
    commands.TaskBlocked: "blocked",
    commands.TaskUnblocked: "unblocked",
    commands.TaskStarted: "started",
    commands.TaskCompleted: "completed",
    commands.TaskCancelled: "cancelled",
    commands.TaskReopened: "reopened",
    commands.TaskCommentedOn: "commented on",
    commands.TaskNotedAgain: "noted again",
    commands.TaskWithdrawn: "withdrawn",
}
if set(CHANGES) != set(get_args(Change)):
    raise TypeError("every change has a verb")


class BadRequestError(ValueError):
    """What is asked for names something that there is not, or is more than a task holds."""


@dataclass(frozen=True, slots=True)
class Request:
    """A task that somebody asks for, checked and in the domain's terms; `owner` None: whoever the rota says."""

    kind: Kind
    title: str
    queue: str
    source: Source | None
    fields: Mapping[str, str]
    due: Due | None = None
    start_by: datetime | None = None
    priority: Priority = "normal"
    block: BlockTask | None = None
    dedupe_key: str | None = None
    gates: tuple[str, ...] = ()
    note: str | None = None
    owner: Person | None = None
    reason: str | None = None


@cache
def kind(name: str) -> Kind:
    """The kind of this name with its closed sets. Raises BadRequestError."""
    found = KINDS.get(name)
    if found is None:
        raise BadRequestError(f"{name} is no kind of task; these are: {', '.join(sorted(KINDS))}")
    rules = {
        code: BlockRule(
            timedelta(days=each.pause_max_days) if each.pauses_clock else timedelta(), each.forbids, each.condition
        )
        for code, each in found.blocked.items()
    }
    return Kind(name, frozenset(found.outcomes), rules)


def title(kind_name: str, fields: Mapping[str, str]) -> str:
    """The title of a task of this kind. Raises BadRequestError, and TextRefusedError for one that cannot be shown."""
    try:
        given = KINDS[kind_name].title_for(fields)
    except KeyError as error:
        raise BadRequestError(f"a {kind_name} task needs the field {error.args[0]}") from None
    return clean(given, max_characters=TITLE_MAX_CHARACTERS)


def queue(name: str) -> str:
    """The queue. Raises BadRequestError for a name that is none."""
    if name not in QUEUES:
        raise BadRequestError(f"{name} is no queue; these are: {', '.join(QUEUES)}")
    return name


def due(on: date | None, at: datetime | None) -> Due | None:
    """When it is due: a day or an instant. Raises BadRequestError for both, and for a year that is a slip."""
    if on is not None and at is not None:
        raise BadRequestError("of due_on and due_at one can be given")
    if on is not None:
        return DueOn(_sane(on))
    if at is None:
        return None
    _sane(at.date())
    return DueAt(at.astimezone(UTC))


def _sane(day: date) -> date:
    if not DAYS[0] <= day <= DAYS[1]:
        raise BadRequestError(f"a date lies between {DAYS[0]} and {DAYS[1]}")
    return day


def priority(name: str | None) -> Priority:
    """The priority; normal where none is given. Raises BadRequestError."""
    if name is not None and name not in get_args(Priority):
        raise BadRequestError(f"{name} is no priority; these are: {', '.join(get_args(Priority))}")
    return cast(Priority, name or "normal")


def fields(given: Mapping[str, str]) -> Mapping[str, str]:
    """The fields that a message gives, as they are kept. Raises BadRequestError and TextRefusedError."""
    if len(given) > FIELDS_MAX:
        raise BadRequestError(f"{FIELDS_MAX} fields are allowed")
    return {
        clean(name, max_characters=60): inert(value, max_characters=FIELD_MAX_CHARACTERS)
        for name, value in given.items()
    }


def short(text: str | None) -> str | None:
    """One line of words, or None. Raises TextRefusedError."""
    return None if text is None else clean(text, max_characters=SHORT_MAX_CHARACTERS)


def told(text: str | None) -> str | None:
    """Words that a message brings, of several lines, or None."""
    return None if text is None else inert(text, max_characters=NOTE_MAX_CHARACTERS, several_lines=True)


def requested(body: OperationalTaskRequested, *, event_id: str, pointer: str | None, reason: str | None) -> Request:
    """What another service asks for by message. Raises BadRequestError and TextRefusedError.

    The source that it names is kept; where it names no message, that of the request itself is.
    """
    kept = fields(body.fields)
    if len(body.gates) > GATES_MAX:
        raise BadRequestError(f"a task holds {GATES_MAX} items of the board back at most")
    return Request(
        kind=kind(body.kind),
        title=title(body.kind, kept),
        queue=queue(body.queue),
        source=source(body.source, event_id=event_id, pointer=pointer),
        fields=kept,
        due=due(body.due_on, body.due_at),
        priority=priority(body.priority),
        block=None if body.blocked is None else block(body.blocked),
        dedupe_key=clean(body.dedupe_key, max_characters=SHORT_MAX_CHARACTERS),
        gates=tuple(clean(gate, max_characters=100) for gate in body.gates),
        note=told(body.note),
        reason=reason,
    )


def source(given: TaskSource, *, event_id: str | None = None, pointer: str | None = None) -> Source:
    """Where a task comes from. Raises TextRefusedError."""
    named = given.event_id is not None
    return Source(
        workflow_name=clean(given.workflow.name, max_characters=SHORT_MAX_CHARACTERS),
        workflow_id=clean(given.workflow.id, max_characters=SHORT_MAX_CHARACTERS),
        entity_type=clean(given.entity.type, max_characters=SHORT_MAX_CHARACTERS),
        entity_id=clean(given.entity.id, max_characters=SHORT_MAX_CHARACTERS),
        event_id=short(given.event_id) if named else event_id,
        pointer=short(given.pointer) if named else pointer,
    )


def block(given: WireBlocked) -> BlockTask:
    """A block as a message asks for it. Raises TextRefusedError."""
    return BlockTask(given.code, told(given.text), given.until, short(given.unblocked_by))


def person(actor: Actor) -> Person:
    """Whoever acts, as an owner or winner is named."""
    return Person(actor.id, actor.name)


def workflow(task: Task) -> Workflow:
    """The work that the task came from: everything that it tells belongs to it."""
    return Workflow(name=task.facts.source.workflow_name, id=task.facts.source.workflow_id)


def state(task: Task, version: int) -> TaskState:
    """The task as it is told."""
    facts, owner = task.facts, owner_of(task)
    return TaskState(
        id=facts.id,
        kind=facts.kind.name,
        title=facts.title,
        queue=facts.queue,
        state=name_of(task),
        priority=facts.priority,
        owner=None if owner is None else Named(id=owner.id, name=owner.name),
        due_on=due_on(facts.due),
        due_at=due_at(facts.due),
        start_by=facts.start_by,
        note=facts.note,
        blocked=None if facts.blocked is None else told_block(facts.blocked),
        outcome=told_outcome(task),
        source=TaskSource(
            workflow=workflow(task),
            entity=Entity(type=facts.source.entity_type, id=facts.source.entity_id),
            event_id=facts.source.event_id,
            pointer=facts.source.pointer,
        ),
        dedupe_key=facts.dedupe_key,
        gates=facts.gates,
        occurrences=facts.occurrences,
        version=version,
    )


def told_block(held: Block) -> WireBlocked:
    return WireBlocked(code=held.code, text=held.text, until=held.until, unblocked_by=held.condition)


def told_outcome(task: Task) -> TaskOutcome | None:
    if not isinstance(task, Completed):
        return None
    ended = task.outcome
    return TaskOutcome(code=ended.code, note=ended.note, evidence=ended.evidence)


def due_on(given: Due | None) -> date | None:
    return given.day if isinstance(given, DueOn) else None


def due_at(given: Due | None) -> datetime | None:
    return given.instant if isinstance(given, DueAt) else None


_CHANGING: Final = frozenset(
    {"state", "owner", "queue", "priority", "due_on", "due_at", "start_by", "blocked", "outcome", "occurrences"}
)


def snapshot(task: Task, version: int) -> Snapshot:
    """What may change of a task, as before and after show it; what is not so is null."""
    told = state(task, version).model_dump(mode="json", include={*_CHANGING, "version"})
    return cast(Snapshot, told)
