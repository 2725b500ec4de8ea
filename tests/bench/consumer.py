"""Consumer: Kafka to table with inbox; ours is the audit service's.

The rate comes from a topic that was filled before, by the commit time that PostgreSQL keeps of every row, the first
commit left out. The latency comes from events sent at a steady rate afterwards, from send to commit.
"""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime

from backbone import ports
from contracts.topics import TOPICS

from tests.bench import topics
from tests.bench.bodies import own_events
from tests.bench.figures import Name, Round, Verdict, percentile
from tests.bench.lab import Lab, connected
from tests.bench.processes import Measured, until
from tests.bench.span import Span
from tests.bench.subjects import Place

EVENTS_PER_SECOND: dict[Name, int] = {"ours": 8_000, "floor": 8_000, "first_draft": 120}
PACED_RATE = 200.0
PACED_SECONDS: dict[Name, float] = {"ours": 4.0, "floor": 4.0, "first_draft": 1.0}
LIMIT_SECONDS = 180
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Consumer:
    """The consumer of one subject for one round."""

    def __init__(self, lab: Lab, name: Name) -> None:
        self._lab = lab
        self._name = name

    async def prepare(self) -> None:
        self._place = await Place.of(self._lab, self._name, "audit")
        await topics.create(self._lab.kafka, *(self._place.prefix + topic.name for topic in TOPICS))
        run = self._place.run
        self._many = list(own_events(run, int(EVENTS_PER_SECOND[self._name] * self._lab.seconds)))
        self._paced = list(own_events(f"{run}p", int(PACED_RATE * PACED_SECONDS[self._name])))
        await topics.fill(self._lab.kafka, self._place.topic, self._many)

    async def run(self) -> Round:
        async with connected(self._place.database.admin_url) as connection:
            self._connection = connection
            await self._lab.settle()
            with self._process() as server:
                await self._has(server, 1, pause_seconds=0.02)
                span, before = Span(self._lab, server.pid), await self._count()
                await self._has(server, len(self._many), pause_seconds=0.25)
                used = span.end()
                sent_ns = await topics.pace(self._lab.kafka, self._place.topic, self._paced, PACED_RATE)
                await self._has(server, len(self._many) + len(self._paced), pause_seconds=0.25)
            committed = await self._committed()
        return self._figures(used, before, committed, sent_ns)

    async def verify(self) -> Verdict:
        async with connected(self._place.database.admin_url) as connection:
            rows = await connection.fetch(f"SELECT event_id FROM {self._table}")
        times = Counter(str(row["event_id"]) for row in rows)
        expected = {event.id for event in (*self._many, *self._paced)}
        return Verdict(lost=len(expected - times.keys()), doubled=sum(times.values()) - len(times))

    async def clean_up(self) -> None:
        await self._lab.databases.drop(self._place.database)

    def _process(self) -> Measured:
        if self._name == "ours":
            return self._place.service("audit", ports.free_port(), "consume")
        return self._place.baseline("consumer")

    @property
    def _table(self) -> str:
        return "audit.audit_log" if self._name == "ours" else "records"

    async def _count(self) -> int:
        return int(await self._connection.fetchval(f"SELECT count(*) FROM {self._table}"))

    async def _has(self, server: Measured, wanted: int, pause_seconds: float) -> None:
        async def there() -> bool:
            server.check()
            if wanted == 1:
                return bool(await self._connection.fetchval(f"SELECT EXISTS (SELECT FROM {self._table})"))
            return await self._count() >= wanted

        await until(f"{server.name} has stored {wanted} events", there, LIMIT_SECONDS, pause_seconds)

    async def _committed(self) -> dict[str, datetime]:
        """When each event's row was committed."""
        statement = f"SELECT event_id, pg_xact_commit_timestamp(xmin) AS at FROM {self._table}"
        return {str(row["event_id"]): row["at"] for row in await self._connection.fetch(statement)}

    def _figures(self, used: Span, before: int, committed: dict[str, datetime], sent_ns: dict[str, int]) -> Round:
        many = sorted(committed[event.id] for event in self._many if event.id in committed)
        after_first = sum(at > many[0] for at in many)
        late = [
            (committed[event] - EPOCH).total_seconds() * 1e3 - sent / 1e6
            for event, sent in sent_ns.items()
            if event in committed
        ]
        counted = max(1, len(many) - before)
        return Round(
            rate=after_first / max(0.001, (many[-1] - many[0]).total_seconds()),
            p50_ms=percentile(late, 0.50),
            p99_ms=percentile(late, 0.99),
            cpu_ms=used.server / counted * 1e3,
            postgres_cpu_ms=used.postgres / counted * 1e3,
            kafka_cpu_ms=used.kafka / counted * 1e3,
        )
