"""The process is killed in the middle of a completion: the same request again does it, once, and then answers alike."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
from chassis import tokens
from contracts.roles import ROLES

from tests.support.eventually import eventually
from tests.support.infrastructure import TemporaryDatabase
from tests.support.service_process import ServiceProcess
from tests.support.services import PRIVATE_KEY
from tests.tasks.desk import ISLA, MARIA

WAITS = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"


@pytest.fixture
async def place(database_for: Callable[..., Awaitable[TemporaryDatabase]]) -> TemporaryDatabase:
    return await database_for("tasks")


@pytest.fixture
async def process(
    place: TemporaryDatabase, kafka: str, topic_prefix: str, tmp_path: Path
) -> AsyncIterator[ServiceProcess]:
    made = ServiceProcess.of("tasks", place, kafka, topic_prefix, tmp_path, consume=False, relay=False, work=False)
    made.start()
    await made.answers()
    yield made
    made.end()


async def call(process: ServiceProcess, path: str, body: dict[str, Any], **headers: str) -> httpx.Response:
    token = tokens.mint(PRIVATE_KEY, audience="tasks", actor=MARIA, scopes=ROLES["front_desk"])
    given = {"Authorization": f"Bearer {token}", **{name.replace("_", "-"): value for name, value in headers.items()}}
    async with httpx.AsyncClient(timeout=30, trust_env=False) as client:
        return await client.post(process.url + path, json=body, headers=given)


async def test_after_a_crash_in_the_middle_the_same_request_is_done_once(
    process: ServiceProcess, place: TemporaryDatabase
) -> None:
    opened = await call(process, "/tasks", {**ISLA}, Idempotency_Key="opening-isla")
    task = opened.json()

    async def completes() -> httpx.Response:
        path = f"/tasks/{task['id']}/complete"
        return await call(process, path, {"code": "arrived"}, Idempotency_Key="she-is-here", If_Match='"1"')

    owner = await asyncpg.connect(place.admin_url)
    try:
        async with owner.transaction():
            # The task's row is written, the history is not yet: that is where the request stands still.
            await owner.execute("LOCK TABLE tasks.task_history IN EXCLUSIVE MODE")
            first = asyncio.create_task(completes())
            await eventually(lambda: owner.fetchval(WAITS), lambda waiting: waiting == 1)
            process.kill()
            (failed,) = await asyncio.gather(first, return_exceptions=True)
        assert isinstance(failed, httpx.TransportError)

        process.start()
        await process.answers()
        answers = [await completes() for _ in range(2)]

        assert [answer.status_code for answer in answers] == [200, 200]
        assert answers[0].content == answers[1].content
        assert answers[0].json()["version"] == 2
        assert answers[1].headers["idempotency-replayed"] == "true"
        rows = await owner.fetch("SELECT change FROM tasks.task_history ORDER BY version")
        assert [row["change"] for row in rows] == ["opened", "completed"]
        assert await owner.fetchval("SELECT count(*) FROM tasks.outbox") == 2
        again = await call(process, "/tasks", {**ISLA}, Idempotency_Key="opening-isla")
        assert (again.status_code, again.content) == (201, opened.content)
    finally:
        await owner.close()
