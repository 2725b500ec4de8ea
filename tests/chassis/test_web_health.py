"""What an operator and a supervisor see: alive, ready, metrics; and the same through a PostgreSQL that goes away."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator

import httpx
import pytest
from backbone.postgres import Cluster
from chassis.database import Database
from chassis.settings import Settings
from chassis.telemetry import logs, metrics
from chassis.web import Check, Problem, ProblemType, ReadTx, WebState, application, documents
from fastapi import APIRouter, FastAPI
from sqlalchemy import text
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from tests.support import specimen
from tests.support.infrastructure import Databases, TemporaryDatabase


def settings_for(url: str) -> Settings:
    return Settings.load(
        "specimen", {"SPECIMEN_DATABASE_URL": url, "SPECIMEN_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9092"}
    )


def an_application(database: Database, url: str, signer: specimen.Signer, checks: list[Check]) -> FastAPI:
    logs.configure("specimen", None, "info", io.StringIO())
    router = APIRouter()

    @router.get("/notes", **documents(scope="notes:read"))
    async def count_notes(tx: ReadTx) -> int:
        counted: int = (await tx.connection.execute(text("SELECT count(*) FROM specimen.notes"))).scalar_one()
        return counted

    async def echo(request: Request) -> Response:
        body = await request.body()
        if not body:
            raise Problem(ProblemType("nothing-to-echo", "There is nothing to echo", 498), "The body is empty.")
        return PlainTextResponse(str(len(body)))

    state = WebState(database, signer.verifier, settings_for(url), lambda: checks)
    return application("specimen", routers=[router], state=state, routes=[Route("/echo", echo, methods=["POST"])])


def client(app: FastAPI) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://specimen")


@pytest.fixture
async def database(fresh_database: TemporaryDatabase) -> AsyncIterator[Database]:
    await specimen.make(fresh_database)
    opened = specimen.opened(fresh_database.url_for("specimen"))
    yield opened
    await opened.close()


async def test_ready_is_the_sum_of_its_checks(database: Database, fresh_database: TemporaryDatabase) -> None:
    checks = [Check("relay", ok=True, detail="standing by")]
    async with client(an_application(database, fresh_database.url_for("specimen"), specimen.Signer(), checks)) as http:
        fine = await http.get("/health/ready")
        checks.append(Check("consumer", ok=False, detail="Kafka does not answer"))
        not_fine = await http.get("/health/ready")
        alive = await http.get("/health/live")

    assert (fine.status_code, fine.json()["ready"]) == (200, True)
    assert [check["name"] for check in fine.json()["checks"]] == ["postgres", "relay"]
    assert (not_fine.status_code, not_fine.json()["ready"]) == (503, False)
    assert not_fine.json()["checks"][-1] == {"name": "consumer", "ok": False, "detail": "Kafka does not answer"}
    assert alive.status_code == 200


async def test_readiness_is_bounded_in_time(database: Database, fresh_database: TemporaryDatabase) -> None:
    """Every connection is taken: the check says so instead of waiting with the rest."""
    app = an_application(database, fresh_database.url_for("specimen"), specimen.Signer(), [])
    taken = [await database.engine.connect() for _ in range(4)]
    async with client(app) as http, asyncio.timeout(8):
        answer = await http.get("/health/ready")
    for connection in taken:
        await connection.close()

    assert answer.status_code == 503
    assert answer.json()["checks"][0]["detail"] == "no answer within 2 s"


async def test_requests_are_counted_by_template_and_status(
    database: Database, fresh_database: TemporaryDatabase
) -> None:
    signer = specimen.Signer()
    app = an_application(database, fresh_database.url_for("specimen"), signer, [])

    def counted(method: str, route: str, status: int) -> float:
        labels = {"method": method, "route": route, "status": str(status)}
        return metrics.REGISTRY.get_sample_value("backbone_http_requests_total", labels) or 0

    asked = [("GET", "/notes", 200), ("GET", "unmatched", 404), ("POST", "/echo", 200), ("POST", "/echo", 498)]
    before = [counted(*each) for each in asked]
    async with client(app) as http:
        await http.get("/notes", headers=signer.headers("notes:read"))
        await http.get("/a/path/that/nobody/made")
        await http.post("/echo", content=b"four")
        await http.post("/echo")
        exposed = (await http.get("/metrics")).text

    assert [counted(*each) - earlier for each, earlier in zip(asked, before, strict=True)] == [1, 1, 1, 1]
    assert "backbone_http_request_seconds_bucket" in exposed
    assert "process_resident_memory_bytes" in exposed
    assert "/a/path/that/nobody/made" not in exposed


async def test_no_answer_may_be_taken_for_what_it_does_not_say_it_is(
    database: Database, fresh_database: TemporaryDatabase
) -> None:
    signer = specimen.Signer()
    app = an_application(database, fresh_database.url_for("specimen"), signer, [])
    async with client(app) as http:
        answers = [
            await http.get("/notes", headers=signer.headers("notes:read")),
            await http.get("/notes"),
            await http.get("/a/path/that/nobody/made"),
            await http.post("/echo", content=b"<script>"),
            await http.post("/echo"),
            await http.get("/health/live"),
        ]
    assert [answer.status_code for answer in answers] == [200, 401, 404, 200, 498, 200]
    assert {answer.headers["x-content-type-options"] for answer in answers} == {"nosniff"}


async def test_a_direct_route_has_ids_problems_and_methods_like_any_other(
    database: Database, fresh_database: TemporaryDatabase
) -> None:
    app = an_application(database, fresh_database.url_for("specimen"), specimen.Signer(), [])
    async with client(app) as http:
        large = await http.post("/echo", content=b"x" * 3_000_000, headers={"X-Request-Id": "not sane!"})
        empty = await http.post("/echo", headers={"X-Request-Id": "delivery-42"})
        got = await http.get("/echo")

    assert (large.status_code, large.text) == (200, "3000000"), "it limits its body itself"
    assert large.headers["x-request-id"] != "not sane!"
    assert (empty.status_code, empty.headers["content-type"]) == (498, "application/problem+json")
    assert empty.json()["request_id"] == empty.headers["x-request-id"] == "delivery-42"
    assert (got.status_code, got.headers["allow"]) == (405, "POST")
    assert got.json()["type"] == "/problems/method-not-allowed"


async def test_an_outage_of_postgresql_is_a_503_and_ends_by_itself(private_postgres: Cluster) -> None:
    given = await Databases(private_postgres.admin_url).create()
    await specimen.make(given)
    url, signer = given.url_for("specimen"), specimen.Signer()
    database = specimen.opened(url)
    async with client(an_application(database, url, signer, [])) as http:

        async def asked() -> httpx.Response:
            return await http.get("/notes", headers=signer.headers("notes:read"))

        assert (await asked()).status_code == 200
        await asyncio.to_thread(private_postgres.kill)
        for _ in range(6):  # the pool's dead connections first, then new ones that find nobody
            answer = await asked()
            assert (answer.status_code, answer.json()["type"]) == (503, "/problems/unavailable"), answer.text
            assert int(answer.headers["retry-after"]) > 0
        assert (await http.get("/health/ready")).status_code == 503
        assert (await http.get("/health/live")).status_code == 200
        await asyncio.to_thread(private_postgres.start)
        assert (await asked()).status_code == 200
        assert (await http.get("/health/ready")).status_code == 200
    await database.close()
