"""Every example of the document is replayed: each operation is called in a world in which its example holds.

What only shows when a door stands before real services is tested in the same world: ids that reach the audit record,
keys and versions, free text.
"""

from __future__ import annotations

import copy
import json
from collections.abc import AsyncIterator, Iterator, Mapping
from itertools import pairwise
from typing import Any

import pytest
import pytest_asyncio
from chassis.ids import new_id
from chassis.web.problems import MEDIA_TYPE

from tests.gateway.replay import books, incidents, money, prepared, staff
from tests.gateway.replay.calls import AT_THE_DOOR, BEFORE, GENERALLY, MAKERS, Call
from tests.gateway.replay.world import DATABASES, World, a_world
from tests.gateway.test_document import DOCUMENT, operations, problems_of, validator
from tests.support.eventually import eventually
from tests.support.infrastructure import Databases

PREPARED = (prepared, money, books, staff, incidents)
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


async def test_a_token_for_one_service_opens_no_other(world: World) -> None:
    paths = {"payments": "/payments", "provider-health": "/incidents", "tasks": "/tasks", "audit": "/records"}
    for name, path in paths.items():
        for other, service in world.services.items():
            headers = {"Authorization": f"Bearer {service.token()}"}
            answer = await world.services[name].client.get(path, headers=headers)
            assert answer.status_code == (200 if other == name else 401), (name, other, answer.text)


HOSTILE = {
    "too much": json.dumps("x" * 1_048_000),
    "control characters": json.dumps("Mark\x00\x1b[2J Stevens"),
    "right-to-left": json.dumps("Mark \u202esnevetS\u202c"),
    "HTML": json.dumps("<script>alert(1)</script><img src=x onerror=alert(1)>"),
    "a lone surrogate": '"Mark \\ud800"',
}
"""Text as JSON; what is no Unicode stays an escape."""
NEVER_TAKEN = frozenset({"too much", "control characters", "a lone surrogate"})
OF_A_FORM = frozenset({"enum", "const", "format"})
PLACE = "here it stands"


def free_texts(schema: Mapping[str, Any], example: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The places in a body that take text of any kind, inside what the example has, and at its top."""
    if "$ref" in schema:
        schema = DOCUMENT["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    for each in schema.get("anyOf", ()):
        yield from free_texts(each, example, path)
    kind = schema.get("type")
    if kind == "string" and not OF_A_FORM & schema.keys() and "^[^" in schema.get("pattern", "^[^"):
        yield path  # a pattern that only says what may not be in it leaves the text free
    elif kind == "array" and (example or len(path) < 2):
        yield from free_texts(schema["items"], (example or [None])[0], (*path, 0))
    elif kind == "object" and (isinstance(example, dict) or not path):
        known = schema.get("properties", {})
        for name, each in known.items():
            yield from free_texts(each, (example or {}).get(name), (*path, name))
        if isinstance(schema.get("additionalProperties"), dict):
            yield from free_texts(schema["additionalProperties"], None, (*path, next(iter(example or {}), "member")))


def with_text(body: Any, path: tuple[Any, ...], text: str) -> str:
    """The body as JSON, with this text at that place."""
    changed = copy.deepcopy(body)
    inner = changed
    for step, following in pairwise(path):
        if isinstance(step, str):
            inner = inner.setdefault(step, [] if isinstance(following, int) else {})
        else:
            inner = inner[step]
    if isinstance(path[-1], int) and not inner:
        inner.append(PLACE)
    inner[path[-1]] = PLACE
    return json.dumps(changed).replace(json.dumps(PLACE), text)


def changed_silently(answer: Any, given: str) -> bool:
    """Whether the answer holds the text in another form than it was given."""
    plain = "".join(each for each in given if each.isalnum())
    found = [each for each in strings(answer) if plain in "".join(letter for letter in each if letter.isalnum())]
    return any(given not in each for each in found)


def strings(found: Any) -> Iterator[str]:
    """Every text in an answer."""
    if isinstance(found, str):
        yield found
    elif isinstance(found, dict | list):
        for each in found.values() if isinstance(found, dict) else found:
            yield from strings(each)


async def told_texts(world: World, operation: str, declared: Mapping[str, Any]) -> AsyncIterator[str]:
    """Put each text into every free field of one operation, one after the other; yields what goes wrong."""
    media = declared["requestBody"]["content"]["application/json"]
    prepared_call: Call | None = None
    for path in sorted(set(free_texts(media["schema"], media.get("example"))), key=str):
        for name, text in HOSTILE.items():
            # What was refused has changed nothing, so the same call can be made again.
            call = prepared_call or await prepare(world, operation, declared, None)
            prepared_call = call
            call.content = with_text(media["example"], path, text).encode()
            call.json, call.headers["Content-Type"] = None, "application/json"
            answer = await world.send(call)
            if answer.is_success:
                prepared_call = None
                right = name not in NEVER_TAKEN and not changed_silently(answer.json(), json.loads(text))
            else:
                right = 400 <= answer.status_code < 500 and answer.headers["content-type"] == MEDIA_TYPE
            if not right:
                place = ".".join(map(str, path))
                yield f"{operation}, {name} as {place}: answers {answer.status_code} {answer.text[:200]}"


async def test_text_from_outside_is_refused_or_is_text_and_nothing_else(world: World) -> None:
    """In every free field of every write, whichever there are: nothing breaks, and nothing is changed silently."""
    writes = [each for each in operations() if "application/json" in each[1].get("requestBody", {}).get("content", {})]
    assert len(writes) > 20
    wrong = [each for operation, declared in writes async for each in told_texts(world, operation, declared)]
    assert not wrong, "\n".join(wrong)
