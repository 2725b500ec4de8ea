"""Relay: outbox to Kafka, ordered per key.

The rate comes from a full outbox, committed at once, by the broker's own clock: from the first append to the last. The
latency comes from rows that are inserted one by one at a steady rate afterwards, from insert to append.
"""

from __future__ import annotations

import asyncio
import time

import asyncpg
from backbone import ports
from contracts.topics import PAYMENTS_EVENTS

from tests.bench import topics
from tests.bench.bodies import OwnEvent, own_events
from tests.bench.figures import Name, Round, Verdict, percentile
from tests.bench.lab import Lab, connected
from tests.bench.processes import Measured, until
from tests.bench.span import Span
from tests.bench.subjects import Place

EVENTS_PER_SECOND: dict[Name, int] = {"ours": 12_000, "floor": 12_000, "first_draft": 200}
WARM_UP_EVENTS: dict[Name, int] = {"ours": 2_000, "floor": 2_000, "first_draft": 50}
PACED_RATE = 200.0
PACED_SECONDS = 4.0
DRAIN_LIMIT_SECONDS = 180


class Relay:
    """The relay of one subject for one round."""

    def __init__(self, lab: Lab, name: Name) -> None:
        self._lab = lab
        self._name = name

    async def prepare(self) -> None:
        self._place = await Place.of(self._lab, self._name, "payments")
        await topics.create(self._lab.kafka, self._place.topic, stamped_by="broker")
        run = self._place.run
        self._warm_up = list(own_events(f"{run}w", WARM_UP_EVENTS[self._name]))
        self._many = list(own_events(run, int(EVENTS_PER_SECOND[self._name] * self._lab.seconds)))
        self._paced = list(own_events(f"{run}p", int(PACED_RATE * PACED_SECONDS)))
        self._sent_ns: dict[str, int] = {}

    async def run(self) -> Round:
        async with connected(self._place.database.admin_url) as connection:
            self._connection = connection
            with self._process() as server:
                await self._insert(self._warm_up)
                await self._drained(server)
                await self._lab.settle()
                span = Span(self._lab, server.pid)
                await self._insert(self._many)
                await self._drained(server)
                used = span.end()
                await self._pace()
                await self._drained(server)
        self._seen = await topics.read_all(self._lab.kafka, self._place.topic)
        return self._figures(used)

    async def verify(self) -> Verdict:
        return topics.compare([*self._warm_up, *self._many, *self._paced], self._seen)

    async def clean_up(self) -> None:
        await self._lab.databases.drop(self._place.database)

    def _process(self) -> Measured:
        if self._name == "ours":
            return self._place.service("payments", ports.free_port(), "relay")
        return self._place.baseline("relay")

    async def _insert(self, events: list[OwnEvent]) -> None:
        """Commit all of them at once, in their order."""
        rows = [(event.id, self._outbox_topic, event.key, event.value) for event in events]
        await self._connection.copy_records_to_table(
            "outbox", schema_name=self._place.schema, records=rows, columns=["event_id", "topic", "key", "value"]
        )

    @property
    def _outbox_topic(self) -> str:
        # Ours adds the prefix when it sends.
        return PAYMENTS_EVENTS.name if self._name == "ours" else self._place.topic

    async def _drained(self, server: Measured) -> None:
        async def empty() -> bool:
            server.check()
            statement = f"SELECT NOT EXISTS (SELECT FROM {self._place.schema}.outbox)"
            return bool(await self._connection.fetchval(statement))

        await until(f"{server.name} has emptied the outbox", empty, DRAIN_LIMIT_SECONDS)

    async def _pace(self) -> None:
        began = time.monotonic()
        insert = await prepared_insert(self._connection, self._place.schema)
        for number, event in enumerate(self._paced):
            await asyncio.sleep(max(0.0, began + number / PACED_RATE - time.monotonic()))
            self._sent_ns[event.id] = time.time_ns()
            await insert.fetch(event.id, self._outbox_topic, event.key, event.value)

    def _figures(self, used: Span) -> Round:
        many = {event.id for event in self._many}
        appended = [record.timestamp_ms for record in self._seen if record.id in many]
        late = [
            record.timestamp_ms - self._sent_ns[record.id] / 1e6 for record in self._seen if record.id in self._sent_ns
        ]
        return Round(
            rate=len(many) / max(0.001, (max(appended) - min(appended)) / 1e3),
            p50_ms=percentile(late, 0.50),
            p99_ms=percentile(late, 0.99),
            cpu_ms=used.server / len(many) * 1e3,
            postgres_cpu_ms=used.postgres / len(many) * 1e3,
            kafka_cpu_ms=used.kafka / len(many) * 1e3,
        )


async def prepared_insert(connection: asyncpg.Connection, schema: str) -> asyncpg.prepared_stmt.PreparedStatement:
    return await connection.prepare(
        f"INSERT INTO {schema}.outbox (event_id, topic, key, value) VALUES ($1, $2, $3, $4)"
    )
