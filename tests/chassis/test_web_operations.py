"""An endpoint of a service: who may call it, what it commits, and what the caller hears when that fails."""

from __future__ import annotations

import io
import random
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from chassis.telemetry import logs
from chassis.web import WebState, application, documents
from fastapi import APIRouter

from tests.chassis.notes_service import READ, WRITE, World, is_problem, notes, settings_for
from tests.support import specimen
from tests.support.infrastructure import TemporaryDatabase

INCOMPRESSIBLE = random.Random(1).randbytes(9_000).hex().encode()


@pytest.fixture
async def world(fresh_database: TemporaryDatabase) -> AsyncIterator[World]:
    logs.configure("specimen", None, "info", io.StringIO())
    await specimen.make(fresh_database)
    url = fresh_database.url_for("specimen")
    database, signer = specimen.opened(url), specimen.Signer()
    state = WebState(
        database, signer.verifier, settings_for(url, body_max_bytes="4000000", request_timeout_seconds="5")
    )
    app = application("specimen", routers=[notes()], state=state)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://specimen") as http:
        yield World(app, http, signer, state)
    await database.close()


async def test_a_change_and_its_event_are_committed_before_the_answer(world: World) -> None:
    seen: list[list[str]] = []

    async def watching(scope: Any, receive: Any, send: Any) -> None:
        async def look(message: Any) -> None:
            if message["type"] == "http.response.start":
                seen.append(await world.names())
            await send(message)

        await world.app(scope, receive, look)

    async with httpx.AsyncClient(transport=httpx.ASGITransport(watching), base_url="http://specimen") as http:
        answer = await http.put("/notes", json={"name": "Isla Morgan"}, headers=world.signer.headers(WRITE))

    assert answer.status_code == 200
    assert seen == [["Isla Morgan"]]
    assert len(await world.events()) == 1


async def test_an_event_says_who_acted_and_which_request_and_trace_it_came_from(world: World) -> None:
    trace = "0af7651916cd43dd8448eb211c80319c"
    headers = {"X-Request-Id": "request-from-the-gateway", "traceparent": f"00-{trace}-b7ad6b7169203331-01"}

    answer = await world.call("PUT", "/notes", json={"name": "Emma"}, headers=headers)

    (event,) = await world.events()
    assert answer.headers["x-request-id"] == "request-from-the-gateway"
    assert event["data"]["actor"] == {"kind": "staff", "id": "staff-maria", "name": "Maria Rossi"}
    assert event["correlationid"] == "request-from-the-gateway"
    assert event["traceparent"].startswith(f"00-{trace}-")
    assert event["traceparent"].endswith("-01")
    assert "b7ad6b7169203331" not in event["traceparent"], "our own span, not the caller's"


async def test_a_commit_that_fails_is_never_a_success(world: World) -> None:
    """The unique constraint is deferred: only COMMIT finds the second note of that name."""
    await world.call("PUT", "/notes", json={"name": "Mark Stevens"})

    answer = await world.call("PUT", "/notes", json={"name": "Mark Stevens"})

    is_problem(answer, 409, "conflict")
    assert await world.names() == ["Mark Stevens"]
    assert len(await world.events()) == 1


@pytest.mark.parametrize(
    ("verb", "status", "slug"), [("close", 409, "already-closed"), ("break", 500, "internal"), ("lie", 500, "internal")]
)
async def test_what_an_endpoint_raises_undoes_what_it_did(world: World, verb: str, status: int, slug: str) -> None:
    content = is_problem(await world.call("POST", f"/notes/alessandro/{verb}"), status, slug)

    assert await world.names() == []
    assert "hunter2" not in str(content)
    assert "Traceback" not in str(content)
    if status == 409:
        assert content["note"] == "alessandro"


async def test_reading_cannot_write(world: World) -> None:
    await world.call("PUT", "/notes", json={"name": "Emma"})

    answer = await world.call("DELETE", "/notes")

    assert answer.status_code >= 500
    assert await world.names() == ["Emma"]


async def test_without_a_token_nobody_is_let_in(world: World) -> None:
    for headers in ({}, {"Authorization": "Basic bWFyaWE6cGFzcw=="}, {"Authorization": "Bearer"}):
        answer = await world.http.get("/notes", headers=headers)
        is_problem(answer, 401, "unauthenticated")
        assert answer.headers["www-authenticate"] == "Bearer"


