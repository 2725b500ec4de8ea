"""A write that is sent again: done once, answered as before; and a writer who has not seen the newest version."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from chassis.idempotency_pruner import KeyPruner
from chassis.telemetry import logs
from chassis.web import WebState, application, documents
from contracts.envelope import Actor
from contracts.events import MemberUpdated
from fastapi import APIRouter

from tests.chassis.counters_service import READ, WRITE, Counting, counting
from tests.chassis.notes_service import is_problem, settings_for
from tests.support import specimen
from tests.support.infrastructure import TemporaryDatabase

SARAH = Actor(kind="staff", id="staff-sarah", name="Coach Sarah")


@pytest.fixture
async def counters(fresh_database: TemporaryDatabase) -> AsyncIterator[Counting]:
    logs.configure("specimen", None, "info", io.StringIO())
    async with counting(fresh_database) as made:
        yield made


async def test_the_same_key_and_request_is_done_once_and_answered_as_before(counters: Counting) -> None:
    first = await counters.add(2, key="a-key")
    again = [await counters.add(2, key="a-key") for _ in range(3)]

    assert first.status_code == 201
    assert {(each.status_code, each.content, each.headers["etag"]) for each in again} == {
        (201, first.content, first.headers["etag"])
    }
    assert {each.headers["content-type"] for each in (first, *again)} == {"application/json"}
    assert "idempotency-replayed" not in first.headers
    assert {each.headers["idempotency-replayed"] for each in again} == {"true"}
    assert {each.headers["x-request-id"] for each in again} != {first.headers["x-request-id"]}
    assert (await counters.amounts(), await counters.events()) == ([2], 1)


async def test_without_a_key_each_request_is_its_own(counters: Counting) -> None:
    await counters.add(2)
    await counters.add(2)

    assert await counters.amounts() == [2, 2]


async def test_the_same_key_with_another_request_is_refused(counters: Counting) -> None:
    await counters.add(2, key="a-key")

    is_problem(await counters.add(3, key="a-key"), 422, "idempotency-key-reused")
    assert await counters.amounts() == [2]


async def test_a_key_belongs_to_its_caller_and_to_one_path(counters: Counting) -> None:
    await counters.add(1, key="a-key")
    await counters.add(2, key="a-key", by=SARAH)
    await counters.add(3, key="a-key", name="Alessandro")

    assert await counters.amounts() == [1, 2, 3]


async def test_while_the_first_is_worked_on_the_second_is_told_so_at_once(counters: Counting) -> None:
    counters.behaviour.waits = True
    first = asyncio.create_task(counters.add(2, key="a-key"))
    await counters.behaviour.entered.wait()

    refused = [await counters.add(2, key="a-key"), await counters.add(3, key="a-key")]
    counters.behaviour.go.set()
    answer = await first
    again = await counters.add(2, key="a-key")

    for each in refused:
        is_problem(each, 409, "idempotency-key-in-flight")
        assert each.headers["retry-after"] == "1"
    assert (answer.status_code, again.content) == (201, answer.content)
    assert await counters.amounts() == [2]


async def test_of_many_at_once_one_is_done(counters: Counting) -> None:
    answers = await asyncio.gather(*(counters.add(2, key="a-key") for _ in range(20)))

    assert {each.status_code for each in answers} <= {201, 409}
    assert len({each.content for each in answers if each.status_code == 201}) == 1
    assert (await counters.amounts(), await counters.events()) == ([2], 1)


async def test_after_a_crash_in_the_middle_the_same_request_is_done_once(counters: Counting) -> None:
    """PostgreSQL loses the connection after the effect and before the answer, as when the process is killed."""
    counters.behaviour.crashes = 1

    is_problem(await counters.add(2, key="a-key"), 503, "unavailable")
    assert await counters.amounts() == []
    answers = [await counters.add(2, key="a-key") for _ in range(2)]

    assert [each.status_code for each in answers] == [201, 201]
    assert answers[0].content == answers[1].content
    assert (await counters.amounts(), await counters.events()) == ([2], 1)


async def test_a_request_that_was_given_up_leaves_its_key_free(counters: Counting) -> None:
    counters.behaviour.waits = True
    given_up = asyncio.create_task(counters.add(2, key="a-key"))
    await counters.behaviour.entered.wait()
    given_up.cancel()
    await asyncio.gather(given_up, return_exceptions=True)
    counters.behaviour.waits = False

    assert (await counters.add(2, key="a-key")).status_code == 201
    assert await counters.amounts() == [2]


async def test_what_was_refused_changed_nothing_and_is_not_kept(counters: Counting) -> None:
    is_problem(await counters.add(100, key="a-key"), 409, "conflict")
    is_problem(await counters.add(100, key="a-key"), 409, "conflict")

    assert (await counters.add(5, key="a-key")).status_code == 201
    assert await counters.amounts() == [5]


async def test_who_may_not_write_learns_nothing_from_a_key(counters: Counting) -> None:
    await counters.add(2, key="a-key")

    headers = counters.signer.headers(READ) | {"Idempotency-Key": "a-key"}
    answer = await counters.http.post("/counters/Emma/add", json={"amount": 2}, headers=headers)

    is_problem(answer, 403, "missing-scope")


@pytest.mark.parametrize("key", ["", "two words", "x" * 256, "é", "tab\tbed"])
async def test_a_key_has_a_form_and_a_length(counters: Counting, key: str) -> None:
    headers = {**counters.signer.headers(WRITE), "Idempotency-Key": key.encode()}
    answer = await counters.http.post("/counters/Emma/add", json={"amount": 2}, headers=headers)  # type: ignore[arg-type]

    is_problem(answer, 400, "bad-request")
    assert await counters.amounts() == []


async def test_an_answer_too_large_to_be_kept_is_refused_and_undone(counters: Counting) -> None:
    counters.behaviour.answer_bytes = 262_144

    is_problem(await counters.add(2, key="a-key"), 422, "answer-too-large")
    assert await counters.amounts() == []
    assert (await counters.add(2)).status_code == 201


async def test_a_key_is_forgotten_after_its_time_and_not_before(counters: Counting) -> None:
    pruner = KeyPruner(counters.database, retention_hours=24)
    await counters.add(1, key="old")
    await counters.age_keys(timedelta(hours=25))
    await counters.add(2, key="young")

    assert await pruner.step() == 0
    assert await counters.count("specimen.idempotency_keys") == 1
    assert (await counters.add(2, key="young")).headers["idempotency-replayed"] == "true"


@pytest.mark.parametrize(
    ("given", "status", "slug"),
    [
        (None, 428, "precondition-required"),
        ('"2"', 412, "precondition-failed"),
        ('"4"', 412, "precondition-failed"),
        ("3", 400, "bad-request"),
        ("*", 400, "bad-request"),
        ('W/"3"', 400, "bad-request"),
        ('"3", "4"', 400, "bad-request"),
        (f'"{"9" * 30}"', 400, "bad-request"),
    ],
)
async def test_a_writer_says_which_version_it_has_read(
    counters: Counting, given: str | None, status: int, slug: str
) -> None:
    content = is_problem(await counters.set(given), status, slug)

    if status == 412:
        assert (content["version"], content["kind"], content["id"]) == (3, "counter", "Emma")


async def test_an_answer_is_tagged_with_its_version(counters: Counting) -> None:
    answer = await counters.set('"3"')

    assert (answer.status_code, answer.headers["etag"]) == (200, '"4"')


async def test_openapi_says_how_an_operation_repeats_pages_and_fails(counters: Counting) -> None:
    paths = (await counters.http.get("/openapi.json")).json()["paths"]
    add, put, listed = paths["/counters/{name}/add"]["post"], paths["/counters/{name}/set"]["post"], paths["/counters"]

    assert (add["x-idempotency"], add["x-pagination"], add["x-if-match"]) == ("key", "none", "none")
    assert put["x-if-match"] == "required"
    assert (listed["get"]["x-idempotency"], listed["get"]["x-pagination"]) == ("natural", "keyset")
    assert "Idempotency-Key" in {each["name"] for each in add["parameters"]}
    assert add["requestBody"]["content"]["application/json"]["example"] == {"amount": 2}
    example = add["responses"]["201"]["content"]["application/json"]
    assert example["example"] == {"name": "Emma", "amount": 2, "version": 2}
    assert "$ref" in example["schema"]
    conflict = add["responses"]["409"]["content"]["application/problem+json"]["examples"]["conflict"]["value"]
    assert (conflict["type"], conflict["detail"], conflict["status"]) == ("/problems/conflict", "Too much.", 409)
    missing = add["responses"]["404"]["content"]["application/problem+json"]["examples"]["not-found"]["value"]
    assert missing["kind"] == "counter"


def test_a_service_without_the_table_cannot_promise_keys() -> None:
    router = APIRouter()

    @router.post("/things", **documents(scope=WRITE, audit=MemberUpdated, idempotency="key"))
    async def add_thing() -> None: ...

    url = "postgresql://specimen:none@127.0.0.1:1/none"
    state = WebState(specimen.opened(url), specimen.Signer().verifier, settings_for(url))
    with pytest.raises(ValueError, match="/things promises to honour Idempotency-Key"):
        application("specimen", routers=[router], state=state)
