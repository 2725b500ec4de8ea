"""Every example of the document is replayed: each operation is called in a world in which its example holds."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from typing import Any

import pytest
from chassis.ids import new_id

from tests.gateway.replay import incidents, money, prepared
from tests.gateway.replay.calls import AT_THE_DOOR, BEFORE, GENERALLY, MAKERS, Call
from tests.gateway.replay.world import DATABASES, World, a_world
from tests.gateway.test_document import operations, problems_of, validator
from tests.support.infrastructure import TemporaryDatabase

PREPARED = (prepared, money, incidents)
WHERE = "tests/gateway/replay"


@pytest.fixture
async def world(
    database_for: Callable[..., Awaitable[TemporaryDatabase]], kafka: str, topic_prefix: str
) -> AsyncIterator[World]:
    async with a_world(await database_for(*DATABASES), kafka, topic_prefix) as made:
        yield made


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