async def test_a_token_that_is_refused_is_named_as_such(world: World) -> None:
    answer = await world.http.get("/notes", headers=specimen.Signer().headers(READ))

    content = is_problem(answer, 401, "unauthenticated")
    assert content["detail"] == "The token is signed by no key that is known here."
    assert answer.headers["www-authenticate"] == 'Bearer error="invalid_token"'


async def test_the_missing_scope_is_named(world: World) -> None:
    answer = await world.call("PUT", "/notes", READ, json={"name": "Emma"})

    assert is_problem(answer, 403, "missing-scope")["scope"] == WRITE
    assert f'scope="{WRITE}"' in answer.headers["www-authenticate"]
    assert await world.names() == []


async def test_who_may_not_call_learns_nothing_about_the_input(world: World) -> None:
    answer = await world.http.put("/notes", json={"amount": "many"})

    is_problem(answer, 401, "unauthenticated")


async def test_pages_follow_each_other_without_gap_or_repetition(world: World) -> None:
    names = [f"note {number}" for number in range(7)]
    for name in names:
        await world.call("PUT", "/notes", json={"name": name})

    seen: list[str] = []
    cursor, pages = None, 0
    while pages == 0 or cursor:
        page = (await world.call("GET", "/notes", params={"limit": 3, **({"cursor": cursor} if cursor else {})})).json()
        seen += [item["name"] for item in page["items"]]
        cursor, pages = page["next"], pages + 1

    assert (seen, pages) == (names, 3)


async def test_a_filter_and_a_page_go_together(world: World) -> None:
    await world.call("PUT", "/notes", json={"name": "Emma"})
    await world.call("PUT", "/notes", json={"name": "Isla Morgan"})

    answer = await world.call("GET", "/notes", params={"name": "Emma", "limit": 200})

    assert [item["name"] for item in answer.json()["items"]] == ["Emma"]
    assert answer.json()["next"] is None


@pytest.mark.parametrize(
    "cursor", ["!", "bm90IGpzb24", "WzFd", "MS41", "bnVsbA", "dHJ1ZQ", "OTIyMzM3MjAzNjg1NDc3NTgwOA", "é"]
)
async def test_a_bad_cursor_is_refused(world: World, cursor: str) -> None:
    is_problem(await world.call("GET", "/notes", params={"cursor": cursor}), 400, "bad-cursor")


@pytest.mark.parametrize("limit", ["0", "201", "-1", "many", "1.5", ""])
async def test_a_limit_out_of_range_is_refused(world: World, limit: str) -> None:
    content = is_problem(await world.call("GET", "/notes", params={"limit": limit}), 422, "invalid")

    assert content["errors"][0]["at"] == ["query", "limit"]


async def test_a_misspelt_filter_is_refused_rather_than_ignored(world: World) -> None:
    content = is_problem(await world.call("GET", "/notes?nmae=Emma"), 422, "invalid")

    assert content["errors"] == [{"at": ["query", "nmae"], "detail": "This is no parameter here"}]


async def test_errors_of_validation_say_where_and_never_repeat_the_input(world: World) -> None:
    answer = await world.call("PUT", "/notes", json={"name": "", "amount": "4242424242424242"})

    content = is_problem(answer, 422, "invalid")
    assert sorted(error["at"] for error in content["errors"]) == [["body", "amount"], ["body", "name"]]
    assert "4242424242424242" not in answer.text


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"{", id="cut off"),
        pytest.param(b"\xff\xfe", id="not text"),
        pytest.param(b"[" * 100_000, id="deep"),
        pytest.param(b'{"name": ' + b"[" * 5_000 + b"]" * 5_000 + b"}", id="deep and whole"),
        pytest.param(b'{"name": NaN}', id="NaN"),
        pytest.param(b'{"name": "\\ud800"}', id="lone surrogate"),
        pytest.param(b'{"name": "a\\u0000b"}', id="NUL"),
        pytest.param(b'{"name": "a", "amount": 99999999999}', id="beyond the column"),
        pytest.param(b'{"name": "a", "amount": ' + b"9" * 5_000 + b"}", id="beyond everything"),
        pytest.param(b'{"name": "' + INCOMPRESSIBLE + b'"}', id="beyond the index"),
        pytest.param(b"\x1f\x8b\x08\x00", id="gzip"),
        pytest.param(b"null", id="null"),
        pytest.param(b"", id="nothing"),
    ],
)
async def test_bad_bodies_are_the_callers_fault(world: World, body: bytes) -> None:
    answer = await world.call("PUT", "/notes", content=body, headers={"Content-Type": "application/json"})

    assert answer.status_code in {400, 422}, answer.text
    is_problem(answer, answer.status_code, answer.json()["type"].removeprefix("/problems/"))
    assert await world.names() == []


