"""What stands behind the console in its tests: evidence as the board's tests have it, and tasks that can be acted on.

The tasks answer as the tasks service does (its own tests hold it to that): a version that must match, one winner.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import parse_qs

from chassis.clock import real_now
from contracts.tasks import KINDS
from gateway.settings import UPSTREAMS

from contracts import evidence as e
from tests.gateway.behind import Gateway, a_gateway, listening
from tests.gateway.board_evidence import ALL_WELL
from tests.support.infrastructure import TemporaryDatabase

ARRIVAL = "/board/items/confirm-isla-morgan-trial-arrival"
CALL = "/board/items/call-mark-stevens-about-failed-payment"


def a_task(number: int, kind: str, title: str, queue: str, **more: Any) -> dict[str, Any]:
    return {
        "id": f"0199a0b0-0000-7000-8000-{number:012}",
        "kind": kind,
        "title": title,
        "queue": queue,
        "state": "open",
        "owner": None,
        "due_on": "2026-11-27",
        "due_at": None,
        "due_state": "upcoming",
        "blocked": None,
        "outcome": None,
        "ended": None,
        "note": None,
        "dedupe_key": None,
        "version": 1,
        **more,
    }


def the_tasks() -> dict[str, dict[str, Any]]:
    """The four tasks of the product, by id."""
    held = {"code": "medical_hold", "words": "The member is on medical hold", "text": None, "forbids": ["retry_now"]}
    maria = {"id": "maria-rossi", "name": "Maria Rossi"}
    sarah = {"id": "coach-sarah", "name": "Coach Sarah"}
    made = [
        a_task(
            1,
            "trial_arrival",
            "Confirm Isla Morgan trial arrival",
            "Front desk",
            dedupe_key="board:trial-arrival:isla-morgan",
        ),
        a_task(
            2,
            "payment_recovery",
            "Call Mark Stevens about failed payment",
            "Billing",
            owner=maria,
            state="claimed",
            blocked=held,
            due_state="paused",
        ),
        a_task(
            3,
            "pickup_authority",
            "Clarify pickup authority for Alessandro",
            "Front desk",
            dedupe_key="board:pickup-authority:alessandro",
            due_state="overdue",
            due_on="2026-11-24",
        ),
        a_task(
            4,
            "event_preparation",
            "Build comp board for winter invitational",
            "Coaches",
            dedupe_key="board:comp-board:winter-invitational",
            owner=sarah,
            state="in_progress",
        ),
    ]
    return {each["id"]: each for each in made}


@dataclass(slots=True)
class Behind:
    """One service behind the gateway; `facts` is its evidence, `tasks` what only tasks has."""

    service: str
    facts: list[dict[str, Any]]
    tasks: dict[str, dict[str, Any]] = field(default_factory=dict)
    deliveries: list[dict[str, Any]] = field(default_factory=list)
    seen: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    away: bool = False

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        query = {name: values[0] for name, values in parse_qs(scope["query_string"].decode()).items()}
        status, answer = self._answer(scope["method"], scope["path"], query, headers, json.loads(body or b"{}"))
        given = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": status, "headers": given})
        await send({"type": "http.response.body", "body": json.dumps(answer).encode()})

    def _answer(
        self, method: str, path: str, query: Mapping[str, str], headers: Mapping[str, str], body: dict[str, Any]
    ) -> tuple[int, Any]:
        self.asked.append(path)
        if self.away:
            return 503, {"title": "Something that this needs is away", "status": 503}
        if method == "POST":
            self.seen.append((path, headers.get("idempotency-key", ""), body))
            _, _, task_id, verb = path.split("/")
            return self._act(self.tasks[task_id], verb, headers["if-match"], body)
        if path == "/evidence":
            now = real_now().isoformat()
            return 200, [{**each, "observed_at": each.get("observed_at") or now} for each in self.facts]
        if path == "/deliveries":
            return 200, {"items": self.deliveries, "next": None}
        wanted = {name: value for name, value in query.items() if name in {"dedupe_key", "kind"}}
        found = [each for each in self.tasks.values() if all(each[name] == value for name, value in wanted.items())]
        return 200, {"items": found, "next": None}

    def _act(self, task: dict[str, Any], verb: str, if_match: str, body: dict[str, Any]) -> tuple[int, Any]:
        if verb == "claim" and task["owner"] is not None:
            detail = f"{task['owner']['name']} has this task."
            return 409, {"title": "Somebody else has this task", "detail": detail, "status": 409}
        if if_match != f'"{task["version"]}"':
            detail = f"It is at version {task['version']} by now; read it again."
            return 412, {"title": "The thing has changed since you read it", "detail": detail, "status": 412}
        kind = KINDS[task["kind"]]
        changes: dict[str, dict[str, Any]] = {
            "claim": {"owner": {"id": "owner", "name": "Owner"}, "state": "claimed"},
            "unblock": {"blocked": None, "due_state": "upcoming"},
        }
        if verb == "block":
            words = kind.blocked[body["code"]].text
            changes[verb] = {"blocked": {"code": body["code"], "words": words, "text": body.get("text"), "forbids": []}}
        if verb == "complete":
            outcome = {"code": body["code"], "words": kind.outcomes[body["code"]], "note": body.get("note")}
            ended = {"by": {"id": "owner", "name": "Owner"}}
            changes[verb] = {"state": "completed", "outcome": outcome, "ended": ended, "due_state": "none"}
        task.update(changes[verb], version=task["version"] + 1)
        return 200, task


@dataclass(frozen=True, slots=True)
class Stage:
    """A gateway over a real socket and what is behind it."""

    origin: str
    gateway: Gateway
    behind: Mapping[str, Behind]

    @property
    def tasks(self) -> dict[str, dict[str, Any]]:
        return self.behind["tasks"].tasks

    def change(self, service: str, measure: e.Measure, value: Any) -> None:
        """From now on this is measured."""
        for each in self.behind[service].facts:
            if each["name"].partition(":")[0] == measure.name:
                each["value"] = value

    def lack(self, service: str, measure: e.Measure) -> None:
        """From now on this is not measured."""
        facts = self.behind[service].facts
        facts[:] = [each for each in facts if each["name"].partition(":")[0] != measure.name]


@asynccontextmanager
async def a_stage(database: TemporaryDatabase) -> AsyncIterator[Stage]:
    """The console before services as a day at the desk finds them: most is well, some is not."""
    behind = {name: Behind(name, _facts(name)) for name in UPSTREAMS}
    behind["tasks"].tasks = the_tasks()
    behind["payments"].deliveries = _deliveries()
    async with AsyncExitStack() as stack:
        addresses = {
            f"{name.replace('-', '_')}_url": await stack.enter_async_context(listening(app))
            for name, app in behind.items()
        }
        gateway = await stack.enter_async_context(
            a_gateway(database, relay=False, rate_limit_anonymous="10000/minute", **addresses)
        )
        origin = await stack.enter_async_context(listening(gateway.app))
        stage = Stage(origin, gateway, behind)
        stage.lack("provider-health", e.AI_DECISIONS)
        stage.lack("provider-health", e.AI_PAYLOADS_FAILED)
        stage.change("payments", e.HELD_RETRIES, 2)
        stage.change("payments", e.REJECTED_DELIVERIES, 24)
        yield stage


def _facts(service: str) -> list[dict[str, Any]]:
    facts = [replace(each, observed_at=real_now()) for each in ALL_WELL.facts if each.service == service]
    shown = [{"name": each.name, "value": each.value, "unit": each.unit} for each in facts]
    started = [
        e.PROCESS_STARTED.reading(real_now().isoformat(), real_now(), of=f"{service}-{number}") for number in (1, 2)
    ]
    digests = [e.PROCESS_SETTINGS.reading("5e7715d1935d", real_now(), of=f"{service}-{number}") for number in (1, 2)]
    failing = [e.ROUTE_SERVER_ERRORS.reading(3, real_now(), of=f"{service}-1 GET /payments")]
    more = [*started, *digests, *(failing if service == "payments" else [])]
    return [*shown, *({"name": each.name, "value": each.value, "unit": each.unit} for each in more)]


def _deliveries() -> list[dict[str, Any]]:
    rows = (
        ("stripe", "processed", None, 200),
        ("gocardless", "rejected", "no signature matches", 498),
        ("stripe", "processed", None, 200),
    )
    return [
        {
            "id": str(number),
            "provider": provider,
            "state": state,
            "refusal": refusal,
            "status_answered": status,
            "received_at": f"2026-11-25T09:0{number}:31Z",
        }
        for number, (provider, state, refusal, status) in enumerate(rows)
    ]
