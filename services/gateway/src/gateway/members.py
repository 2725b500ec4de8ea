"""One member on one page: ledger, holds, tasks and timeline, from the services that keep them.

Three rounds at most, since what is asked last depends on what came first: who the member is, which of their payments
and tasks there are, and what the audit log says of each.
"""

from __future__ import annotations

from collections.abc import Awaitable, Iterable, Mapping
from typing import Any, Final
from urllib.parse import quote

from chassis.web import Problem, RequestContext
from pydantic import BaseModel, JsonValue

from gateway.composing import Missing, Parts, items_of
from gateway.identity import Caller
from gateway.upstream import Answer, Outcome, Upstreams

HOLDS_SCOPE: Final = "holds:read"
TASKS_SCOPE: Final = "tasks:read"
AUDIT_SCOPE: Final = "audit:read"
TASKS_MAX: Final = 50
TIMELINE_MAX: Final = 50
FOLLOWED_MAX: Final = 6
Calls = dict[str, tuple[str, Awaitable[Outcome]]]


class MemberPage(BaseModel):
    """A member as staff see them; a part that is null stands in `missing`, with whose it would be and why."""

    id: str
    name: str | None
    ledger: dict[str, JsonValue] | None
    holds: list[dict[str, JsonValue]] | None
    tasks: list[dict[str, JsonValue]] | None
    timeline: list[dict[str, JsonValue]] | None
    missing: list[Missing]


class Composer:
    """Asks for one member's page in the name of one caller."""

    def __init__(self, upstreams: Upstreams, caller: Caller, context: RequestContext, *, seconds: float) -> None:
        self._upstreams = upstreams
        self._caller = caller
        self._context = context
        self._parts = Parts(seconds)

    async def page(self, member_id: str) -> MemberPage:
        """The page. Raises Problem (404) for a member that payments does not know."""
        identity = quote(member_id, safe="")
        first = {"ledger": self._call("payments", f"/members/{identity}/ledger")}
        if self._may("holds", "payments", HOLDS_SCOPE):
            first["holds"] = self._call("payments", f"/members/{identity}/holds")
        if self._may("timeline", "audit", AUDIT_SCOPE):
            first["timeline"] = self._records("member", member_id)
        if self._may("tasks", "tasks", TASKS_SCOPE):
            first["tasks"] = self._call("tasks", "/tasks", member=member_id, limit=TASKS_MAX)
        came = await self._parts.ask(first)
        ledger = self._ledger(member_id, came.get("ledger"))
        name = None if ledger is None else str(ledger["member"]["name"])
        holds = self._items("holds", "payments", came)
        tasks, records = await self._rest(name, ledger, holds, came)
        return MemberPage(
            id=member_id,
            name=name,
            ledger=ledger,
            holds=holds,
            tasks=tasks,
            timeline=records,
            missing=sorted(self._parts.missing, key=lambda each: each.part),
        )

    async def _rest(
        self,
        name: str | None,
        ledger: dict[str, Any] | None,
        holds: list[dict[str, Any]] | None,
        came: Mapping[str, Answer],
    ) -> tuple[list[dict[str, Any]] | None, list[dict[str, Any]] | None]:
        """Tasks that name the member, and what the log says of the member, their payments, holds and tasks."""
        own = self._items("timeline", "audit", came)
        tasks = self._items("tasks", "tasks", came)
        second: Calls = {}
        if tasks is not None and name is not None:
            # A task may name a member without knowing which of those with that name it is about.
            second["tasks by name"] = self._call("tasks", "/tasks", text=name, limit=TASKS_MAX)
        if own is not None:
            second |= self._followed("payment", _payments(ledger)) | self._followed("member_hold", _ids(holds))
        found = await self._parts.ask(second)
        if tasks is not None:
            tasks = _each_once(tasks, items_of(found.get("tasks by name")) or [])
        if own is None:
            return tasks, None
        found |= await self._parts.ask(self._followed("task", _ids(tasks)))
        further = [items_of(answer) or [] for part, answer in found.items() if part.startswith("timeline of")]
        return tasks, _newest_first([own, *further])

    def _may(self, part: str, service: str, scope: str) -> bool:
        if scope in self._caller.scopes:
            return True
        self._parts.lack(part, service, f"needs the scope {scope}")
        return False

    def _call(self, service: str, path: str, **params: str | int) -> tuple[str, Awaitable[Outcome]]:
        return service, self._upstreams.get(service, path, self._caller, self._context, params=params or None)

    def _records(self, kind: str, identity: str) -> tuple[str, Awaitable[Outcome]]:
        return self._call("audit", "/records", entity=f"{kind}:{identity}", limit=TIMELINE_MAX)

    def _followed(self, kind: str, ids: Iterable[str]) -> Calls:
        newest = list(dict.fromkeys(ids))[:FOLLOWED_MAX]
        return {f"timeline of {kind} {each}": self._records(kind, each) for each in newest}

    def _ledger(self, member_id: str, answer: Answer | None) -> dict[str, Any] | None:
        if answer is None:
            return None
        if answer.ok:
            ledger: dict[str, Any] = answer.json()
            return ledger
        if answer.status in {404, 422}:
            raise Problem.not_found("member", member_id)
        self._parts.lack("ledger", "payments", f"answers {answer.status}")
        return None

    def _items(self, part: str, service: str, came: Mapping[str, Answer]) -> list[dict[str, Any]] | None:
        answer = came.get(part)
        items = items_of(answer)
        if items is None and answer is not None:
            self._parts.lack(part, service, f"answers {answer.status}")
        return items


def _payments(ledger: Mapping[str, Any] | None) -> list[str]:
    lines = [] if ledger is None else ledger["lines"]
    return [str(line["payment_id"]) for line in reversed(lines) if line.get("payment_id")]


def _ids(items: Iterable[Mapping[str, Any]] | None) -> list[str]:
    return [str(item["id"]) for item in items or ()]


def _each_once(*lists: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return list({str(item["id"]): item for items in lists for item in items}.values())


def _newest_first(timelines: Iterable[list[dict[str, Any]]]) -> list[dict[str, Any]]:
    records = {record["seq"]: record for timeline in timelines for record in timeline}
    return [records[seq] for seq in sorted(records, reverse=True)][:TIMELINE_MAX]
