"""What has to be there before each operation is called: one short function each."""

from __future__ import annotations

from typing import Any

from chassis.ids import new_id

from tests.gateway.replay.calls import Call, before, makes
from tests.gateway.replay.world import World
from tests.support.eventually import eventually

TASK = "/v1/tasks/{task_id}"
ISLA = {"kind": "trial_arrival", "queue": "Front desk", "fields": {"member": "Isla Morgan"}}
RECOVERY = {"kind": "payment_recovery", "queue": "Billing", "fields": {"member": "Mark Stevens"}}
ELSEWHERE = {"owner": {"id": "coach-sarah", "name": "Coach Sarah"}}


# What names in a path stand for.


@makes("member_id")
async def a_member(world: World, call: Call) -> None:
    call.names["member_id"] = "mark-stevens"


@makes("payment_id")
async def a_payment(world: World, call: Call) -> None:
    call.names["payment_id"] = (await world.ask("GET", "/v1/payments"))["items"][0]["id"]


@makes("delivery_id")
async def a_delivery(world: World, call: Call) -> None:
    call.names["delivery_id"] = (await world.ask("GET", "/v1/deliveries"))["items"][0]["id"]


@makes("seq")
async def a_record(world: World, call: Call) -> None:
    call.names["seq"] = str((await records(world))[0]["seq"])


async def records(world: World, query: str = "") -> Any:
    """The newest records, once the audit log has come so far that there are any."""

    async def found() -> Any:
        return (await world.ask("GET", f"/v1/audit/records{query}"))["items"]

    return await eventually(found)


@before("POST /v1/audit/records/{seq}/review")
async def a_record_of_somebody_else(world: World, call: Call) -> None:
    call.names["seq"] = str((await records(world, "?actor=stripe"))[0]["seq"])


@before("POST /v1/audit/records/{seq}/review", problem="own-action")
async def a_record_of_ones_own(world: World, call: Call) -> None:
    await world.ask("POST", "/v1/tasks", json=ISLA)
    call.names["seq"] = str((await records(world, "?actor=owner"))[0]["seq"])


@makes("item_id")
async def an_item(world: World, call: Call) -> None:
    lanes = (await world.ask("GET", "/v1/board"))["lanes"]
    call.names["item_id"] = next(item["id"] for lane in lanes for item in lane["items"])


@makes("dead_letter_id")
async def a_dead_letter(world: World, call: Call) -> None:
    """A message that its consumer cannot read; without consumers, one that nobody handles any more."""
    service = call.declared["x-service"]
    runtime = world.services[service].runtime
    retriers = runtime.service.retriers
    consumer = next(iter(retriers(runtime)), "nobody") if retriers is not None else "nobody"
    call.names["dead_letter_id"] = await set_aside(world, service, consumer)


async def set_aside(world: World, service: str, consumer: str) -> str:
    identity = new_id()
    await world.execute(
        f"INSERT INTO {service.replace('-', '_')}.dead_letters"
        " (id, owner, consumer, pointer, reason_class, reason, message, topic, partition, record_offset)"
        " VALUES ($1, $2, $3, 'tasks-events/0/1', 'unreadable', 'no event', 'half an event', 'tasks-events', 0, 1)",
        identity,
        service,
        consumer,
    )
    return identity


@makes("task_id")
async def a_task(world: World, call: Call) -> None:
    fits_example = "outcome" in str(call.declared) or call.path.endswith("/complete")
    await of_a_task(world, call, RECOVERY if fits_example else ISLA)


async def of_a_task(world: World, call: Call, given: dict[str, Any]) -> None:
    """Call it on a new task."""
    seen(call, await world.ask("POST", "/v1/tasks", json=given))


def seen(call: Call, task: dict[str, Any]) -> None:
    call.names["task_id"] = task["id"]
    call.expects(task["version"])


async def moved(world: World, call: Call, *moves: tuple[str, Any]) -> None:
    """Take the task through further moves first."""
    for verb, given in moves:
        path = f"/v1/tasks/{call.names['task_id']}/{verb}"
        seen(call, await world.ask("POST", path, json=given, headers={"If-Match": call.headers["If-Match"]}))


# Tasks: states in which an operation succeeds, or is refused.


@before(f"POST {TASK}/release", f"POST {TASK}/start")
async def claimed(world: World, call: Call) -> None:
    await moved(world, call, ("claim", None))


