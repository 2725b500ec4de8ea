"""Every example of the document is replayed: each operation is called in a world in which its example holds.

What only shows when a door stands before real services is tested in the same world: ids that reach the audit record,
keys and versions, free text.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

import pytest
import pytest_asyncio
from chassis.ids import new_id

from tests.gateway.replay import incidents, money, prepared
from tests.gateway.replay.calls import AT_THE_DOOR, BEFORE, GENERALLY, MAKERS, Call
from tests.gateway.replay.world import DATABASES, World, a_world
from tests.gateway.test_document import operations, problems_of, validator
from tests.support.eventually import eventually
from tests.support.infrastructure import Databases

PREPARED = (prepared, money, incidents)
WHERE = "tests/gateway/replay"


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(databases: Databases, kafka: str) -> AsyncIterator[World]:
    """All services once for all tests here: none of them minds what another has left."""
    database = await databases.create(await databases.template_for(DATABASES))
    async with a_world(database, kafka, f"examples-{new_id()}-") as made:
        yield made
    await databases.drop(database)


async def prepare(world: World, operation: str, declared: Mapping[str, Any], problem: str | None) -> Call:
    """The call that brings the success or the problem about. Raises LookupError, which says what to add."""
    method, _, path = operation.partition(" ")
    body = declared.get("requestBody", {}).get("content", {}).get("application/json", {}).get("example")
    call = Call(method, path, declared, json=body)
    names = [part[1:-1] for part in path.split("/") if part.startswith("{")]
    if problem in AT_THE_DOOR:
        call.names = dict.fromkeys(names, new_id())  # what is refused at the door need not exist
        await GENERALLY[problem](world, call)
        return call
    for name in names:
        if name not in MAKERS:
            raise LookupError(f"say in {WHERE} how a {name} is made: @makes({name!r})")
        await MAKERS[name](world, call)
    own = BEFORE.get((operation, problem))
    if problem is None or own is None:
        succeeding = BEFORE.get((operation, None))
        if succeeding is not None:
            await succeeding(world, call)
    if own is not None and problem is not None:
        await own(world, call)
    elif problem is not None:
        if problem not in GENERALLY:
            raise LookupError(f"say in {WHERE} when it is answered: @before({operation!r}, problem={problem!r})")
        await GENERALLY[problem](world, call)
    return call


def differences(declared: Mapping[str, Any], status: int, answer: Any) -> Iterator[str]:
    """How the answer of a success differs from what the document shows."""
    shown = {code: each for code, each in declared["responses"].items() if code.startswith("2")}
    if str(status) not in shown:
        yield f"answers {status}, not {' or '.join(shown)}: {answer}"
        return
    media = shown[str(status)]["content"]["application/json"]
    yield from (f"{each.json_path}: {each.message}" for each in validator(media["schema"]).iter_errors(answer))
    yield from _keys("$", media.get("example"), answer)


def _keys(place: str, shown: Any, answer: Any) -> Iterator[str]:
    if isinstance(shown, dict) and isinstance(answer, dict) and place.count(".") < 2:
        if shown.keys() != answer.keys():
            yield f"{place} has {sorted(answer)}, the example {sorted(shown)}"
        for key in shown.keys() & answer.keys():
            if key == "items" and shown[key] and answer[key]:
                yield from _keys(f"{place}.items", shown[key][0], answer[key][0])


async def replayed(world: World, operation: str, declared: Mapping[str, Any]) -> AsyncIterator[str]:
    """Replay all examples of one operation; yields what was not as the document says."""
    try:
        answer = await world.send(await prepare(world, operation, declared, None))
        for difference in differences(declared, answer.status_code, answer.json()):
            yield f"{operation}: {difference}"
    except Exception as error:  # a preparation that no longer fits is told with all the others
        yield f"{operation}: {type(error).__name__}: {error}"
    for problem in problems_of(declared):
        slug = problem["type"].rpartition("/")[2]
        try:
            answer = await world.send(await prepare(world, operation, declared, slug))
        except Exception as error:
            yield f"{operation}, {slug}: {type(error).__name__}: {error}"
            continue
        found = answer.json()
        if (answer.status_code, found.get("type")) != (problem["status"], problem["type"]):
            yield f"{operation}, {slug}: answers {answer.status_code} {found}"
        elif answer.headers["content-type"] != "application/problem+json":
            yield f"{operation}, {slug}: is {answer.headers['content-type']}"


async def test_every_example_is_what_the_services_really_answer(world: World) -> None:
    wrong = [each for operation, declared in operations() async for each in replayed(world, operation, declared)]
    assert not wrong, "\n".join(wrong)


async def test_ids_of_a_request_are_found_in_the_audit_record(world: World) -> None:
    request, trace = f"request-{new_id()}", "4bf92f3577b34da6a3ce929d0e0e4736"
    headers = {"X-Request-Id": request, "traceparent": f"00-{trace}-00f067aa0ba902b7-01"}
    task = await world.ask("POST", "/v1/tasks", json=prepared.ISLA, role="front_desk", headers=headers)

    async def records() -> Any:
        return (await world.ask("GET", f"/v1/audit/records?entity=task:{task['id']}"))["items"]

    (record,) = await eventually(records)
    event = (await world.ask("GET", f"/v1/audit/records/{record['seq']}"))["event"]
    assert event["correlationid"] == request
    assert event["traceparent"].split("-")[1] == trace
    assert record["actor"] == {"kind": "staff", "id": "front-desk", "name": "Front desk"}


async def test_a_key_makes_a_write_happen_once_through_the_door(world: World) -> None:
    door, key = world.gateways["door"], {"Idempotency-Key": new_id()}
    first, again = [await door.call("POST", "/v1/tasks", json=prepared.ISLA, headers=key) for _ in range(2)]
    other = await door.call("POST", "/v1/tasks", json=prepared.RECOVERY, headers=key)
    somebody = await door.call("POST", "/v1/tasks", json=prepared.ISLA, headers=key, role="billing")

    assert first.json() == again.json()
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    assert (other.status_code, other.json()["type"]) == (422, "/problems/idempotency-key-reused")
    assert somebody.json()["id"] != first.json()["id"], "a key is its caller's own"


async def test_versions_pass_the_door_both_ways(world: World) -> None:
    door = world.gateways["door"]
    task = (await door.call("POST", "/v1/tasks", json=prepared.ISLA)).json()
    read = await door.call("GET", f"/v1/tasks/{task['id']}")
    claim = f"/v1/tasks/{task['id']}/claim"

    assert read.headers["etag"] == '"1"'
    assert (await door.call("POST", claim)).status_code == 428
    assert (await door.call("POST", claim, headers={"If-Match": read.headers["etag"]})).headers["etag"] == '"2"'
    late: dict[str, Any] = {"json": {"comment": "Called"}, "headers": {"If-Match": read.headers["etag"]}}
    assert (await door.call("POST", f"/v1/tasks/{task['id']}/comment", **late)).status_code == 412


HOSTILE = {
    "too much": "x" * 1_048_000,
    "control characters": "Mark\x00\x1b[2J Stevens",
    "right-to-left": "Mark \u202esnevetS\u202c",
    "HTML": "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "a lone surrogate": "Mark \\ud800",
}


@pytest.mark.parametrize("text", HOSTILE)
async def test_text_from_outside_is_refused_or_comes_back_as_the_text_that_it_was(text: str, world: World) -> None:
    """In the name of a member, in a note and in the reason of a hold: nothing breaks, nothing is changed silently."""
    door, given = world.gateways["door"], HOSTILE[text]
    body = {"Content-Type": "application/json"}
    answers = [
        await door.call("PUT", f"/v1/members/isla-{new_id()}", content=f'{{"name":{quoted(given)}}}', headers=body),
        await door.call(
            "POST",
            "/v1/tasks",
            content=f'{{"kind":"trial_arrival","queue":"Front desk","fields":{{"member":"Isla Morgan"}},'
            f'"note":{quoted(given)}}}',
            headers=body,
        ),
        await door.call(
            "POST",
            "/v1/members/mark-stevens/holds",
            content=f'{{"kind":"dispute","reason":{quoted(given)},"starts_at":"2031-01-01T00:00:00Z"}}',
            headers=body,
        ),
    ]
    for answer in answers:
        assert answer.status_code in {200, 201, 400, 409, 413, 422}, answer.text
        if answer.is_success:
            shown = answer.json()
            assert given in {shown.get("name"), shown.get("note"), shown.get("reason")}
        else:
            assert answer.headers["content-type"] == "application/problem+json"


def quoted(text: str) -> str:
    """Text as JSON; what is no Unicode stays an escape."""
    return json.dumps(text).replace("\\\\ud800", "\\ud800")
