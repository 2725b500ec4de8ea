"""People who work with tasks, for the tests: they call the service, each under their own name."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import httpx
from chassis import tokens
from chassis.clock import write_offset
from chassis.ids import new_id
from contracts.envelope import Actor, Entity, Event, Payload, Workflow
from contracts.events import (
    MemberHoldEnded,
    OperationalTaskRequested,
    OperationalTaskSettled,
    OperationalTaskUpdated,
    TaskBlocked,
    TaskSource,
)
from contracts.examples import EXAMPLES
from contracts.registry import type_of
from contracts.roles import ROLES
from contracts.topics import TASKS_EVENTS
from tasks.settings import TasksSettings

from tests.support.eventually import eventually
from tests.support.services import PRIVATE_KEY, RunningService

MARIA: Final = Actor(kind="staff", id="maria-rossi", name="Maria Rossi")
DESK: Final = Actor(kind="staff", id="front-desk", name="Front desk")
SARAH: Final = Actor(kind="staff", id="coach-sarah", name="Coach Sarah")
PAYMENTS: Final = Actor(kind="system", id="payments", name="Payments")
ROTA: Final = '{"Billing": {"id": "maria-rossi", "name": "Maria Rossi"}}'
ISLA: Final = {"kind": "trial_arrival", "queue": "Front desk", "fields": {"member": "Isla Morgan"}}
HOLD: Final = "0198c2f4-7d1e-7c35-9a51-6f0e4b8d2a20"


@dataclass(frozen=True, slots=True)
class Desk:
    """The running service and its callers."""

    service: RunningService[TasksSettings]
    clock_file: Path

    async def call(self, method: str, path: str, *, by: Actor = MARIA, **given: Any) -> httpx.Response:
        token = tokens.mint(PRIVATE_KEY, audience="tasks", actor=by, scopes=ROLES["front_desk"])
        headers = {"Authorization": f"Bearer {token}", **given.pop("headers", {})}
        return await self.service.client.request(method, path, headers=headers, **given)

    async def get(self, path: str, **parameters: Any) -> Any:
        answer = await self.call("GET", path, params=parameters)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def ids(self, **filters: Any) -> list[str]:
        """The ids of the tasks that a list shows."""
        return [item["id"] for item in (await self.get("/tasks", **filters))["items"]]

    async def opened(self, *, by: Actor = MARIA, **given: Any) -> dict[str, Any]:
        """A task that was opened by hand: Isla Morgan's, unless something else is said."""
        answer = await self.call("POST", "/tasks", by=by, json={**ISLA, **given})
        assert answer.status_code == 201, answer.text
        content: dict[str, Any] = answer.json()
        return content

    async def tries(
        self,
        task: dict[str, Any],
        verb: str,
        body: dict[str, Any] | None = None,
        *,
        by: Actor = MARIA,
        version: int | None = None,
        key: str | None = None,
    ) -> httpx.Response:
        """One transition, with the version that `task` has unless another is said."""
        headers = {"If-Match": f'"{version or task["version"]}"'} | ({"Idempotency-Key": key} if key else {})
        return await self.call("POST", f"/tasks/{task['id']}/{verb}", by=by, json=body, headers=headers)

    async def does(
        self, task: dict[str, Any], verb: str, body: dict[str, Any] | None = None, *, by: Actor = MARIA
    ) -> dict[str, Any]:
        """One transition that succeeds."""
        answer = await self.tries(task, verb, body, by=by)
        assert answer.status_code == 200, answer.text
        content: dict[str, Any] = answer.json()
        assert answer.headers["etag"] == f'"{content["version"]}"'
        return content

    async def told(self) -> list[tuple[str, str, str]]:
        """Who did what to which task, as it was published, in the order of each task's versions.

        An event that stands on the topic twice under its one id was delivered twice, which delivery may do.
        """
        events = {event.id: event for event in await self.service.emitted(TASKS_EVENTS, OperationalTaskUpdated)}
        return [
            (event.data.actor.name, event.data.body["change"], event.data.body["task"]["title"])
            for event in sorted(events.values(), key=lambda event: (event.subject, event.data.body["task"]["version"]))
        ]

    async def passes(self, time: timedelta) -> None:
        """Let business time run ahead of real time by `time`, and wait until the service knows."""
        write_offset(self.clock_file, time)
        await eventually(lambda: self.service.runtime.clock.offset, lambda offset: offset == time)


def _event(payload: type[Payload], body: Payload, entity: Entity, actor: Actor) -> Event[Payload]:
    (example,) = [each for each in EXAMPLES if each.type == type_of(payload).name][:1]
    data = example.data.model_copy(update={"body": body, "entity": entity, "actor": actor, "reason": None})
    return example.model_copy(
        update={
            "id": new_id(),
            "subject": entity.id,
            "partitionkey": entity.id,
            "correlationid": new_id(),
            "data": data,
        }
    )


def a_request(
    payment: str = "pay-1",
    *,
    queue: str = "Billing",
    kind: str = "payment_recovery",
    held: str | None = None,
    **more: Any,
) -> Event[Payload]:
    """What payments asks for when the collection of Mark Stevens' payment needs a person."""
    key = f"payment_recovery:{payment}"
    blocked = None if held is None else TaskBlocked(code="medical_hold", unblocked_by=f"member_hold:{held}")
    body = OperationalTaskRequested(
        dedupe_key=key,
        kind=kind,
        fields={"member": "Mark Stevens", "member_id": "mark-stevens"},
        queue=queue,
        source=TaskSource(
            workflow=Workflow(name="payment_collection", id=payment), entity=Entity(type="payment", id=payment)
        ),
        blocked=blocked,
        gates=("payment-rails",),
        **more,
    )
    return _event(OperationalTaskRequested, body, Entity(type="task_request", id=key), PAYMENTS)


def a_hold_that_ended(hold: str = HOLD) -> Event[Payload]:
    """Mark Stevens' medical hold is over."""
    (example,) = [each for each in EXAMPLES if each.type == type_of(MemberHoldEnded).name][:1]
    body = example.data.body.model_copy(update={"condition": f"member_hold:{hold}"})
    return _event(MemberHoldEnded, body, Entity(type="member_hold", id=hold), MARIA)


def a_settlement(payment: str = "pay-1", *, outcome: str = "matched") -> Event[Payload]:
    """What payments says when the matter of a task has come right by itself."""
    key = f"payment_recovery:{payment}"
    body = OperationalTaskSettled(dedupe_key=key, outcome=outcome)
    return _event(OperationalTaskSettled, body, Entity(type="task_request", id=key), PAYMENTS)
