"""Sentences about tasks: `given(open_task()).when(Claim(MARIA)).then(TaskClaimed(MARIA, NOON))`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

import pytest
from tasks import translate
from tasks.commands import BlockTask, Change, Command
from tasks.domain import decide, evolve
from tasks.refusals import RefusedError
from tasks.states import Block, Claimed, Completed, Due, Facts, InProgress, Open, Outcome, Person, Source, Task

SYDNEY: Final = ZoneInfo("Australia/Sydney")
NOON: Final = datetime(2026, 3, 2, 1, 0, tzinfo=UTC)
EARLIER: Final = NOON - timedelta(hours=3)
MARIA: Final = Person("maria-rossi", "Maria Rossi")
DESK: Final = Person("front-desk", "Front desk")
RECOVERY: Final = translate.kind("payment_recovery")
SOURCE: Final = Source("payment_collection", "pay-1", "payment", "pay-1")
HELD: Final = Block("medical_hold", EARLIER, EARLIER, condition="member_hold:1")
PAID: Final = Outcome("paid_otherwise", "in cash")


def facts(*, due: Due | None = None, blocked: Block | None = None, paused: timedelta = timedelta()) -> Facts:
    """What is known of the task: call Mark Stevens about his failed payment."""
    return Facts(
        id="task-1",
        kind=RECOVERY,
        title="Call Mark Stevens about failed payment",
        queue="Billing",
        source=SOURCE,
        opened_at=EARLIER,
        due=due,
        blocked=blocked,
        paused=paused,
    )


def an_open_one(**known: Any) -> Open:
    return Open(facts(**known))


def one_of(owner: Person, **known: Any) -> Claimed:
    return Claimed(facts(**known), owner, EARLIER)


def one_begun_by(owner: Person, **known: Any) -> InProgress:
    return InProgress(facts(**known), owner, EARLIER)


def one_completed_by(person: Person, outcome: Outcome = PAID) -> Completed:
    return Completed(facts(), person, person, EARLIER, outcome)


def blocked(task: Task, block: Block = HELD) -> Task:
    return replace(task, facts=replace(task.facts, blocked=block))


@dataclass(frozen=True, slots=True)
class Given:
    task: Task

    def when(self, command: Command, *, at: datetime = NOON) -> When:
        return When(self.task, command, at)


@dataclass(frozen=True, slots=True)
class When:
    task: Task
    command: Command
    at: datetime

    def then(self, *changes: Change) -> Task:
        """Assert what follows; returns the task after it."""
        assert decide(self.task, self.command, now=self.at) == changes
        after = self.task
        for change in changes:
            after = evolve(after, change)
        return after

    def nothing(self) -> None:
        """It is so already."""
        self.then()

    def is_refused(self, error: type[RefusedError], *, saying: str) -> RefusedError:
        with pytest.raises(error, match=saying) as caught:
            decide(self.task, self.command, now=self.at)
        return caught.value


def given(task: Task) -> Given:
    return Given(task)


MEDICAL: Final = BlockTask("medical_hold", "on medical hold", None, "member_hold:1")
