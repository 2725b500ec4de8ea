"""The board on the wire."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

from chassis.clock import real_now
from pydantic import AwareDatetime, BaseModel, JsonValue

from contracts import evidence as measures
from gateway.board.domain import LANES, Because, Fact, Judged, Lane, State, Task, Value, counts
from gateway.board.gathering import Gathered
from gateway.composing import Missing

StateWord = Literal["ready", "watch", "blocked"]
_WORDS: dict[State, StateWord] = {State.READY: "ready", State.WATCH: "watch", State.BLOCKED: "blocked"}
_QUEUES = {
    each.name
    for each in (
        measures.PENDING_EVENTS,
        measures.OLDEST_UNPROCESSED,
        measures.OUTBOX_DEPTH,
        measures.OUTBOX_OLDEST_AGE,
        measures.OUTBOX_PARKED_KEYS,
        measures.CONSUMER_LAG_RECORDS,
        measures.CONSUMER_LAG,
        measures.DEAD_LETTERS_OPEN,
    )
}


class Counts(BaseModel):
    """How many items are in each state."""

    ready: int
    watch: int
    blocked: int


class BecauseView(BaseModel):
    """One rule and what it makes of the evidence; `age_seconds` null where there is none, or it does not age."""

    rule: str
    kind: Literal["blocking", "watching"]
    words: str
    outcome: Literal["holds", "fails", "stale", "too_old", "inconclusive", "missing"]
    state: StateWord
    value: str
    threshold: str
    evidence: list[str]
    age_seconds: float | None
    age_limit_seconds: float
    next_step: str


class BoardTask(BaseModel):
    """The task that decides an item."""

    id: str
    title: str
    state: str
    due_state: str
    queue: str
    owner: str | None
    blocked: str | None
    outcome: str | None
    version: int


class BoardItem(BaseModel):
    """One line of the board. `because` lists every rule, the worst first; `next_action` is what somebody does now."""

    id: str
    title: str
    lane: Lane
    owner: str
    source: str
    persistence: str
    text: str
    action_model: list[str]
    audit_event: str
    state: StateWord
    next_action: str
    because: list[BecauseView]
    task: BoardTask | None


class LaneView(BaseModel):
    """The items of one lane, in the product's order."""

    lane: Lane
    counts: Counts
    items: list[BoardItem]


class Board(BaseModel):
    """The whole board; what could not be asked is in `missing`."""

    as_of: AwareDatetime
    counts: Counts
    lanes: list[LaneView]
    missing: list[Missing]


class FactView(BaseModel):
    """One measurement of a service."""

    service: str
    name: str
    value: Value
    unit: str
    observed_at: AwareDatetime


class ProcessView(BaseModel):
    """What one process is: the deployment context."""

    service: str
    instance: str
    version: str | None
    started: str | None
    settings_digest: str | None


class FailureView(BaseModel):
    """Answers with a fault of ours in the last 15 minutes, by route."""

    service: str
    instance: str
    route: str
    count: int


class Inspection(BaseModel):
    """What the product asks to inspect; `deliveries` null where they could not be read."""

    deliveries: list[dict[str, JsonValue]] | None
    queues: list[FactView]
    processes: list[ProcessView]
    failures: list[FailureView]


class ItemPage(BaseModel):
    """One item with what stands behind it."""

    as_of: AwareDatetime
    item: BoardItem
    inspect: Inspection
    missing: list[Missing]


def board(judged: Sequence[Judged], missing: Sequence[Missing]) -> Board:
    """The board of these items, by lane."""
    by_lane = {lane: [each for each in judged if each.item.lane == lane] for lane in LANES}
    lanes = [
        LaneView(lane=lane, counts=_counts(each), items=[item(one) for one in each])
        for lane, each in by_lane.items()
        if each
    ]
    return Board(as_of=real_now(), counts=_counts(judged), lanes=lanes, missing=list(missing))


def item(judged: Judged) -> BoardItem:
    """One item as it stands."""
    what = judged.item
    return BoardItem(
        id=what.id,
        title=what.title,
        lane=what.lane,
        owner=what.owner,
        source=what.source,
        persistence=what.persistence,
        text=what.text,
        action_model=list(what.action_model),
        audit_event=what.audit_event,
        state=_WORDS[judged.state],
        next_action=judged.next_action,
        because=[_because(each) for each in judged.because],
        task=None if judged.task is None else _task(judged.task),
    )


def page(judged: Judged, gathered: Gathered) -> ItemPage:
    """One item with what the services that it inspects say."""
    of = judged.item.inspects
    facts = [fact for fact in gathered.evidence.facts if fact.service in of]
    return ItemPage(
        as_of=real_now(),
        item=item(judged),
        inspect=Inspection(
            deliveries=gathered.deliveries,
            queues=[_fact(fact) for fact in facts if fact.measure in _QUEUES],
            processes=_processes(facts),
            failures=_failures(facts),
        ),
        missing=gathered.missing,
    )


def _counts(judged: Iterable[Judged]) -> Counts:
    return Counts(**{_WORDS[state]: number for state, number in counts(judged).items()})


def _because(because: Because) -> BecauseView:
    return BecauseView(
        rule=because.rule,
        kind=because.kind,
        words=because.words,
        outcome=because.outcome.value,
        state=_WORDS[because.state],
        value=because.value,
        threshold=because.threshold,
        evidence=list(because.evidence),
        age_seconds=None if because.age is None else round(because.age.total_seconds(), 1),
        age_limit_seconds=because.limit.total_seconds(),
        next_step=because.next_step,
    )


def _task(task: Task) -> BoardTask:
    return BoardTask(
        id=task.id,
        title=task.title,
        state=task.state,
        due_state=task.due_state,
        queue=task.queue,
        owner=task.owner,
        blocked=task.blocked,
        outcome=task.outcome,
        version=task.version,
    )


def _fact(fact: Fact) -> FactView:
    return FactView(
        service=fact.service, name=fact.name, value=fact.value, unit=fact.unit, observed_at=fact.observed_at
    )


def _processes(facts: Sequence[Fact]) -> list[ProcessView]:
    told: dict[tuple[str, str], dict[str, str]] = {}
    for fact in facts:
        if fact.measure in {
            measures.PROCESS_VERSION.name,
            measures.PROCESS_STARTED.name,
            measures.PROCESS_SETTINGS.name,
        }:
            told.setdefault((fact.service, fact.subject), {})[fact.measure] = str(fact.value)
    return [
        ProcessView(
            service=service,
            instance=instance,
            version=values.get(measures.PROCESS_VERSION.name),
            started=values.get(measures.PROCESS_STARTED.name),
            settings_digest=values.get(measures.PROCESS_SETTINGS.name),
        )
        for (service, instance), values in sorted(told.items())
    ]


def _failures(facts: Sequence[Fact]) -> list[FailureView]:
    found = []
    for fact in facts:
        if fact.measure == measures.ROUTE_SERVER_ERRORS.name and isinstance(fact.value, int):
            instance, _, route = fact.subject.partition(" ")
            found.append(FailureView(service=fact.service, instance=instance, route=route, count=fact.value))
    return sorted(found, key=lambda each: (-each.count, each.service, each.route))
