"""Ingress processes: scenario 2, the same event 50 times at once over four of them, and one that is asked to stop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import httpx
import pytest
from payments.main import service
from simulator import samples

from tests.payments import standing
from tests.payments.providers import SECRETS, Payments, charge_succeeded, counts, know_mark, stripe_headers, works
from tests.support.infrastructure import TemporaryDatabase
from tests.support.service_process import ServiceProcess
from tests.support.services import running

DELIVERIES = 50


@pytest.fixture
async def database(database_for: Callable[..., Awaitable[TemporaryDatabase]]) -> TemporaryDatabase:
    return await database_for("payments")


@pytest.fixture
async def payments(database: TemporaryDatabase, kafka: str, topic_prefix: str) -> AsyncIterator[Payments]:
    """The process that works; whatever it applies came in through others."""
    async with running(service, database, kafka, topic_prefix, **SECRETS) as started:
        yield started


@pytest.fixture
async def ingresses(
    database: TemporaryDatabase, kafka: str, topic_prefix: str, tmp_path: Path
) -> AsyncIterator[list[ServiceProcess]]:
    """Four processes that do nothing but accept deliveries."""
    only = {"work": False, "relay": False, "consume": False, **SECRETS}
    made = [ServiceProcess.of("payments", database, kafka, topic_prefix, tmp_path, **only) for _ in range(4)]
    try:
        for each in made:
            each.start()
        await asyncio.gather(*(each.ready() for each in made))
        yield made
    finally:
        for each in made:
            each.end()


async def test_equal_deliveries_at_once_over_four_processes_are_one_event(
    payments: Payments, ingresses: list[ServiceProcess]
) -> None:
    await know_mark(payments)
    body = samples.stripe_body(charge_succeeded("october"))
    headers = stripe_headers(body)
    everybody = asyncio.Barrier(DELIVERIES)

    async def deliver(url: str) -> int:
        async with httpx.AsyncClient(timeout=30, trust_env=False) as client:
            assert (await client.get(f"{url}/health/live")).status_code == 200
            await everybody.wait()
            return (await client.post(f"{url}/webhooks/stripe", content=body, headers=headers)).status_code

    answers = await asyncio.gather(*(deliver(ingresses[number % 4].url) for number in range(DELIVERIES)))
    assert answers == [200] * DELIVERIES
    await works(payments)

    counted = await counts(payments)
    assert (counted["provider_events"], counted["webhook_deliveries"]) == (1, DELIVERIES)
    assert await payments.rows("SELECT deliveries FROM payments.provider_events") == [(DELIVERIES,)]
    posted = await payments.rows("SELECT split_part(economic_key, ':', 1) FROM payments.journals ORDER BY number")
    assert posted == [("invoice",), ("payment",)]
    await standing.check(payments)
    assert await standing.deadlocks(payments) == 0
    for each in ingresses:
        assert each.stop() == 0, each.tail()


async def test_a_process_that_is_asked_to_stop_answers_what_it_has_taken(
    payments: Payments, database: TemporaryDatabase, kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    process = ServiceProcess.of("payments", database, kafka, topic_prefix, tmp_path, relay=False, **SECRETS)
    bodies = iter([samples.stripe_body(charge_succeeded(f"month-{number}")) for number in range(400)])
    answers: list[int] = []

    async def send() -> None:
        async with httpx.AsyncClient(timeout=30, trust_env=False) as client:
            for body in bodies:
                try:
                    answer = await client.post(
                        f"{process.url}/webhooks/stripe", content=body, headers=stripe_headers(body)
                    )
                except httpx.TransportError:
                    return
                answers.append(answer.status_code)
                if len(answers) == 100:
                    process.running.terminate()

    try:
        process.start()
        await process.ready()
        await asyncio.gather(*(send() for _ in range(8)))
        assert await asyncio.to_thread(process.running.wait, 30) == 0, process.tail()
    finally:
        process.end()
    assert set(answers) == {200}
    assert 100 <= len(answers) < 400
    await works(payments)
    assert (await counts(payments))["webhook_deliveries"] == len(answers)
    await standing.check(payments)
