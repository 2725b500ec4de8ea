"""Why a command may not be done: each refusal keeps what it is about and builds its own sentence.

`Lost` is a refusal that names who was first: it tells the truth however old the caller's view of the task is.
"""

from __future__ import annotations

from datetime import datetime

from tasks.states import Block, Ended, Outcome, Person, StateName, name_of


class RefusedError(Exception):
    """The command may not be done; nothing was changed."""


class LostError(RefusedError):
    """Somebody else was first: `winner` did it, `at` that instant."""

    winner: Person
    at: datetime
    state: StateName
    outcome: Outcome | None


class AlreadyClaimedError(LostError):
    """The task is somebody else's; claiming never steals."""

    def __init__(self, task_id: str, owner: Person, at: datetime, state: StateName) -> None:
        super().__init__(f"{owner.name} has this task")
        self.task_id, self.winner, self.at, self.state, self.outcome = task_id, owner, at, state, None


class AlreadyEndedError(LostError):
    """The task has ended, and how stands."""

    def __init__(self, task: Ended) -> None:
        outcome = getattr(task, "outcome", None)
        state, what = name_of(task), f" with the outcome {outcome.code}" if outcome is not None else ""
        super().__init__(f"{task.by.name} has {_ENDED[state]} this task already{what}")
        self.task_id, self.winner, self.at, self.state, self.outcome = task.facts.id, task.by, task.at, state, outcome


_ENDED = {"completed": "completed", "cancelled": "cancelled", "entered_in_error": "withdrawn"}


class NotOwnerError(RefusedError):
    """Only its owner gives a task back; anybody may assign it."""

    def __init__(self, task_id: str, owner: Person) -> None:
        super().__init__(f"{owner.name} has this task: only its owner releases it, assign it instead")
        self.task_id, self.owner = task_id, owner


class BlockedError(RefusedError):
    """The task is blocked: what was asked waits for that, or there is a block already."""

    def __init__(self, task_id: str, block: Block) -> None:
        super().__init__(f"This task is blocked by {block.code}: unblock it first")
        self.task_id, self.block = task_id, block


class OutcomeUnknownError(RefusedError):
    """The kind has no such outcome."""

    def __init__(self, kind: str, code: str, known: frozenset[str]) -> None:
        super().__init__(f"{code} is no outcome of a {kind} task; these are: {', '.join(sorted(known))}")
        self.code, self.known = code, known


class OutcomeForbiddenError(RefusedError):
    """The block in force forbids this outcome."""

    def __init__(self, code: str, block: Block) -> None:
        super().__init__(f"The outcome {code} is not possible while the task is blocked by {block.code}")
        self.code, self.block = code, block


class BlockUnknownError(RefusedError):
    """The kind has no such code of a block, or the code waits for no condition."""

    def __init__(self, kind: str, code: str, known: frozenset[str], *, condition: bool = False) -> None:
        wrong = f"{code} waits for no condition" if condition else f"{code} blocks no {kind} task"
        super().__init__(f"{wrong}; these do: {', '.join(sorted(known))}")
        self.code, self.known = code, known


class UntilPassedError(RefusedError):
    """A block cannot last until an instant that is over."""

    def __init__(self, until: datetime) -> None:
        super().__init__("The block would be over already: until lies in the past")
        self.until = until


class TooLateToReopenError(RefusedError):
    """The task ended too long ago to be opened again; a new one is opened instead."""

    def __init__(self, task: Ended, not_before: datetime) -> None:
        super().__init__("This task ended too long ago to be opened again: open a new one")
        self.task_id, self.ended_at, self.not_before = task.facts.id, task.at, not_before
