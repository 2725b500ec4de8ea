"""Payments and audit are killed ten times each while two thousand deliveries arrive.

A provider sends each delivery until it is answered 2xx. Every so many answers one of the two processes is killed as a
power cut would do it, and started again. In the end every event that was answered for stands once: as a provider
event, in the ledger, and in the audit log, which verifies.
"""

from __future__ import annotations

import asyncio
import functools
import random
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import orjson
import pytest
from payments.main import service
from simulator import samples

from tests.payments import standing
from tests.payments.providers import SECRETS, Payments, card_payment, know_mark, stripe_headers
from tests.support.eventually import eventually
from tests.support.infrastructure import TemporaryDatabase
from tests.support.service_process import ServiceProcess
from tests.support.services import running

DELIVERIES = 2_000
KILLS_OF_EACH = 10
CONNECTIONS = 8
AT = datetime(2026, 10, 1, 1, 2, 3, tzinfo=UTC)
RECORDED = "SELECT value FROM audit.audit_log WHERE action = 'payment_provider_event.ingested'"


@dataclass(slots=True)
class Provider:
    """Sends each delivery until it is answered 2xx; kills one of `victims` in turn after so many answers."""

    victims: list[ServiceProcess]
    deliveries: Iterator[bytes]
    answered: int = 0
    kills: list[str] = field(default_factory=list)
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def send_all(self) -> None:
        address = self.victims[0].url
        async with (
            httpx.AsyncClient(base_url=address, timeout=30, trust_env=False) as client,
            asyncio.TaskGroup() as all_,
        ):
            for _ in range(CONNECTIONS):
                all_.create_task(self._send(client))

    async def _send(self, client: httpx.AsyncClient) -> None:
        for body in self.deliveries:
            again = functools.partial(attempt, client, body)
            await eventually(again, lambda status: status == 200, timeout_seconds=120)
            self.answered += 1
            await self._kill_when_due()

    async def _kill_when_due(self) -> None:
        every = DELIVERIES // (2 * KILLS_OF_EACH + 1)
        async with self.turn:
            if len(self.kills) < min(2 * KILLS_OF_EACH, self.answered // every):
                victim = self.victims[len(self.kills) % 2]
                await victim.answers("/health/ready" if victim.name == "audit" else "/health/live")
                victim.kill()
                victim.start()
                self.kills.append(victim.name)


async def attempt(client: httpx.AsyncClient, body: bytes) -> int:
    """Deliver once; returns the status of the answer, 0 where there was none."""
    try:
        return (await client.post("/webhooks/stripe", content=body, headers=stripe_headers(body))).status_code
    except httpx.TransportError:
        return 0


@pytest.fixture
async def database(database_for: Callable[..., Awaitable[TemporaryDatabase]]) -> TemporaryDatabase:
    return await database_for("payments", "audit")


@pytest.fixture
async def books(database: TemporaryDatabase, kafka: str, topic_prefix: str) -> AsyncIterator[Payments]:
    """Looks into the payments service's tables and does none of its work."""
    off = {"work": False, "relay": False, "consume": False}
    async with running(service, database, kafka, topic_prefix, **off, **SECRETS) as started:
        yield started


@pytest.fixture
def processes(
    books: Payments, database: TemporaryDatabase, kafka: str, topic_prefix: str, tmp_path: Path
) -> Iterator[list[ServiceProcess]]:
    """Payments and audit; named instances have their partitions back at once after a kill."""
    made = [
        ServiceProcess.of("payments", database, kafka, topic_prefix, tmp_path, instance="payments-1", **SECRETS),
        ServiceProcess.of("audit", database, kafka, topic_prefix, tmp_path, instance="audit-1"),
    ]
    try:
        for each in made:
            each.start()
        yield made
    finally:
        for each in made:
            each.end()


def month(number: int) -> list[dict[str, Any]]:
    """The events of one payment that fails and then succeeds."""
    return card_payment(f"month-{number}", at=AT, outcomes=("insufficient_funds", "succeed"))


def two_thousand() -> tuple[int, list[dict[str, Any]]]:
    """How many payments, and their events in any order, some of them repeated."""
    payments = DELIVERIES * 9 // 10 // len(month(0))
    events = [event for number in range(payments) for event in month(number)]
    chance = random.Random(2_000)
    events += chance.choices(events, k=DELIVERIES - len(events))
    chance.shuffle(events)
    return payments, events


async def test_nothing_that_was_answered_for_is_lost_or_doubled(
    books: Payments, processes: list[ServiceProcess], database: TemporaryDatabase
) -> None:
    await know_mark(books)
    number, events = two_thousand()
    payments, audit = processes
    await asyncio.gather(payments.ready(), audit.ready())

    provider = Provider(processes, (samples.stripe_body(event) for event in events))
    await provider.send_all()
    assert Counter(provider.kills) == {"payments": KILLS_OF_EACH, "audit": KILLS_OF_EACH}
    assert provider.answered == DELIVERIES

    sent = {event["id"] for event in events}
    await eventually(lambda: recorded(database), lambda seen: len(seen) >= len(sent), timeout_seconds=120)
    waiting = "SELECT (SELECT count(*) FROM payments.pending_events) + (SELECT count(*) FROM payments.outbox)"
    await eventually(lambda: books.rows(waiting), lambda rows: rows == [(0,)])

    stored = await books.rows("SELECT event_id, deliveries, outcome IS NOT NULL FROM payments.provider_events")
    assert Counter(row[0] for row in stored) == Counter(sent)
    assert all(done for _, _, done in stored)
    ((kept, processed),) = await books.rows(
        "SELECT count(*), count(*) FILTER (WHERE state = 'processed') FROM payments.webhook_deliveries"
    )
    # A delivery whose answer was cut off came again, so there may be more than were answered for.
    assert kept == processed == sum(times for _, times, _ in stored) >= DELIVERIES
    assert Counter(await recorded(database)) == Counter(sent)
    await standing.check_ledger(books)
    cleared = "SELECT count(*), sum(amount_minor) FROM payments.ledger_entries WHERE account = '1200 clearing:stripe'"
    assert await books.rows(cleared) == [(number, number * 11_000)]
    owed = "SELECT sum(amount_minor) FROM payments.balances WHERE account LIKE '1100 %'"
    assert await books.rows(owed) == [(0,)]

    verified = await asyncio.to_thread(verify, audit)
    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert [each.stop() for each in processes] == [0, 0]


async def recorded(database: TemporaryDatabase) -> list[str]:
    """The provider's id of every event that the audit log holds."""
    connection = await asyncpg.connect(database.url_for("audit"))
    try:
        values = [row["value"] for row in await connection.fetch(RECORDED)]
    finally:
        await connection.close()
    return [orjson.loads(value)["data"]["body"]["provider_event"]["id"] for value in values]


def verify(audit: ServiceProcess) -> subprocess.CompletedProcess[str]:
    """`python -m audit verify`, as an operator calls it."""
    return subprocess.run(
        [sys.executable, "-m", "audit", "verify"],
        env=audit.environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