@before(f"POST {TASK}/unblock")
async def blocked(world: World, call: Call) -> None:
    await moved(world, call, ("block", {"code": "waiting_for_member"}))


@before(f"POST {TASK}/reopen")
async def completed(world: World, call: Call) -> None:
    await of_a_task(world, call, RECOVERY)
    await moved(world, call, ("complete", {"code": "paid_otherwise"}))


@before(
    *(f"POST {TASK}/{verb}" for verb in ("assign", "block", "claim", "release", "set-due", "set-priority", "unblock")),
    *(f"POST {TASK}/{verb}" for verb in ("cancel", "complete", "start")),
    problem="already-ended",
)
async def ended(world: World, call: Call) -> None:
    await of_a_task(world, call, RECOVERY)
    if call.path.endswith("/cancel"):
        await moved(world, call, ("complete", {"code": "paid_otherwise"}))
    else:
        await moved(world, call, ("cancel", {"reason": "Not needed any more"}))


@before(f"POST {TASK}/claim", f"POST {TASK}/start", problem="already-claimed")
async def of_somebody_else(world: World, call: Call) -> None:
    await moved(world, call, ("assign", ELSEWHERE))


@before(f"POST {TASK}/release", problem="not-owner")
async def of_somebody_else_too(world: World, call: Call) -> None:
    await moved(world, call, ("assign", ELSEWHERE))


@before(f"POST {TASK}/start", problem="task-blocked")
async def claimed_and_blocked(world: World, call: Call) -> None:
    await moved(world, call, ("claim", None), ("block", {"code": "waiting_for_member"}))


@before(f"POST {TASK}/complete", problem="outcome-forbidden")
async def of_a_member_on_hold(world: World, call: Call) -> None:
    await of_a_task(world, call, RECOVERY)
    await moved(world, call, ("block", {"code": "medical_hold"}))
    call.json = {"code": "retry_now"}


@before(f"POST {TASK}/reopen", problem="still-open")
async def completed_and_asked_for_again(world: World, call: Call) -> None:
    again = {**RECOVERY, "dedupe_key": f"payment_recovery:{new_id()}"}
    await of_a_task(world, call, again)
    await moved(world, call, ("complete", {"code": "paid_otherwise"}))
    await world.ask("POST", "/v1/tasks", json=again)


@before(f"POST {TASK}/reopen", problem="too-late-to-reopen")
async def completed_long_ago(world: World, call: Call) -> None:
    await completed(world, call)
    await world.execute(
        "UPDATE tasks.operational_tasks SET state_since = state_since - interval '90 days' WHERE id = $1",
        call.names["task_id"],
    )


@before(f"POST {TASK}/block", problem="unknown-block")
async def blocked_for_no_known_reason(world: World, call: Call) -> None:
    call.json = {"code": "bad_weather"}


@before("POST /v1/tasks", problem="unknown-block")
async def opened_blocked_for_no_known_reason(world: World, call: Call) -> None:
    call.json = {**call.json, "blocked": {"code": "bad_weather"}}


@before(f"GET {TASK}", problem="invalid")
async def of_no_task_at_all(world: World, call: Call) -> None:
    call.names["task_id"] = "mark-stevens"


# What every service has.

EVERY = tuple(f"/v1/services/{name}" for name in ("payments", "provider-health", "tasks", "audit"))


@before(*(f"POST {each}/dead-letters/{{dead_letter_id}}/retry" for each in EVERY), problem="nobody-retries")
async def of_a_consumer_that_is_gone(world: World, call: Call) -> None:
    call.names["dead_letter_id"] = await set_aside(world, call.declared["x-service"], "gone")


@before(*(f"POST {each}/outbox/parked/release" for each in EVERY))
async def parked(world: World, call: Call) -> None:
    schema = call.declared["x-service"].replace("-", "_")
    call.json = {"topic": "tasks-events", "key": new_id()}
    await world.execute(
        f"INSERT INTO {schema}.outbox_parked_keys (topic, key, event_id, reason) VALUES ($1, $2, $3, 'too large')",
        call.json["topic"],
        call.json["key"],
        new_id(),
    )


@before(*(f"POST {each}/outbox/parked/release" for each in EVERY), problem="not-found")
async def not_parked(world: World, call: Call) -> None:
    call.json = {"topic": "tasks-events", "key": new_id()}
