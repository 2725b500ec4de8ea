"""Preparations of provider-health's operations: incidents in each state, pauses, maintenance windows."""

from __future__ import annotations

from typing import Any

from chassis.ids import new_id

from tests.gateway.replay.calls import Call, before, makes
from tests.gateway.replay.world import World

INCIDENT, PAUSE = "/v1/incidents/{incident_id}", "/v1/pauses/{pause_id}"
BODIES: dict[str, Any] = {
    "acknowledge": {"note": "Looked at"},
    "mitigate": {"action": "Collection is paused"},
    "resolve": {"note": "It answers again"},
    "review": {"decision": "Nothing was lost"},
}
GATHER_NO_MORE = "UPDATE provider_health.provider_incidents SET gathers = false, version = version + 1 WHERE gathers"
SEVERE = """
    UPDATE provider_health.provider_incidents SET severity = 1, prevention_task_id = $2, version = version + 1
    WHERE id = $1
"""
NOBODYS = """
    INSERT INTO provider_health.prevention_tasks (task_id, incident_id, due, version)
    VALUES ('task_1', $1, '2026-12-10', 1)
"""
WAY = ("acknowledge", "mitigate", "resolve", "review")


@makes("provider")
async def a_provider(world: World, call: Call) -> None:
    call.names["provider"] = "stripe"


async def opened(world: World) -> dict[str, Any]:
    """An incident of its own: those before it gather no more."""
    await world.execute(GATHER_NO_MORE)
    given = {"title": "Members see the wrong balance", "provider": "members-api", "severity": 3}
    incident: dict[str, Any] = await world.ask("POST", "/v1/incidents", json=given)
    return incident


@makes("incident_id")
async def an_incident(world: World, call: Call) -> None:
    seen(call, await opened(world))


def seen(call: Call, incident: dict[str, Any]) -> None:
    call.names["incident_id"] = incident["id"]
    call.expects(incident["version"])


async def taken(world: World, call: Call, *verbs: str) -> None:
    """Take the incident through these steps first."""
    for verb in verbs:
        path = f"/v1/incidents/{call.names['incident_id']}/{verb}"
        seen(call, await world.ask("POST", path, json=BODIES[verb], headers={"If-Match": call.headers["If-Match"]}))


@before(*(f"POST {INCIDENT}/{verb}" for verb in WAY[1:]))
async def where_the_step_before_has_led(world: World, call: Call) -> None:
    await taken(world, call, *WAY[: WAY.index(call.path.rpartition("/")[2])])


@before(
    *(f"POST {INCIDENT}/{verb}" for verb in (*WAY, "note", "assign", "escalate")),
    problem="incident-wrong-state",
)
async def reviewed(world: World, call: Call) -> None:
    await taken(world, call, *WAY)


@before(f"POST {INCIDENT}/review", problem="prevention-task-missing")
async def severe_and_resolved(world: World, call: Call) -> None:
    """Made severe behind the service's back: nobody is asked for the task, which would be there soon."""
    await taken(world, call, *WAY[:3])
    await world.execute(SEVERE, call.names["incident_id"], None)
    call.expects(int(call.headers["If-Match"].strip('"')) + 1)


@before(f"POST {INCIDENT}/review", problem="prevention-task-unassured")
async def with_a_task_that_is_nobodys(world: World, call: Call) -> None:
    await taken(world, call, *WAY[:3])
    await world.execute(SEVERE, call.names["incident_id"], "task_1")
    await world.execute(NOBODYS, call.names["incident_id"])
    call.expects(int(call.headers["If-Match"].strip('"')) + 1)


@before("POST /v1/incidents")
async def none_open(world: World, call: Call) -> None:
    await world.execute(GATHER_NO_MORE)


@before("POST /v1/incidents", problem="incident-already-open")
async def one_open(world: World, call: Call) -> None:
    await none_open(world, call)
    await world.ask("POST", "/v1/incidents", json=call.json)


@makes("pause_id")
async def a_pause(world: World, call: Call) -> None:
    scope = {"account": new_id(), "action": "collection"}
    given = {"scope": scope, "reason": "It does not answer", "expires_in_minutes": 60}
    pause = await world.ask("POST", "/v1/pauses", json=given)
    call.names["pause_id"] = pause["id"]
    call.expects(pause["version"])


@before(f"POST {PAUSE}/extend", f"POST {PAUSE}/release", problem="pause-over")
async def released(world: World, call: Call) -> None:
    path = f"/v1/pauses/{call.names['pause_id']}/release"
    headers = {"If-Match": call.headers["If-Match"]}
    after = await world.ask("POST", path, json={"reason": "It answers again"}, headers=headers)
    call.expects(after["version"])


@before("POST /v1/pauses")
async def of_another_account(world: World, call: Call) -> None:
    call.json = {**call.json, "scope": {**call.json["scope"], "account": new_id()}}


@before("POST /v1/pauses", problem="already-paused")
async def paused_already(world: World, call: Call) -> None:
    await of_another_account(world, call)
    await world.ask("POST", "/v1/pauses", json=call.json)


@before("POST /v1/pauses", problem="not-found")
async def of_an_incident_that_is_not_there(world: World, call: Call) -> None:
    await of_another_account(world, call)
    call.json["incident_id"] = new_id()


@makes("window_id")
async def a_window(world: World, call: Call) -> None:
    given = {"provider": "gocardless", "lasts_minutes": 120, "reason": "They announced it"}
    window = await world.ask("POST", "/v1/maintenance-windows", json=given)
    call.names["window_id"] = window["id"]
    call.expects(window["version"])


@before("POST /v1/maintenance-windows/{window_id}/end", problem="maintenance-over")
async def ended(world: World, call: Call) -> None:
    path = f"/v1/maintenance-windows/{call.names['window_id']}/end"
    headers = {"If-Match": call.headers["If-Match"]}
    window = await world.ask("POST", path, json={"reason": "They were quick"}, headers=headers)
    call.expects(window["version"])
