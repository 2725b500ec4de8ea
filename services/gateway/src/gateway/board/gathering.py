"""Gathering what the board judges: evidence of every process, and the tasks that decide items, side by side.

Everything is asked at once and within one limit of time; what did not come is named. Of one measurement that several
processes took the newest counts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from chassis.clock import real_now
from chassis.tokens import Identity
from chassis.web import RequestContext
from contracts.evidence import Measurement
from contracts.tasks import KINDS
from pydantic import TypeAdapter, ValidationError

from gateway.board.domain import ENDED_WITHOUT, Evidence, Fact, Item, Judged, Task, TaskKey, judge
from gateway.composing import Missing, Parts, items_of
from gateway.settings import UPSTREAMS
from gateway.upstream import Answer, Outcome, Upstreams

BOARD_SCOPE: Final = "board:read"
TASKS_SCOPE: Final = "tasks:read"
DELIVERIES_SCOPE: Final = "deliveries:read"
DELIVERIES_MAX: Final = 10
_TASKS_LOOKED_AT: Final = 20
_TASK_OF: Final = "task of "
_EVIDENCE_OF: Final = "evidence of "
_MEASUREMENTS: Final = TypeAdapter(list[Measurement])
Own = Callable[[], Awaitable[list[Measurement]]]
Calls = dict[str, tuple[str, Awaitable[Outcome]]]


@dataclass(slots=True)
class Gathered:
    """What came: evidence, tasks by the id of the item that they decide, deliveries where they were asked for.

    `shown` are these tasks as their service shows them; `unread` says of an item why nobody can tell whether it has
    one.
    """

    evidence: Evidence
    tasks: dict[str, Task] = field(default_factory=dict)
    shown: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    unread: dict[str, str] = field(default_factory=dict)
    deliveries: list[dict[str, Any]] | None = None
    missing: list[Missing] = field(default_factory=list)

    def judged(self, items: Iterable[Item]) -> list[Judged]:
        """The items, judged now."""
        now = real_now()
        return [judge(item, self._evidence_for(item), self.tasks.get(item.id), now=now) for item in items]

    def _evidence_for(self, item: Item) -> Evidence:
        why = self.unread.get(item.id)
        return self.evidence if why is None else replace(self.evidence, away={**self.evidence.away, "tasks": why})


class Gatherer:
    """Asks for a board in the name of one caller."""

    def __init__(self, upstreams: Upstreams, caller: Identity, context: RequestContext, *, seconds: float) -> None:
        self._upstreams = upstreams
        self._caller = caller
        self._context = context
        self._parts = Parts(seconds)

    async def gather(self, items: Sequence[Item], own: Own, *, deliveries: bool = False) -> Gathered:
        """Everything that these items need; `own` takes the gateway's own evidence."""
        calls = self._tasks(items)
        taking = None
        if any(item.rules for item in items):
            calls |= self._processes()
            taking = asyncio.ensure_future(own())
        if deliveries and self._may("deliveries", "payments", DELIVERIES_SCOPE):
            params = {"limit": DELIVERIES_MAX}
            call = self._upstreams.get("payments", "/deliveries", self._caller, self._context, params=params)
            calls["deliveries"] = ("payments", call)
        came = self._usable(await self._parts.ask(calls))
        facts = [*self._theirs(came), *_facts("gateway", [] if taking is None else await taking)]
        found = Gathered(self._evidence(facts), deliveries=items_of(came.get("deliveries")))
        for item in items:
            if item.task is not None:
                self._found(found, item, came.get(_TASK_OF + item.id))
        found.missing = sorted(self._parts.missing, key=lambda each: each.part)
        return found

    def _tasks(self, items: Sequence[Item]) -> Calls:
        calls: Calls = {}
        for item in items:
            if item.task is not None:
                params: dict[str, str | int] = {"limit": _TASKS_LOOKED_AT, **_asked(item.task)}
                call = self._upstreams.get("tasks", "/tasks", self._caller, self._context, params=params)
                calls[_TASK_OF + item.id] = ("tasks", call)
        return calls

    def _processes(self) -> Calls:
        """The evidence of every process of every service."""
        calls: Calls = {}
        for service in UPSTREAMS:
            several = self._upstreams.everywhere(service, "/evidence", self._caller, self._context)
            for number, call in enumerate(several, 1):
                name = _EVIDENCE_OF + (service if len(several) == 1 else f"{service}, process {number}")
                calls[name] = (service, call)
        return calls

    def _usable(self, came: Mapping[str, Answer]) -> dict[str, Answer]:
        """The answers that say something; the others are missing too."""
        for part, answer in came.items():
            if not answer.ok:
                self._parts.lack(part, answer.service, f"answers {answer.status}")
        return {part: answer for part, answer in came.items() if answer.ok}

    def _may(self, part: str, service: str, scope: str) -> bool:
        if scope in self._caller.scopes:
            return True
        self._parts.lack(part, service, f"needs the scope {scope}")
        return False

    def _found(self, found: Gathered, item: Item, answer: Answer | None) -> None:
        if answer is None:
            whys = [each.why for each in self._parts.missing if each.part == _TASK_OF + item.id]
            found.unread[item.id] = whys[0] if whys else "was not asked"
            return
        newest = _newest(item, items_of(answer) or [])
        if newest is not None:
            found.shown[item.id], found.tasks[item.id] = newest, task_of(newest)

    def _evidence(self, facts: Iterable[Fact]) -> Evidence:
        newest: dict[tuple[str, str], Fact] = {}
        for fact in facts:
            held = newest.get((fact.service, fact.name))
            if held is None or held.observed_at < fact.observed_at:
                newest[fact.service, fact.name] = fact
        told = {fact.service for fact in newest.values()}
        away = {
            each.service: each.why
            for each in self._parts.missing
            if each.service not in told and each.part.startswith(_EVIDENCE_OF)
        }
        return Evidence(tuple(newest.values()), away)

    def _theirs(self, came: Mapping[str, Answer]) -> list[Fact]:
        found: list[Fact] = []
        for part, answer in came.items():
            if part.startswith(_EVIDENCE_OF):
                try:
                    found += _facts(answer.service, _MEASUREMENTS.validate_json(answer.body))
                except ValidationError:
                    self._parts.lack(part, answer.service, "gives evidence that cannot be read")
        return found