@pytest.mark.parametrize("path", ["/notes/99999999999999999999", "/members/a%00b", "/members/%ED%A0%80", "/notes/é"])
async def test_paths_that_cannot_be_looked_up_are_the_callers_fault(world: World, path: str) -> None:
    answer = await world.call("GET", path)

    assert answer.status_code in {200, 400, 404, 422}
    if path == "/members/a%00b":
        is_problem(answer, 400, "bad-value")
    if path == "/notes/99999999999999999999":
        is_problem(answer, 400, "bad-value")


async def test_an_event_too_large_for_its_topic_is_refused(world: World) -> None:
    answer = await world.call("PUT", "/notes", json={"name": "Emma", "reason": "x" * 1_000_000})

    is_problem(answer, 422, "event-too-large")
    assert await world.names() == []


async def test_what_is_not_there_is_named(world: World) -> None:
    content = is_problem(await world.call("GET", "/notes/42"), 404, "not-found")

    assert (content["kind"], content["id"]) == ("note", "42")


async def test_unknown_paths_and_methods_are_problems_too(world: World) -> None:
    is_problem(await world.http.get("/nothing"), 404, "not-found")
    answer = await world.http.patch("/notes")
    is_problem(answer, 405, "method-not-allowed")
    assert answer.headers["allow"]


async def test_a_body_that_is_too_large_is_refused_declared_or_not(world: World) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b"x" * 100_000

    is_problem(await world.call("PUT", "/notes", content=b"x" * 4_000_001), 413, "body-too-large")
    is_problem(await world.call("PUT", "/notes", content=endless()), 413, "body-too-large")


async def test_a_request_that_takes_too_long_is_given_up_and_undone(world: World) -> None:
    state = WebState(
        world.state.database,
        world.signer.verifier,
        settings_for(world.state.settings.database_url.get_secret_value(), request_timeout_seconds="0.2"),
    )
    impatient = application("specimen", routers=[notes()], state=state)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(impatient), base_url="http://specimen") as http:
        answers = [await http.post("/notes/wait", headers=world.signer.headers(WRITE)) for _ in range(6)]

    for answer in answers:
        is_problem(answer, 503, "timed-out")
        assert int(answer.headers["retry-after"]) > 0
    assert await world.names() == [], "and no connection of four was lost to six requests"


async def test_openapi_says_scope_audit_event_and_limit_of_each_operation(world: World) -> None:
    document = (await world.http.get("/openapi.json")).json()

    put = document["paths"]["/notes"]["put"]
    assert (put["x-scope"], put["x-audit-event"], put["x-limit"]) == (WRITE, "member.updated", "write")
    assert document["paths"]["/notes"]["get"]["x-audit-event"] == "none"
    assert put["security"] == [{"internal token": []}]
    parameters = {each["name"] for each in document["paths"]["/notes"]["get"]["parameters"]}
    assert parameters == {"name", "limit", "cursor"}


def test_an_operation_that_documents_nothing_stops_the_start() -> None:
    silent = APIRouter()

    @silent.get("/silent")
    async def say_nothing() -> None: ...

    signer = specimen.Signer()
    database = specimen.opened("postgresql://specimen:none@127.0.0.1:1/none")
    state = WebState(database, signer.verifier, settings_for("postgresql://specimen:none@127.0.0.1:1/none"))
    with pytest.raises(ValueError, match="GET /silent: say with documents"):
        application("specimen", routers=[silent], state=state)


def test_a_scope_is_a_plural_and_a_verb() -> None:
    with pytest.raises(ValueError, match="'everything' is not a scope"):
        documents(scope="everything")
