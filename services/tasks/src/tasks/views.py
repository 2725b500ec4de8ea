"""What callers of the tasks service send and see."""

from __future__ import annotations

from datetime import date, datetime
from functools import partial
from typing import Annotated, Any
from uuid import UUID
from zoneinfo import ZoneInfo

from contracts.envelope import Actor, Entity, Workflow
from contracts.tasks import KINDS, Queue, SourceArea
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field
from sqlalchemy import Row

from tasks import translate
from tasks.due import DueState, deadline, due_state
from tasks.states import Cancelled, Completed, EnteredInError, Person, Priority, StateName, Task, name_of, owner_of
from tasks.store import Stored
from tasks.texts import NOTE_MAX_CHARACTERS, SHORT_MAX_CHARACTERS, TITLE_MAX_CHARACTERS, clean

Line = Annotated[
    str,
    Field(min_length=1, max_length=SHORT_MAX_CHARACTERS),
    AfterValidator(partial(clean, max_characters=SHORT_MAX_CHARACTERS)),
]
Name = Annotated[
    str,
    Field(min_length=1, max_length=TITLE_MAX_CHARACTERS),
    AfterValidator(partial(clean, max_characters=TITLE_MAX_CHARACTERS)),
]
Words = Annotated[
    str,
    Field(min_length=1, max_length=NOTE_MAX_CHARACTERS),
    AfterValidator(partial(clean, max_characters=NOTE_MAX_CHARACTERS, several_lines=True)),
]
Code = Annotated[str, Field(pattern=r"^[a-z]+(_[a-z]+)*$", max_length=60)]
Day = Annotated[date, Field(ge=translate.DAYS[0], le=translate.DAYS[1])]
Gate = Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=100)]


class Given(BaseModel):
    """A body: what it does not declare is refused."""

    model_config = ConfigDict(extra="forbid")


class PersonView(Given):
    """Somebody by a stable id and the name that an owner reads."""

    id: Name
    name: Name


class SourceGiven(Given):
    """The work and the entity that a task is about, and the message that led to it, where there is one."""

    workflow: Workflow
    entity: Entity
    event_id: Line | None = None
    pointer: Line | None = None


class BlockGiven(Given):
    """Why a task cannot go on: a code of its kind, words, until when, and the condition whose end ends it."""

    code: Code
    text: Line | None = None
    until: AwareDatetime | None = None
    unblocked_by: Line | None = None


class TaskGiven(Given):
    """A task to open. `fields` fill the title of the kind; `member_id` among them says whom it is about.

    Where a task with the same `dedupe_key` is open, another occurrence is noted on that one instead.
    """

    kind: Code
    queue: Queue
    fields: dict[Name, Line] = Field(max_length=translate.FIELDS_MAX)
    due_on: Day | None = None
    due_at: AwareDatetime | None = None
    start_by: AwareDatetime | None = None
    priority: Priority = "normal"
    owner: PersonView | None = None
    blocked: BlockGiven | None = None
    source: SourceGiven | None = None
    dedupe_key: Line | None = None
    gates: list[Gate] = Field(default_factory=list, max_length=translate.GATES_MAX)
    note: Words | None = None


class OwnerGiven(Given):
    """Whose the task is to be."""

    owner: PersonView


class DueGiven(Given):
    """By when it is to be done (a day, by its end, or an instant) and begun; what is left out is none."""

    due_on: Day | None = None
    due_at: AwareDatetime | None = None
    start_by: AwareDatetime | None = None


class PriorityGiven(Given):
    """How urgent it is."""

    priority: Priority


class OutcomeGiven(Given):
    """How it ended: a code of its kind, words, and references of what proves it."""

    code: Code
    note: Words | None = None
    evidence: list[Line] = Field(default_factory=list, max_length=translate.EVIDENCE_MAX)


class ReasonGiven(Given):
    """Why."""

    reason: Line


class OptionalReason(Given):
    """Why, if there is something to say."""

    reason: Line | None = None


class CommentGiven(Given):
    """Something to say about a task."""

    comment: Words


class BlockedView(BaseModel):
    """Why a task cannot go on; `words` are what its code means.
    `forbids` are outcomes that cannot be given meanwhile."""

    code: str
    words: str
    text: str | None
    since: datetime
    until: datetime | None
    unblocked_by: str | None
    forbids: list[str]


