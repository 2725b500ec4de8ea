"""End to end: from a delivery's place on the timetable to the commit of its audit record, 200/s offered.

The payments and audit services run whole, a process each; the members exist, so every event moves a payment.
"""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack
from datetime import UTC, datetime

import asyncpg
import httpx
import orjson
from backbone import ports
from chassis.tokens import mint
from contracts.envelope import Actor
from contracts.topics import TOPICS
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.bench import topics
from tests.bench.bodies import CUSTOMERS, customer, stripe_event_id
from tests.bench.figures import Name, Round, Verdict, percentile
from tests.bench.ingress import PATH, generator_arguments, read_answers
from tests.bench.lab import Lab, connected
from tests.bench.processes import Generator, Measured, until
from tests.bench.span import Span
from tests.bench.subjects import SECRET, Place

OFFERED_PER_SECOND = 200
WARM_UP_SECONDS = 3.0
SPAN_FACTOR = 2.0
CONNECTIONS = 16
LIMIT_SECONDS = 120
RECORDED = "payment_provider_event.ingested"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class EndToEnd:
    """The whole way through both services for one round."""

    def __init__(self, lab: Lab, name: Name) -> None:
        self._lab = lab
        self._name = name

    async def prepare(self) -> None:
        self._place = await Place.of(self._lab, self._name, "payments", "audit")
        await topics.create(self._lab.kafka, *(self._place.prefix + topic.name for topic in TOPICS))
        self._out = self._lab.directory / f"{self._place.run}.answers"
        self._key = Ed25519PrivateKey.generate()

    async def run(self) -> Round:
        port, audit_port = ports.free_port(), ports.free_port()
        parts = ("http", "work", "relay", "consume")
        told = {"stripe_webhook_secrets": SECRET, "token_public_keys": self._public_key()}
        with ExitStack() as running:
            payments = running.enter_context(self._place.service("payments", port, *parts, **told))
            audit = running.enter_context(self._place.service("audit", audit_port, *parts))
            await ready(payments, port)
            await ready(audit, audit_port)
            await self._add_members(f"http://127.0.0.1:{port}")
            async with connected(self._place.database.admin_url) as connection:
                return await self._measure(connection, [payments, audit], f"http://127.0.0.1:{port}{PATH}")

    async def verify(self) -> Verdict:
        times = Counter(event for event, _ in self._recorded)
        promised = {stripe_event_id(self._place.run, answer[0]) for answer in self._accepted}
        return Verdict(lost=len(promised - times.keys()), doubled=sum(times.values()) - len(times))

    async def clean_up(self) -> None:
        self._out.unlink(missing_ok=True)
        await self._lab.databases.drop(self._place.database)

    async def _measure(self, connection: asyncpg.Connection, servers: list[Measured], url: str) -> Round:
        seconds = self._lab.seconds * SPAN_FACTOR
        arguments = generator_arguments(url, self._place.run, self._out, seconds=seconds, warm_up=WARM_UP_SECONDS)
        count = int((seconds + WARM_UP_SECONDS) * OFFERED_PER_SECOND * 1.1)
        arguments += ["--count", str(count), "--connections", str(CONNECTIONS), "--rate", str(OFFERED_PER_SECOND)]
        async with Generator(arguments, self._lab.log(f"load-{self._place.run}")) as generator:
            await generator.says("ready")
            await self._lab.settle()
            await generator.go()
            await generator.says("measuring")
            spans = [Span(self._lab, server.pid, generator.pid) for server in servers]
            await generator.says("measured")
            used = [span.end() for span in spans]
            await generator.says("done")
        self._accepted = [answer for answer in read_answers(self._out) if 200 <= answer[3] < 300]
        await self._all_recorded(connection, servers)
        self._recorded = await self._committed(connection)
        return self._figures(used)

    def _figures(self, used: list[Span]) -> Round:
        committed_ns = dict(self._recorded)
        inside = [
            (due, answered, committed_ns[event])
            for number, due, answered, _ in self._accepted
            if used[0].began_ns <= due <= used[0].ended_ns
            and (event := stripe_event_id(self._place.run, number)) in committed_ns
        ]
        events = max(1, len(inside))
        whole = [(stored - due) / 1e6 for due, _, stored in inside]
        after_answer = [(stored - answered) / 1e6 for _, answered, stored in inside]
        answers = [(answered - due) / 1e6 for due, answered, _ in inside]
        return Round(
            rate=len(inside) / used[0].seconds,
            p50_ms=percentile(whole, 0.50),
            p99_ms=percentile(whole, 0.99),
            cpu_ms=sum(span.server for span in used) / events * 1e3,
            postgres_cpu_ms=used[0].postgres / events * 1e3,
            kafka_cpu_ms=used[0].kafka / events * 1e3,
            generator_cpu_ms=used[0].generator / events * 1e3,
            notes=(_split("until the 2xx", answers), _split("from the 2xx to the audit record", after_answer)),
        )

    def _public_key(self) -> str:
        kind = serialization.PublicFormat.SubjectPublicKeyInfo
        return self._key.public_key().public_bytes(serialization.Encoding.PEM, kind).decode()

    async def _add_members(self, url: str) -> None:
        key = self._key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        actor = Actor(kind="staff", id="maria.rossi", name="Maria Rossi")
        token = mint(key.decode(), audience="payments", actor=actor, scopes=["members:write"])
        async with httpx.AsyncClient(base_url=url, headers={"authorization": f"Bearer {token}"}) as client:
            for number in range(CUSTOMERS):
                member = {
                    "name": "Mark Stevens",
                    "customers": [{"provider": "stripe", "reference": customer(number)}],
                }
                answer = await client.put(f"/members/bench-{number}", json=member)
                answer.raise_for_status()

    async def _committed(self, connection: asyncpg.Connection) -> list[tuple[str, int]]:
        """The provider's event id of everything that arrived at the end, and when that was committed."""
        return await recorded(connection)

    async def _all_recorded(self, connection: asyncpg.Connection, servers: list[Measured]) -> None:
        async def there() -> bool:
            for server in servers:
                server.check()
            statement = "SELECT count(*) FROM audit.audit_log WHERE action = $1"
            return bool(await connection.fetchval(statement, RECORDED) >= len(self._accepted))

        await until("the audit log holds every event", there, LIMIT_SECONDS, pause_seconds=0.25)


async def recorded(connection: asyncpg.Connection) -> list[tuple[str, int]]:
    """The provider's event id of every record, and when the record was committed, in ns since the epoch."""
    statement = "SELECT value, pg_xact_commit_timestamp(xmin) AS at FROM audit.audit_log WHERE action = $1"
    return [
        (orjson.loads(row["value"])["data"]["body"]["provider_event"]["id"], nanoseconds(row["at"]))
        for row in await connection.fetch(statement, RECORDED)
    ]


def nanoseconds(at: datetime) -> int:
    since = at - EPOCH
    return (since.days * 86_400 + since.seconds) * 10**9 + since.microseconds * 1_000


async def ready(server: Measured, port: int) -> None:
    """Wait until the service says that it is ready."""

    async def says_so() -> bool:
        server.check()
        try:
            async with httpx.AsyncClient(timeout=5) as client:
                return (await client.get(f"http://127.0.0.1:{port}/health/ready")).is_success
        except httpx.TransportError:
            return False

    await until(f"{server.name} is ready", says_so, limit_seconds=60)


def _split(words: str, values: list[float]) -> str:
    return f"{words}: p50 {percentile(values, 0.5):.1f} ms, p99 {percentile(values, 0.99):.1f} ms"
