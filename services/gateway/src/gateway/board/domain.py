"""Readiness: Ready, Watch or Blocked as a pure function of evidence, with the reasons.

A rule looks at evidence and holds, fails, or cannot say. What a blocking rule finds wrong blocks its item, what a
watching rule finds wrong puts it on watch; evidence that is missing, or older than twice its limit, counts as wrong.
Evidence older than its limit, or that is inconclusive, is watched whatever the rule. There is no other way into a
state: nobody sets one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import IntEnum, StrEnum
from typing import Final, Literal

Value = bool | int | float | str
Kind = Literal["blocking", "watching"]
Lane = Literal["money", "platform", "tasks", "audit"]
LANES: Final[tuple[Lane, ...]] = ("money", "platform", "tasks", "audit")


class State(IntEnum):
    """How an item is; a higher one is worse."""

    READY = 0
    WATCH = 1
    BLOCKED = 2

    @property
    def word(self) -> str:
        return self.name.capitalize()


class Outcome(StrEnum):
    """What a rule makes of its evidence."""

    HOLDS = "holds"
    FAILS = "fails"
    STALE = "stale"
    TOO_OLD = "too_old"
    INCONCLUSIVE = "inconclusive"
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class Fact:
    """One measurement of a service."""

    service: str
    name: str
    value: Value
    unit: str
    observed_at: datetime
    detail_url: str | None = None

    @property
    def measure(self) -> str:
        return self.name.partition(":")[0]

    @property
    def subject(self) -> str:
        """What was measured where there are several; empty for the service as a whole."""
        return self.name.partition(":")[2]


@dataclass(frozen=True, slots=True)
class Evidence:
    """All there is: facts, and the services that gave none, with why."""

    facts: Sequence[Fact] = ()
    away: Mapping[str, str] = field(default_factory=dict)

    def of(self, service: str, measure: str) -> Sequence[Fact]:
        """Every fact of this measure, whatever its subject."""
        return [fact for fact in self.facts if fact.service == service and fact.measure == measure]


@dataclass(frozen=True, slots=True)
class Seen:
    """What a rule saw: whether it holds (None: nobody can tell), the value in words, and the oldest time of it."""

    holds: bool | None
    value: str
    observed_at: datetime | None
    evidence: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Rule:
    """One condition of an item. `look` returns None where the evidence is missing.

    `asks` are the services that measure it; `limit` is how old its evidence may be; `absent` says in words what is
    missing when it is, and `next_step` what somebody does when the rule does not hold.
    """

    id: str
    kind: Kind
    words: str
    threshold: str
    asks: tuple[str, ...]
    look: Callable[[Evidence], Seen | None]
    next_step: str
    limit: timedelta = timedelta(minutes=1)
    absent: str | None = None


@dataclass(frozen=True, slots=True)
class Because:
    """What one rule makes of the evidence at one instant."""

    rule: str
    kind: Kind
    words: str
    outcome: Outcome
    state: State
    value: str
    threshold: str
    evidence: tuple[str, ...]
    age: timedelta | None
    limit: timedelta
    next_step: str


@dataclass(frozen=True, slots=True)
class Task:
    """A task as the board needs it. `due_state` is overdue, due_today, upcoming, paused or none."""

    id: str
    title: str
    state: str
    due_state: str
    version: int
    queue: str
    owner: str | None = None
    blocked: str | None = None
    outcome: str | None = None
    read_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class TaskKey:
    """How an item's task is found: by its exact dedupe key, or the newest of a kind with this title."""

    dedupe_key: str | None = None
    kind: str | None = None
    title: str | None = None


@dataclass(frozen=True, slots=True)
class Item:
    """One line of the board, as the product words it. Either `rules` or `task` decide its state."""

    id: str
    title: str
    lane: Lane
    owner: str
    source: str
    persistence: str
    text: str
    action_model: tuple[str, ...]
    audit_event: str
    rules: tuple[Rule, ...] = ()
    task: TaskKey | None = None
    inspects: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Judged:
    """An item with its state, every reason (the worst first) and what comes next."""

    item: Item
    state: State
    because: tuple[Because, ...]
    next_action: str
    task: Task | None = None


ENDED_WITHOUT: Final = frozenset({"cancelled", "entered_in_error"})
_TASK_LIMIT: Final = timedelta(minutes=1)