class OutcomeView(BaseModel):
    """How a task ended; `words` are what its code means."""

    code: str
    words: str
    note: str | None
    evidence: list[str]


class EndedView(BaseModel):
    """Who ended it, when, and why where it was not completed."""

    by: PersonView
    at: datetime
    reason: str | None


class SourceView(BaseModel):
    """Where a task comes from; `pointer` is the Kafka record from which it can be replayed."""

    workflow: Workflow
    entity: Entity
    event_id: str | None
    pointer: str | None


class TaskView(BaseModel):
    """A task. `deadline_at` is from when on it is overdue, pauses counted; `due_state` is how that stands now."""

    id: UUID
    kind: str
    title: str
    area: SourceArea
    queue: Queue
    state: StateName
    priority: Priority
    owner: PersonView | None
    due_on: date | None
    due_at: datetime | None
    start_by: datetime | None
    deadline_at: datetime | None
    due_state: DueState
    blocked: BlockedView | None
    outcome: OutcomeView | None
    ended: EndedView | None
    note: str | None
    source: SourceView
    member_id: str | None
    dedupe_key: str | None
    gates: list[str]
    occurrences: int
    metadata: dict[str, str]
    created_at: datetime
    updated_at: datetime
    version: int


class HistoryView(BaseModel):
    """One change of a task: who did what, when (in business time), why, and what was so afterwards."""

    version: int
    change: str
    at: datetime
    recorded_at: datetime
    actor: Actor
    reason: str | None
    comment: str | None
    after: dict[str, Any]


def view(stored: Stored, now: datetime, zone: ZoneInfo) -> TaskView:
    """A task as callers see it at `now`."""
    task, facts, owner = stored.task, stored.task.facts, owner_of(stored.task)
    kind, source = KINDS[facts.kind.name], facts.source
    return TaskView(
        id=UUID(facts.id),
        kind=facts.kind.name,
        title=facts.title,
        area=kind.area,
        queue=facts.queue,
        state=name_of(task),
        priority=facts.priority,
        owner=owner and person(owner),
        due_on=translate.due_on(facts.due),
        due_at=translate.due_at(facts.due),
        start_by=facts.start_by,
        deadline_at=deadline(facts, zone),
        due_state=due_state(task, now, zone),
        blocked=_blocked(task),
        outcome=_outcome(task),
        ended=_ended(task),
        note=facts.note,
        source=SourceView(
            workflow=translate.workflow(task),
            entity=Entity(type=source.entity_type, id=source.entity_id),
            event_id=source.event_id,
            pointer=source.pointer,
        ),
        member_id=facts.member_id,
        dedupe_key=facts.dedupe_key,
        gates=list(facts.gates),
        occurrences=facts.occurrences,
        metadata=dict(facts.metadata),
        created_at=stored.created_at,
        updated_at=stored.updated_at,
        version=stored.version,
    )


def person(given: Person) -> PersonView:
    """Somebody as callers see them; names of staff come from tokens and are not checked again."""
    return PersonView.model_construct(id=given.id, name=given.name)


def _blocked(task: Task) -> BlockedView | None:
    held, rule = task.facts.blocked, task.facts.rule()
    if held is None or rule is None:
        return None
    return BlockedView(
        code=held.code,
        words=KINDS[task.facts.kind.name].blocked[held.code].text,
        text=held.text,
        since=held.since,
        until=held.until,
        unblocked_by=held.condition,
        forbids=sorted(rule.forbids),
    )


def _outcome(task: Task) -> OutcomeView | None:
    if not isinstance(task, Completed):
        return None
    outcome = task.outcome
    words = KINDS[task.facts.kind.name].outcomes[outcome.code]
    return OutcomeView(code=outcome.code, words=words, note=outcome.note, evidence=list(outcome.evidence))


def _ended(task: Task) -> EndedView | None:
    if not isinstance(task, Completed | Cancelled | EnteredInError):
        return None
    reason = None if isinstance(task, Completed) else task.reason
    return EndedView(by=person(task.by), at=task.at, reason=reason)


def history(row: Row[Any]) -> HistoryView:
    """One line of history as callers see it."""
    return HistoryView(
        version=row.version,
        change=row.change,
        at=row.at,
        recorded_at=row.recorded_at,
        actor=Actor(kind=row.actor_kind, id=row.actor_id, name=row.actor_name),
        reason=row.reason,
        comment=row.comment,
        after=row.after,
    )