def _asked(key: TaskKey) -> Mapping[str, str]:
    if key.dedupe_key is not None:
        return {"dedupe_key": key.dedupe_key}
    return {"kind": key.kind or "", "text": key.title or ""}


def _facts(service: str, measurements: Iterable[Measurement]) -> Iterable[Fact]:
    for each in measurements:
        yield Fact(service, each.name, each.value, each.unit, each.observed_at, each.detail_url)


def _newest(item: Item, found: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The newest task of the item that was not withdrawn; the newest of all where all were."""
    key = item.task
    fitting = [each for each in found if key is not None and (key.title is None or each["title"] == key.title)]
    live = [each for each in fitting if each["state"] not in ENDED_WITHOUT]
    return next(iter(live or fitting), None)


def task_of(view: Mapping[str, Any]) -> Task:
    """A task as the tasks service shows it, as the board needs it."""
    kind = KINDS.get(view["kind"])
    owner, blocked, outcome = view.get("owner"), view.get("blocked"), view.get("outcome")
    return Task(
        id=view["id"],
        title=view["title"],
        state=view["state"],
        due_state=view.get("due_state") or "none",
        version=view["version"],
        queue=view["queue"],
        owner=None if owner is None else owner["name"],
        blocked=None if blocked is None else _blocked_words(kind.blocked if kind else {}, blocked),
        outcome=None if outcome is None else (kind.outcomes.get(outcome["code"]) if kind else None) or outcome["code"],
        read_at=real_now(),
    )


def _blocked_words(known: Mapping[str, Any], blocked: Mapping[str, Any]) -> str:
    code = known.get(blocked["code"])
    words = code.text if code is not None else blocked["code"].replace("_", " ")
    text = blocked.get("text")
    return f"{words} ({text})" if text else str(words)
