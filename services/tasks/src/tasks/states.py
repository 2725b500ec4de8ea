"""What a task is: its facts, and the one of six states in which it is.

Blocked stands beside the state and keeps it: a blocked task still has its owner.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Final, Literal

Priority = Literal["low", "normal", "high", "urgent"]
StateName = Literal["open", "claimed", "in_progress", "completed", "cancelled", "entered_in_error"]
OPEN_STATES: Final[tuple[StateName, ...]] = ("open", "claimed", "in_progress")


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who owns a task or acts on it, by a stable id and a name to read."""

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class BlockRule:
    """What one code of a block means: how long at most it stops the clock, which outcomes it forbids."""

    pauses_for: timedelta = timedelta()
    forbids: frozenset[str] = frozenset()
    names_condition: bool = False


@dataclass(frozen=True, slots=True)
class Kind:
    """The closed sets of one kind of task."""

    name: str
    outcomes: frozenset[str]
    blocks: Mapping[str, BlockRule]


@dataclass(frozen=True, slots=True)
class DueOn:
    """Due by the end of a business day."""

    day: date


@dataclass(frozen=True, slots=True)
class DueAt:
    """Due at an instant."""

    instant: datetime


Due = DueOn | DueAt


@dataclass(frozen=True, slots=True)
class Block:
    """Why a task cannot go on. `condition` is what ends the block when it ends; `paused_from` is when the clock stopped
    for the due date that holds now."""

    code: str
    since: datetime
    paused_from: datetime
    text: str | None = None
    until: datetime | None = None
    condition: str | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a task ended: a code of its kind, words, and references of what proves it."""

    code: str
    note: str | None = None
    evidence: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Source:
    """Where a task comes from; `pointer` is the Kafka record from which it can be replayed."""

    workflow_name: str
    workflow_id: str
    entity_type: str
    entity_id: str
    event_id: str | None = None
    pointer: str | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a task in every state. `paused` is for how long its clock stood still in blocks that are over,
    since its due date was set."""

    id: str
    kind: Kind
    title: str
    queue: str
    source: Source
    opened_at: datetime
    priority: Priority = "normal"
    note: str | None = None
    due: Due | None = None
    start_by: datetime | None = None
    paused: timedelta = timedelta()
    blocked: Block | None = None
    member_id: str | None = None
    dedupe_key: str | None = None
    gates: tuple[str, ...] = ()
    occurrences: int = 1
    metadata: Mapping[str, str] = field(default_factory=dict)

    def rule(self) -> BlockRule | None:
        """The rule of the block in force, if there is one."""
        return None if self.blocked is None else self.kind.blocks[self.blocked.code]


@dataclass(frozen=True, slots=True)
class Open:
    """In its queue, nobody's."""

    facts: Facts


@dataclass(frozen=True, slots=True)
class Claimed:
    """Somebody's, not begun."""

    facts: Facts
    owner: Person
    at: datetime


@dataclass(frozen=True, slots=True)
class InProgress:
    """Begun by its owner."""

    facts: Facts
    owner: Person
    at: datetime


@dataclass(frozen=True, slots=True)
class Completed:
    """Done, by whoever was first to say so."""

    facts: Facts
    owner: Person | None
    by: Person
    at: datetime
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Cancelled:
    """Not to be done any more."""

    facts: Facts
    owner: Person | None
    by: Person
    at: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class EnteredInError:
    """Should never have been; kept, and never opened again."""

    facts: Facts
    owner: Person | None
    by: Person
    at: datetime
    reason: str


Task = Open | Claimed | InProgress | Completed | Cancelled | EnteredInError
Ended = Completed | Cancelled | EnteredInError
NAMES: Final[Mapping[type[Task], StateName]] = {
    Open: "open",
    Claimed: "claimed",
    InProgress: "in_progress",
    Completed: "completed",
    Cancelled: "cancelled",
    EnteredInError: "entered_in_error",
}


def name_of(task: Task) -> StateName:
    """The state's name, as it is stored and told."""
    return NAMES[type(task)]


def owner_of(task: Task) -> Person | None:
    """Whose the task is, or was when it ended."""
    return None if isinstance(task, Open) else task.owner
