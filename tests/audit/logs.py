"""The audit log without Kafka: records are handed to the consumer just as its reader does, positions and all."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import asyncpg
from audit import verification
from audit.handlers import consumer
from audit.tables import SCHEMA
from audit.verification import Report
from chassis import positions
from chassis.batch import Done, Limits, run_batch
from chassis.clock import BusinessClock
from chassis.consumer import Delivery, Gap, Record
from chassis.database import Database, create_engine
from contracts.envelope import Event, Payload
from contracts.topics import PAYMENTS_EVENTS

from tests.support.consuming import an_event
from tests.support.infrastructure import TemporaryDatabase

Given = Event[Payload] | bytes | None


@dataclass(slots=True)
class Log:
    """One database's log; `ends` are the offsets that come next."""

    place: TemporaryDatabase
    database: Database
    ends: dict[int, int] = field(default_factory=dict)

    def records(self, *given: Given, partition: int = 0, gap: Gap | None = None) -> list[Record]:
        """Records that follow each other in a partition; `gap` lies before the first of them."""
        first = self.ends.get(partition, 0) if gap is None else gap.last + 1
        made = []
        for offset, each in enumerate(given, first):
            value = each.encode() if isinstance(each, Event) else each
            made.append(Record(PAYMENTS_EVENTS.name, partition, offset, 0, b"key", (), value))
        made[0].gap = gap
        self.ends[partition] = first + len(made)
        return made

    async def takes(self, *records: Record) -> Done:
        """One batch, committed or raised."""
        for record in records:
            consumer.read(record)
        async with self.database.reading() as tx:
            known = await positions.load(tx.connection, SCHEMA, consumer.name, [record.part for record in records])
        return await run_batch(self.database, Delivery(consumer, SCHEMA, records, known), Limits(len(records)))

    async def holds(self, *given: Given, partition: int = 0) -> None:
        """What a partition brings next."""
        await self.takes(*self.records(*given, partition=partition))

    async def report(self) -> Report:
        async with self.database.reading() as tx:
            return await verification.verify(tx.connection)

    async def findings(self) -> list[str]:
        """What verification finds, as the command prints it."""
        return [f"{each.kind}: {each.where}: {each.detail}" for each in (await self.report()).kept]

    @asynccontextmanager
    async def connection(self, url: str) -> AsyncIterator[asyncpg.Connection]:
        opened = await asyncpg.connect(url, timeout=10)
        try:
            yield opened
        finally:
            await opened.close(timeout=10)

    async def as_superuser(self, *statements: str) -> None:
        """Run statements with every right there is."""
        async with self.connection(self.place.admin_url) as connection:
            await connection.execute(";".join(statements))

    async def tampered(self, *statements: str) -> None:
        """Change the log behind its guards, and put these back."""
        tables = ("audit_log", "event_ids", "quarantine", "gaps")
        off = [f"ALTER TABLE audit.{table} DISABLE TRIGGER ALL" for table in tables]
        on = [
            f"ALTER TABLE audit.{table} ENABLE ALWAYS TRIGGER {trigger}"
            for table in (*tables, "audit_log_000000", "audit_log_000001")
            for trigger in ("append_only", "no_truncate")
        ]
        await self.as_superuser(*off, *statements, *on)

    async def rows(self, query: str) -> list[tuple[Any, ...]]:
        async with self.connection(self.place.admin_url) as connection:
            return [tuple(row) for row in await connection.fetch(query)]


@asynccontextmanager
async def a_log(place: TemporaryDatabase) -> AsyncIterator[Log]:
    engine = create_engine(place.url_for("audit"), application="tests", pool_max_connections=4)
    database = Database(engine, service="audit", schema=SCHEMA, clock=BusinessClock())
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(database.close)
        yield Log(place, database)


def some_events(count: int, name: str = "pay") -> Sequence[Event[Payload]]:
    return [an_event(f"{name}_{number}") for number in range(count)]


def too_long_to_index() -> Event[Payload]:
    """An event that the log cannot hold: its entity's id is longer than an index entry may be."""
    return an_event(os.urandom(6_000).hex())


def run_verify(url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`python -m audit verify` as a process of its own."""
    environment = {
        **os.environ,
        "AUDIT_DATABASE_URL": url,
        "AUDIT_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
    }
    command = [sys.executable, "-m", "audit", "verify", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