def judge(item: Item, evidence: Evidence, task: Task | None, *, now: datetime) -> Judged:
    """The state of an item. `task` is the one that the item's key finds, None where there is none."""
    reasons = [judge_rule(rule, evidence, now=now) for rule in item.rules]
    if item.task is not None:
        reasons.append(_judge_task(item.task, evidence, task))
    ordered = tuple(sorted(reasons, key=lambda each: -each.state))
    state = ordered[0].state if ordered else State.BLOCKED
    return Judged(item, state, ordered, _next(state, ordered), task)


def judge_rule(rule: Rule, evidence: Evidence, *, now: datetime) -> Because:
    """What a rule makes of the evidence."""
    seen = rule.look(evidence)
    age = None if seen is None or seen.observed_at is None else max(timedelta(), now - seen.observed_at)
    outcome = _outcome(seen, age, rule.limit)
    value = _missing(rule, evidence) if seen is None else seen.value
    return Because(
        rule.id,
        rule.kind,
        rule.words,
        outcome,
        _weight(outcome, rule.kind),
        value,
        rule.threshold,
        () if seen is None else seen.evidence,
        age,
        rule.limit,
        rule.next_step,
    )


def _outcome(seen: Seen | None, age: timedelta | None, limit: timedelta) -> Outcome:
    if seen is None:
        return Outcome.MISSING
    if age is not None and age > 2 * limit:
        return Outcome.TOO_OLD
    if seen.holds is False:
        return Outcome.FAILS
    if seen.holds is None:
        return Outcome.INCONCLUSIVE
    if age is not None and age > limit:
        return Outcome.STALE
    return Outcome.HOLDS


def _weight(outcome: Outcome, kind: Kind) -> State:
    match outcome:
        case Outcome.HOLDS:
            return State.READY
        case Outcome.STALE | Outcome.INCONCLUSIVE:
            return State.WATCH
        case Outcome.FAILS | Outcome.TOO_OLD | Outcome.MISSING:
            return State.BLOCKED if kind == "blocking" else State.WATCH


def _missing(rule: Rule, evidence: Evidence) -> str:
    away = [f"{service} {evidence.away[service]}" for service in rule.asks if service in evidence.away]
    if away:
        return "; ".join(away)
    return rule.absent or f"{' and '.join(rule.asks)} did not measure it"


def _judge_task(key: TaskKey, evidence: Evidence, task: Task | None) -> Because:
    """Blocked or overdue blocks, open is watched, completed is ready; what cannot be seen blocks."""
    state, outcome, value, next_step = _task_state(key, evidence, task)
    return Because(
        "task",
        "blocking",
        "The task is completed, and neither blocked nor overdue",
        outcome,
        state,
        value,
        "completed",
        () if task is None else (f"tasks/{task.id}",),
        None,
        _TASK_LIMIT,
        next_step,
    )


def _task_state(key: TaskKey, evidence: Evidence, task: Task | None) -> tuple[State, Outcome, str, str]:
    if task is None and "tasks" in evidence.away:
        return State.BLOCKED, Outcome.MISSING, f"tasks {evidence.away['tasks']}", "Wait for tasks, or look at it"
    if task is None:
        words = f"there is no task {key.dedupe_key or f'titled {key.title}'} yet"
        return State.BLOCKED, Outcome.MISSING, words, "Open the task"
    if task.state in ENDED_WITHOUT:
        words = f"the newest task was {task.state.replace('_', ' ')}"
        return State.BLOCKED, Outcome.MISSING, words, "Reopen the task, or open another"
    if task.state == "completed":
        return State.READY, Outcome.HOLDS, f"completed: {task.outcome or 'done'}", "Nothing: it is done"
    if task.blocked is not None:
        return State.BLOCKED, Outcome.FAILS, f"blocked: {task.blocked}", "Clear what blocks it, or unblock it"
    if task.due_state == "overdue":
        return State.BLOCKED, Outcome.FAILS, "overdue", "Complete it, or set another due date"
    if task.owner is None:
        return State.WATCH, Outcome.INCONCLUSIVE, f"open in {task.queue}, nobody has claimed it", "Claim it"
    return State.WATCH, Outcome.INCONCLUSIVE, f"open with {task.owner}", "Complete it with an outcome"


def _next(state: State, reasons: Sequence[Because]) -> str:
    return "Nothing: everything holds" if state is State.READY and len(reasons) > 1 else reasons[0].next_step


def counts(judged: Iterable[Judged]) -> dict[State, int]:
    """How many items are in each state, none included."""
    found = Counter(each.state for each in judged)
    return {state: found[state] for state in State}
