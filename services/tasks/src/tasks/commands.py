"""What may be asked of a task, and what follows from it: commands in the imperative, changes in the past tense."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from tasks.states import Block, Due, Facts, Outcome, Person, Priority


@dataclass(frozen=True, slots=True)
class Claim:
    """Take an open task; never somebody else's."""

    by: Person


@dataclass(frozen=True, slots=True)
class Release:
    """Give one's own task back to its queue."""

    by: Person


@dataclass(frozen=True, slots=True)
class Assign:
    """Give a task to somebody, whoever has it now."""

    to: Person


@dataclass(frozen=True, slots=True)
class SetDue:
    """Say by when it is to be done and begun; None: no date."""

    due: Due | None
    start_by: datetime | None


@dataclass(frozen=True, slots=True)
class SetPriority:
    """Say how urgent it is."""

    priority: Priority


@dataclass(frozen=True, slots=True)
class BlockTask:
    """Say why it cannot go on."""

    code: str
    text: str | None = None
    until: datetime | None = None
    condition: str | None = None


@dataclass(frozen=True, slots=True)
class Unblock:
    """Say that it can go on."""

    reason: str | None = None


@dataclass(frozen=True, slots=True)
class EndCondition:
    """What a block may wait for is over."""

    condition: str


@dataclass(frozen=True, slots=True)
class ReachUntil:
    """The instant has come until which a block was to last."""


@dataclass(frozen=True, slots=True)
class Start:
    """Begin; who begins an open task takes it."""

    by: Person


@dataclass(frozen=True, slots=True)
class Complete:
    """Say how it ended. Anybody may, the first one does; the task stays its owner's."""

    by: Person
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Cancel:
    """Say that it is not to be done any more."""

    by: Person
    reason: str


@dataclass(frozen=True, slots=True)
class Reopen:
    """Take back that it has ended, not later than `not_before` allows: it must have ended since then."""

    not_before: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class Comment:
    """Say something about it, in any state."""

    text: str


@dataclass(frozen=True, slots=True)
class EnterInError:
    """Say that it should never have been."""

    by: Person
    reason: str


@dataclass(frozen=True, slots=True)
class NoteAgain:
    """What it is about has happened again; a block that comes with it holds unless another one does."""

    block: BlockTask | None = None


Command = (
    Claim
    | Release
    | Assign
    | SetDue
    | SetPriority
    | BlockTask
    | Unblock
    | EndCondition
    | ReachUntil
    | Start
    | Complete
    | Cancel
    | Reopen
    | Comment
    | EnterInError
    | NoteAgain
)


@dataclass(frozen=True, slots=True)
class TaskOpened:
    facts: Facts
    owner: Person | None
    at: datetime


@dataclass(frozen=True, slots=True)
class TaskClaimed:
    by: Person
    at: datetime


@dataclass(frozen=True, slots=True)
class TaskReleased:
    pass


@dataclass(frozen=True, slots=True)
class TaskAssigned:
    to: Person
    at: datetime


@dataclass(frozen=True, slots=True)
class TaskRescheduled:
    due: Due | None
    start_by: datetime | None
    at: datetime


@dataclass(frozen=True, slots=True)
class TaskReprioritised:
    priority: Priority


@dataclass(frozen=True, slots=True)
class TaskBlocked:
    block: Block


@dataclass(frozen=True, slots=True)
class TaskUnblocked:
    at: datetime
    reason: str | None


@dataclass(frozen=True, slots=True)
class TaskStarted:
    by: Person
    at: datetime


@dataclass(frozen=True, slots=True)
class TaskCompleted:
    by: Person
    at: datetime
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class TaskCancelled:
    by: Person
    at: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class TaskReopened:
    at: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class TaskCommentedOn:
    text: str


@dataclass(frozen=True, slots=True)
class TaskNotedAgain:
    pass


@dataclass(frozen=True, slots=True)
class TaskWithdrawn:
    by: Person
    at: datetime
    reason: str


Change = (
    TaskOpened
    | TaskClaimed
    | TaskReleased
    | TaskAssigned
    | TaskRescheduled
    | TaskReprioritised
    | TaskBlocked
    | TaskUnblocked
    | TaskStarted
    | TaskCompleted
    | TaskCancelled
    | TaskReopened
    | TaskCommentedOn
    | TaskNotedAgain
    | TaskWithdrawn
)
