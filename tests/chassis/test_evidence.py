"""What a service measures about itself is told with its time; what cannot be measured is absent, nothing else is."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from chassis import dead_letters, evidence, outbox, version
from chassis.clock import real_now
from chassis.database import Database
from chassis.dead_letters import Letter
from chassis.evidence import Evidence, Measuring, Process, evidence_router
from chassis.telemetry import logs
from chassis.transaction import Cause, Transaction
from chassis.web import Problem, ProblemType, WebState, application, documents
from chassis.web.recent import WINDOW_MINUTES, RecentAnswers
from contracts.evidence import Measure, Measurement
from fastapi import APIRouter
from sqlalchemy import text

from contracts import evidence as measures
from tests.chassis.notes_service import is_problem
from tests.chassis.relaying import an_event
from tests.support import specimen
from tests.support.consuming import SCHEMA, open_database, settings_for
from tests.support.infrastructure import TemporaryDatabase

PROCESS = Process("specimen-1", "0123456789ab", real_now() - timedelta(hours=1), "ba9876543210")
NOTES = Measure("notes", "notes", "Notes that were taken")
BROKEN = ProblemType("broken", "It is broken", 500)


async def counted(tx: Transaction) -> Sequence[Measurement]:
    return [NOTES.reading((await tx.connection.execute(text("SELECT 3"))).scalar_one(), real_now())]


async def failing(tx: Transaction) -> Sequence[Measurement]:
    await tx.connection.execute(text("SELECT 1/0"))
    raise AssertionError("PostgreSQL divides by zero")


async def never_ending(_: Transaction) -> Sequence[Measurement]:
    await asyncio.Event().wait()
    raise AssertionError("it was waited for")


async def writing(tx: Transaction) -> Sequence[Measurement]:
    await tx.connection.execute(text(f"DELETE FROM {SCHEMA}.outbox"))
    return []


def breaking() -> APIRouter:
    router = APIRouter()

    @router.get("/notes/{name}", **documents(scope="board:read"))
    async def get_note(name: str) -> None:
        raise Problem(BROKEN, "It broke.") if name == "broken" else Problem.not_found("note", name)

    return router


class Asked:
    """The service, and somebody who asks it for its evidence."""

    def __init__(self, database: Database, http: httpx.AsyncClient, signer: specimen.Signer) -> None:
        self.database, self.http, self._signer = database, http, signer

    async def call(self, path: str, *scopes: str) -> httpx.Response:
        return await self.http.get(path, headers=self._signer.headers(*(scopes or ("board:read",))))

    async def told(self) -> dict[str, Any]:
        """Value by name."""
        answer = await self.call("/evidence")
        assert answer.status_code == 200, answer.text
        return {each["name"]: each["value"] for each in answer.json()}


@asynccontextmanager
async def asked(place: TemporaryDatabase, *own: Measuring, url: str | None = None) -> AsyncIterator[Asked]:
    logs.configure("payments", None, "info", io.StringIO())
    database, signer = open_database(url or place.url_for(SCHEMA)), specimen.Signer()
    recent = RecentAnswers()
    evidence = Evidence(database, PROCESS, recent, runners=list, own=own, limit_seconds=2.0)
    settings = settings_for(place.url_for(SCHEMA), "127.0.0.1:9092", "")
    state = WebState(database, signer.verifier, settings, recent=recent, evidence=evidence.taken)
    app = application("payments", routers=[evidence_router(), breaking()], state=state)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://payments") as http:
        yield Asked(database, http, signer)
    await database.close()


async def test_every_service_tells_of_its_outbox_its_dead_letters_and_its_process(
    laid_database: TemporaryDatabase,
) -> None:
    async with asked(laid_database, counted) as service:
        async with service.database.transaction(cause=Cause("a-test")) as tx:
            await outbox.insert(tx.connection, SCHEMA, [an_event("pay_1"), an_event("pay_2")])
            letter = Letter(consumer="payments.worker", pointer="pending/1", message=b"{", error=ValueError("wrong"))
            await dead_letters.add(tx.automatically(tx.cause), SCHEMA, letter)

        told = await service.told()

    assert told["notes"] == 3
    assert told[measures.DEAD_LETTERS_OPEN.name] == 1
    assert told[measures.OUTBOX_DEPTH.name] == 3, "the two, and what tells of the dead letter"
    assert told[measures.OUTBOX_OLDEST_AGE.name] >= 0
    assert told[f"{measures.PROCESS_VERSION.name}:specimen-1"] == PROCESS.version
    assert told[f"{measures.PROCESS_STARTED.name}:specimen-1"] == PROCESS.started_at.isoformat()
    assert told[f"{measures.PROCESS_SETTINGS.name}:specimen-1"] == PROCESS.settings_digest


async def test_every_measurement_has_a_unit_and_the_time_at_which_it_was_true(laid_database: TemporaryDatabase) -> None:
    async with asked(laid_database) as service:
        found = [Measurement.model_validate(each) for each in (await service.call("/evidence")).json()]

    units = {each.name: each.unit for each in measures.COMMON}
    assert found
    assert all(units[each.name.partition(":")[0]] == each.unit for each in found)
    assert all(timedelta() <= real_now() - each.observed_at < timedelta(minutes=1) for each in found)
    assert [each.name for each in found] == sorted(each.name for each in found)


@pytest.mark.parametrize("faulty", [failing, never_ending, writing])
async def test_what_cannot_be_measured_is_absent_and_nothing_else_is(
    laid_database: TemporaryDatabase, faulty: Measuring
) -> None:
    async with asked(laid_database, faulty, counted, faulty) as service:
        told = await service.told()

    assert told["notes"] == 3
    assert told[measures.OUTBOX_DEPTH.name] == 0


async def test_without_its_database_a_process_tells_of_itself_alone(laid_database: TemporaryDatabase) -> None:
    nobody = f"postgresql://{SCHEMA}:none@127.0.0.1:1/nobody"
    async with asked(laid_database, counted, url=nobody) as service:
        told = await service.told()

    assert told[f"{measures.PROCESS_VERSION.name}:specimen-1"] == PROCESS.version
    assert not {"notes", measures.OUTBOX_DEPTH.name, measures.DEAD_LETTERS_OPEN.name} & told.keys()


async def test_faults_of_ours_are_counted_by_route_and_faults_of_callers_are_not(
    laid_database: TemporaryDatabase,
) -> None:
    async with asked(laid_database) as service:
        for name in ("broken", "broken", "absent"):
            await service.call(f"/notes/{name}")
        await service.http.get("/health/ready")
        told = await service.told()

    assert told[f"{measures.SERVER_ERRORS.name}:specimen-1"] == 2
    assert told[f"{measures.ROUTE_SERVER_ERRORS.name}:specimen-1 GET /notes/{{name}}"] == 2
    assert told[f"{measures.ANSWERS.name}:specimen-1"] == 3, "how a process is does not count as an answer"


async def test_evidence_needs_its_scope(laid_database: TemporaryDatabase) -> None:
    async with asked(laid_database) as service:
        is_problem(await service.call("/evidence", "audit:read"), 403, "missing-scope")
        is_problem(await service.http.get("/evidence"), 401, "unauthenticated")


def test_answers_are_forgotten_after_a_quarter_of_an_hour() -> None:
    now = 0.0
    recent = RecentAnswers(lambda: now)
    recent.note("GET", "/notes", 500)
    now = 60.0 * (WINDOW_MINUTES - 1)
    recent.note("GET", "/notes", 503)
    recent.note("GET", "/notes", 404)
    assert (recent.answered().answers, recent.answered().by_route) == (3, {"GET /notes": 2})

    now = 60.0 * WINDOW_MINUTES
    assert (recent.answered().answers, recent.answered().server_errors) == (2, 1)

    now = 60.0 * 10 * WINDOW_MINUTES
    assert (recent.answered().answers, recent.answered().by_route) == (0, {})


def test_the_digest_of_settings_tells_what_differs_and_no_secret_goes_into_it() -> None:
    first = settings_for("postgresql://one:secret@127.0.0.1/one", "127.0.0.1:9092", "", "first")
    second = settings_for("postgresql://two:other@127.0.0.1/two", "127.0.0.1:9092", "", "second")
    other = settings_for("postgresql://one:secret@127.0.0.1/one", "127.0.0.1:9093", "", "first")

    assert evidence.settings_digest(first) == evidence.settings_digest(second)
    assert evidence.settings_digest(first) != evidence.settings_digest(other)


def test_a_version_changes_with_every_byte_of_the_source_and_with_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "versioned_specimen"
    (package / "__pycache__").mkdir(parents=True)
    (package / "__init__.py").write_text("A = 1\n")
    (package / "page.html").write_text("<p>\n")
    monkeypatch.syspath_prepend(tmp_path)
    first = version.digest_of([package.name])

    (package / "__pycache__" / "__init__.cpython-311.pyc").write_bytes(b"compiled")
    assert version.digest_of([package.name]) == first

    (package / "page.html").write_text("<b>\n")
    assert version.digest_of([package.name]) != first
    with pytest.raises(LookupError):
        version.digest_of(["no_such_package"])


def test_a_real_process_knows_what_it_runs() -> None:
    settings = settings_for("postgresql://one:secret@127.0.0.1/one", "127.0.0.1:9092", "", None)
    process = Process.of("chassis", settings)
    assert process.version == version.source_version("chassis")
    assert process.instance, "made of the host and the process where no setting names it"
