"""Two audit processes share the topics while one or the other is killed in the middle of a batch, at each statement."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import asyncpg
import pytest
from audit.handlers import consumer
from audit.main import service
from audit.tables import SCHEMA
from chassis import positions
from chassis.batch import BatchLostError, Limits, run_batch
from chassis.consumer import Delivery
from contracts.topics import PAYMENTS_EVENTS

from tests.audit.logs import Log, some_events
from tests.support.eventually import eventually
from tests.support.infrastructure import TemporaryDatabase
from tests.support.services import running

KILLS = 10
EVENTS_A_ROUND = 200
# What a batch writes, in its order: a lock on one of them stops the batch right there.
WRITTEN = ("positions", "log_head", "event_ids", "audit_log", "coverage", "outbox")
WAITING = "FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


@dataclass(slots=True)
class Processes:
    """Audit processes by instance; each consumes and does nothing else."""

    environment: dict[str, str]
    log: Path
    alive: dict[str, asyncio.subprocess.Process] = field(default_factory=dict)

    async def start(self, instance: str) -> None:
        with self.log.open("ab") as output:
            self.alive[instance] = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "audit",
                "serve",
                env={**self.environment, "AUDIT_INSTANCE": instance},
                stdout=output,
                stderr=output,
            )

    async def kill(self, instance: str) -> None:
        process = self.alive.pop(instance)
        assert process.returncode is None, f"{instance} ended by itself:\n{self.log.read_text()[-2_000:]}"
        process.kill()
        await process.wait()


@asynccontextmanager
async def processes(place: TemporaryDatabase, servers: str, prefix: str, log: Path) -> AsyncIterator[Processes]:
    told = {
        "DATABASE_URL": place.url_for("audit"),
        "KAFKA_BOOTSTRAP_SERVERS": servers,
        "TOPIC_PREFIX": prefix,
        "LOG_LEVEL": "warning",
        **dict.fromkeys(("HTTP", "WORK", "RELAY"), "false"),
    }
    started = Processes({**os.environ, **{f"AUDIT_{name}": value for name, value in told.items()}}, log)
    try:
        yield started
    finally:
        for instance in list(started.alive):
            await started.kill(instance)


async def killed_at(log: Log, table: str, instance: str, started: Processes) -> None:
    """Let a batch of `instance` run into a lock on `table`, and kill the process there."""
    async with log.connection(log.place.admin_url) as watch, log.connection(log.place.admin_url) as locker:

        async def stopped() -> int:
            assert started.alive[instance].returncode is None, started.log.read_text()[-2_000:]
            return int(await watch.fetchval(f"SELECT count(*) {WAITING} AND application_name = $1", instance))

        async with locker.transaction():
            await locker.execute(f"LOCK TABLE audit.{table} IN EXCLUSIVE MODE")
            await eventually(stopped, timeout_seconds=60)
            await started.kill(instance)


async def test_processes_killed_in_the_middle_of_their_batches_record_everything_once(
    audit_database: TemporaryDatabase, kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    told: list[str] = []
    doors = {"consume": False, "work": False, "relay": False}
    async with (
        running(service, audit_database, kafka, topic_prefix, **doors) as audit,
        processes(audit_database, kafka, topic_prefix, tmp_path / "audit.log") as started,
    ):
        log = Log(audit_database, audit.runtime.database)
        for instance in ("one", "two"):
            await started.start(instance)
        for number in range(KILLS):
            events = some_events(EVENTS_A_ROUND, f"pay_{number}")
            told += [event.id for event in events]
            victim = ("one", "two")[number % 2]
            sending = asyncio.create_task(audit.sends(PAYMENTS_EVENTS, *events))
            await killed_at(log, WRITTEN[number % len(WRITTEN)], victim, started)
            await sending
            await started.start(victim)

        async def accounted() -> int:
            return sum(row[0] for row in await log.rows("SELECT next_offset FROM audit.coverage"))

        await eventually(accounted, lambda offsets: offsets == 2 * len(told), timeout_seconds=90)
        recorded = await log.rows("SELECT event_id FROM audit.audit_log ORDER BY seq")
        assert sorted(event_id for (event_id,) in recorded) == sorted(told)
        assert await log.findings() == []
        assert await log.rows("SELECT count(*) FROM audit.dead_letters") == [(0,)]


async def test_a_zombie_that_commits_late_records_nothing(log: Log) -> None:
    """Two members hold the same partition; the one that was paused does not know that the other has gone on."""
    records = log.records(*some_events(3))
    for record in records:
        consumer.read(record)
    async with log.database.reading() as tx:
        known = await positions.load(tx.connection, SCHEMA, consumer.name, [records[0].part])
    zombie = Delivery(consumer, SCHEMA, records[:2], known)
    await log.takes(*records)

    with pytest.raises(BatchLostError):
        await run_batch(log.database, zombie, Limits())
    assert (await log.report()).records == 3
    assert await log.findings() == []


async def test_writers_at_the_same_time_take_turns_at_the_head(log: Log) -> None:
    """The same ids come in every partition, so that writers meet in the ids too."""
    events = some_events(40)
    await asyncio.gather(*(log.takes(*log.records(*events, partition=number)) for number in range(6)))

    assert [seq for (seq,) in await log.rows("SELECT seq FROM audit.audit_log ORDER BY seq")] == list(range(1, 41))
    assert await log.rows("SELECT sum(recorded), sum(duplicate) FROM audit.coverage") == [(40, 200)]
    assert await log.rows("SELECT count(*) FROM audit.dead_letters") == [(0,)]
    assert await log.findings() == []


async def test_a_batch_that_loses_its_connection_at_any_statement_is_taken_again(log: Log) -> None:
    for number, table in enumerate(WRITTEN):
        async with log.connection(log.place.admin_url) as admin, admin.transaction():
            await admin.execute(f"LOCK TABLE audit.{table} IN EXCLUSIVE MODE")
            batch = asyncio.create_task(log.takes(*log.records(*some_events(20, f"pay_{number}"))))
            async with log.connection(log.place.admin_url) as watch:
                await eventually(partial(_terminated, watch))
        done = await batch
        assert done.attempts > 1
    assert (await log.report()).records == 20 * len(WRITTEN)
    assert await log.findings() == []


async def _terminated(connection: asyncpg.Connection) -> int:
    """End the connections that wait for a lock; returns how many there were."""
    query = f"SELECT count(*) FILTER (WHERE pg_terminate_backend(pid)) {WAITING}"
    return int(await connection.fetchval(query))
