"""Without PostgreSQL nothing is accepted and that is said; without Kafka everything goes on; both come back unaided."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from backbone import topics
from backbone.kafka import Broker
from backbone.postgres import Cluster
from contracts.registry import decode
from contracts.topics import PAYMENTS_EVENTS, TOPICS, Topic
from payments.main import service
from simulator import samples

from tests.payments import standing
from tests.payments.providers import (
    SECRETS,
    card_payment,
    charge_succeeded,
    counts,
    deliver,
    know_mark,
    post,
    stripe_headers,
    works,
)
from tests.support.eventually import eventually
from tests.support.infrastructure import Databases, TemporaryDatabase
from tests.support.service_process import ServiceProcess
from tests.support.services import read_all, running

OUTBOX = "SELECT event_id::text, key FROM payments.outbox ORDER BY id"


@pytest.fixture
async def own_database(private_postgres: Cluster) -> TemporaryDatabase:
    """The service's database on a server that the test may stop."""
    databases = Databases(private_postgres.admin_url)
    return await databases.create(await databases.template_for(("payments",)))


async def ready(client: httpx.AsyncClient) -> tuple[int, dict[str, bool]]:
    """What the readiness endpoint answers, and which checks hold."""
    answer = await client.get("/health/ready")
    return answer.status_code, {check["name"]: check["ok"] for check in answer.json()["checks"]}


async def test_without_postgresql_deliveries_are_asked_to_come_again(
    private_postgres: Cluster, own_database: TemporaryDatabase, kafka: str, topic_prefix: str
) -> None:
    async with running(service, own_database, kafka, topic_prefix, **SECRETS) as payments:
        await know_mark(payments)
        assert await deliver(payments, charge_succeeded("before")) == [200]
        await works(payments)
        await eventually(lambda: ready(payments.client), lambda seen: seen[0] == 200)

        await asyncio.to_thread(private_postgres.stop)
        body = samples.stripe_body(charge_succeeded("during"))
        for forged in (False, True):
            refused = await post(payments, "stripe", body, {} if forged else stripe_headers(body))
            assert refused.status_code == 503
            assert int(refused.headers["retry-after"]) >= 1
            assert refused.headers["content-type"] == "application/problem+json"
        status, checks = await ready(payments.client)
        assert (status, checks["postgres"], checks["ingress"]) == (503, False, False)
        assert (await payments.client.get("/health/live")).status_code == 200

        await asyncio.to_thread(private_postgres.start)
        # Each look is a provider that comes again.
        await eventually(
            lambda: post(payments, "stripe", body, stripe_headers(body)), lambda answer: answer.status_code == 200
        )
        await works(payments)
        await eventually(lambda: ready(payments.client), lambda seen: seen[0] == 200)
        assert (await counts(payments))["payments"] == 2
        await standing.check(payments)


async def test_without_kafka_deliveries_are_accepted_and_posted_and_told_in_order_afterwards(
    database_for: Any, private_kafka: Broker, topic_prefix: str
) -> None:
    database = await database_for("payments")
    async with running(service, database, private_kafka.bootstrap_servers, topic_prefix, **SECRETS) as payments:
        await know_mark(payments)
        await eventually(lambda: payments.rows(OUTBOX), lambda rows: not rows)
        await asyncio.to_thread(private_kafka.stop)

        for number in range(5):
            events = card_payment(f"month-{number}", outcomes=("insufficient_funds", "succeed"))
            assert set(await deliver(payments, *events)) == {200}
        await works(payments)
        cleared = "SELECT amount_minor FROM payments.balances WHERE account = '1200 clearing:stripe'"
        assert await payments.rows(cleared) == [(5 * 11000,)]
        status, checks = await eventually(lambda: ready(payments.client), lambda seen: not seen[1]["relay"])
        assert status == 503
        without = {name for name, ok in checks.items() if not ok}
        assert without <= {"relay", "payments.outcomes", "state.automation-pauses"}, "what needs Kafka says so"
        waiting = await payments.rows(OUTBOX)

        await asyncio.to_thread(private_kafka.start)
        await eventually(lambda: payments.rows(OUTBOX), lambda rows: not rows, timeout_seconds=60)
        told = [decode(value) for value in await read_all(payments.servers, topic_prefix + PAYMENTS_EVENTS.name)]
        assert await eventually(lambda: ready(payments.client), lambda seen: seen[0] == 200)
        assert _by_key((event.id, event.partitionkey) for event in told if event.id in dict(waiting)) == _by_key(
            waiting
        )
        await standing.check(payments)


def _by_key(pairs: Any) -> dict[str, list[str]]:
    """The ids of each key in their order."""
    found: dict[str, list[str]] = defaultdict(list)
    for event_id, key in pairs:
        found[key].append(event_id)
    return dict(found)


@pytest.fixture
async def born_alone(
    private_postgres: Cluster, own_database: TemporaryDatabase, private_kafka: Broker, topic_prefix: str, tmp_path: Path
) -> AsyncIterator[ServiceProcess]:
    """A process that starts while neither PostgreSQL nor Kafka is there."""
    servers = private_kafka.bootstrap_servers
    prefixed = [Topic(**{**_fields(topic), "name": topic_prefix + topic.name, "partitions": 1}) for topic in TOPICS]
    await asyncio.to_thread(topics.apply, servers, prefixed)
    await asyncio.to_thread(private_postgres.stop)
    await asyncio.to_thread(private_kafka.stop)
    process = ServiceProcess.of("payments", own_database, servers, topic_prefix, tmp_path, **SECRETS)
    try:
        process.start()
        yield process
    finally:
        process.end()


def _fields(topic: Topic) -> dict[str, Any]:
    return {name: getattr(topic, name) for name in topic.__dataclass_fields__}


async def test_a_service_that_starts_before_its_servers_comes_to_work_as_they_come(
    born_alone: ServiceProcess, private_postgres: Cluster, private_kafka: Broker, topic_prefix: str
) -> None:
    await born_alone.answers("/health/live")
    not_ready = await born_alone.answers("/health/ready", 503)
    assert {check["name"] for check in not_ready["checks"] if not check["ok"]} >= {"postgres"}
    body = samples.stripe_body(charge_succeeded("early"))
    async with httpx.AsyncClient(base_url=born_alone.url, timeout=30, trust_env=False) as client:

        async def deliver_again() -> int:
            answer = await client.post("/webhooks/stripe", content=body, headers=stripe_headers(body))
            return answer.status_code

        assert await deliver_again() == 503
        await asyncio.to_thread(private_postgres.start)
        await eventually(deliver_again, lambda status: status == 200)
        await asyncio.to_thread(private_kafka.start)
        await born_alone.ready()

    async def told() -> list[str]:
        values = await read_all(private_kafka.bootstrap_servers, topic_prefix + PAYMENTS_EVENTS.name)
        return [decode(value).type for value in values]

    types = await eventually(told, lambda seen: len(seen) >= 1)
    assert "payment_provider_event.ingested" in types
    assert born_alone.stop() == 0, born_alone.tail()
