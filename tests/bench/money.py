"""What an owner waits for: the answer to a large delivery, a line in the ledger, the ledger rebuilt and verified."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from contextlib import ExitStack
from datetime import UTC, datetime

import asyncpg
import httpx
from backbone import ports
from contracts.topics import TOPICS
from simulator import samples

from tests.bench import topics
from tests.bench.end_to_end import LIMIT_SECONDS, EndToEnd, nanoseconds, ready
from tests.bench.figures import Name, Round, Verdict, percentile
from tests.bench.ingress import PATH, generator_arguments
from tests.bench.lab import Lab, connected
from tests.bench.ledger import Ledger
from tests.bench.processes import REPOSITORY, Generator, Measured, until
from tests.bench.span import Span
from tests.bench.subjects import SECRET, Place

DELIVERY_EVENTS = 250
DELIVERIES = 120
DELIVERIES_PER_SECOND = 4.0
REBUILT_RATE = 1_000
FILLED_SECONDS = 4.0
VERIFIED_SECONDS = 8.0
REBUILT_DELIVERIES = 40
NOBODY = "http://127.0.0.1:1"
COMMAND_LIMIT_SECONDS = 300.0


class Delivery:
    """GoCardless deliveries of 250 events each, four a second, each answered once all of it is durable."""

    def __init__(self, lab: Lab, name: Name) -> None:
        self._lab = lab

    async def prepare(self) -> None:
        self._place = await Place.of(self._lab, "ours", "payments")
        await topics.create(self._lab.kafka, *(self._place.prefix + topic.name for topic in TOPICS))
        self._bodies = [large_delivery(self._place.run, number) for number in range(DELIVERIES)]

    async def run(self) -> Round:
        port = ports.free_port()
        told = {"gocardless_webhook_secrets": SECRET, "gocardless_api_url": NOBODY}
        with self._place.service("payments", port, "http", "work", "relay", **told) as server:
            await ready(server, port)
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30, trust_env=False) as client:
                await post_gocardless(client, self._bodies[0])
                await self._lab.settle()
                span = Span(self._lab, server.pid)
                took = await self._paced(client)
                used = span.end()
        events = len(took) * DELIVERY_EVENTS
        return Round(
            rate=events / used.seconds,
            p50_ms=percentile(took, 0.50),
            p99_ms=percentile(took, 0.99),
            cpu_ms=used.server / events * 1e3,
            postgres_cpu_ms=used.postgres / events * 1e3,
        )

    async def verify(self) -> Verdict:
        async with connected(self._place.database.admin_url) as connection:
            stored = await connection.fetchval("SELECT count(*) FROM payments.provider_events")
        return Verdict(lost=max(0, DELIVERIES * DELIVERY_EVENTS - stored), doubled=0)

    async def clean_up(self) -> None:
        await self._lab.databases.drop(self._place.database)

    async def _paced(self, client: httpx.AsyncClient) -> list[float]:
        """Post each body at its place on the timetable; returns how long after that it was answered, in ms."""
        began = time.monotonic()

        async def one(number: int, body: bytes) -> float:
            due = began + number / DELIVERIES_PER_SECOND
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            await post_gocardless(client, body)
            return (time.monotonic() - due) * 1e3

        return list(await asyncio.gather(*(one(number, body) for number, body in enumerate(self._bodies[1:]))))


async def post_gocardless(client: httpx.AsyncClient, body: bytes) -> None:
    """Deliver a body, signed; returns when it is durable. Raises httpx.HTTPError."""
    headers = dict(samples.sign_gocardless(body, SECRET))
    (await client.post("/webhooks/gocardless", content=body, headers=headers)).raise_for_status()


def large_delivery(run: str, number: int) -> bytes:
    """250 events of 125 debits, all of them new."""
    made = samples.gocardless_payment(
        run, customer="CU_BENCH", amount_minor=11_000, at=datetime.now(UTC), steps=("submit", "confirm")
    )[-2:]
    events = []
    for debit in range(DELIVERY_EVENTS // 2):
        name = f"{run}{number:04d}{debit:03d}"
        for step, event in enumerate(made):
            links = {**event["links"], "payment": f"PM{name}"}
            events.append({**event, "id": f"EV{name}{step}", "links": links})
    return samples.gocardless_body(events, f"WB{run}{number}")


class Visible(EndToEnd):
    """From a delivery's place on the timetable to the commit of the line in its member's ledger, 200/s offered."""

    async def run(self) -> Round:
        port = ports.free_port()
        told = {"stripe_webhook_secrets": SECRET, "token_public_keys": self._public_key(), "stripe_api_url": NOBODY}
        with self._place.service("payments", port, "http", "work", "relay", **told) as server:
            await ready(server, port)
            await self._add_members(f"http://127.0.0.1:{port}")
            async with connected(self._place.database.admin_url) as connection:
                return await self._measure(connection, [server], f"http://127.0.0.1:{port}{PATH}")

    async def _committed(self, connection: asyncpg.Connection) -> list[tuple[str, int]]:
        rows = await connection.fetch(
            "SELECT e.event_id, pg_xact_commit_timestamp(j.xmin) AS at FROM payments.journals AS j"
            " JOIN payments.provider_events AS e ON e.id = j.caused_by WHERE j.economic_key LIKE 'payment:%'"
        )
        return [(row["event_id"], nanoseconds(row["at"])) for row in rows]

    async def _all_recorded(self, connection: asyncpg.Connection, servers: list[Measured]) -> None:
        async def there() -> bool:
            for server in servers:
                server.check()
            statement = "SELECT count(*) FROM payments.journals WHERE economic_key LIKE 'payment:%'"
            return bool(await connection.fetchval(statement) >= len(self._accepted))

        await until("every payment stands in the ledger", there, LIMIT_SECONDS, pause_seconds=0.25)


class Verifying(Ledger):
    """`python -m payments verify`, start of the process included, over all that some seconds of posting leave."""

    async def prepare(self) -> None:
        await super().prepare()
        self._spans["SECONDS"] = str(VERIFIED_SECONDS)

    async def run(self) -> Round:
        self._told = await self._posted()
        async with connected(self._place.database.admin_url) as connection:
            entries = await connection.fetchval("SELECT count(*) FROM payments.ledger_entries")
            await connection.execute("VACUUM ANALYZE")
        seconds, cpu_ms = await timed(self._lab, self._environment(), "verify")
        note = f"{entries:,} entries in {seconds:.1f} s"
        return Round(entries / seconds, None, None, cpu_ms / entries, 0.0, notes=(note,))


class Rebuilding:
    """`python -m payments rebuild --check`, start of the process included, over card payments and debits."""

    def __init__(self, lab: Lab, name: Name) -> None:
        self._lab = lab

    async def prepare(self) -> None:
        self._place = await Place.of(self._lab, "ours", "payments")
        await topics.create(self._lab.kafka, *(self._place.prefix + topic.name for topic in TOPICS))
        self._out = self._lab.directory / f"{self._place.run}.answers"

    async def run(self) -> Round:
        port = ports.free_port()
        told = {"stripe_webhook_secrets": SECRET, "gocardless_webhook_secrets": SECRET}
        told |= {"stripe_api_url": NOBODY, "gocardless_api_url": NOBODY}
        with ExitStack() as running:
            server = running.enter_context(self._place.service("payments", port, "http", "work", **told))
            await ready(server, port)
            await self._fill(f"http://127.0.0.1:{port}")
            async with connected(self._place.database.admin_url) as connection:
                await until("the queue is empty", lambda: _empty(connection), LIMIT_SECONDS, pause_seconds=0.25)
                events = await connection.fetchval("SELECT count(*) FROM payments.provider_events")
        seconds, cpu_ms = await timed(self._lab, self._environment(), "rebuild", "--check")
        note = f"{events:,} events in {seconds:.1f} s"
        return Round(events / seconds, None, None, cpu_ms / events, 0.0, notes=(note,))

    async def verify(self) -> Verdict:
        return Verdict(0, 0)  # another exit code than 0 has ended the run

    async def clean_up(self) -> None:
        self._out.unlink(missing_ok=True)
        await self._lab.databases.drop(self._place.database)

    async def _fill(self, url: str) -> None:
        async with httpx.AsyncClient(base_url=url, timeout=30, trust_env=False) as client:
            for number in range(REBUILT_DELIVERIES):
                await post_gocardless(client, large_delivery(self._place.run, number))
        arguments = generator_arguments(f"{url}{PATH}", self._place.run, self._out, seconds=FILLED_SECONDS, warm_up=0.1)
        arguments += ["--count", str(int(FILLED_SECONDS * REBUILT_RATE)), "--connections", "16"]
        async with Generator(arguments, self._lab.log(f"load-{self._place.run}")) as generator:
            await generator.says("ready")
            await generator.go()
            for word in ("measuring", "measured", "done"):
                await generator.says(word)

    def _environment(self) -> dict[str, str]:
        told = {
            "database_url": self._place.database.url_for("payments"),
            "kafka_bootstrap_servers": self._lab.kafka,
            "topic_prefix": self._place.prefix,
            "log_level": "warning",
        }
        return {**os.environ, **{f"PAYMENTS_{name.upper()}": value for name, value in told.items()}}


async def _empty(connection: asyncpg.Connection) -> bool:
    return not await connection.fetchval("SELECT EXISTS (SELECT FROM payments.pending_events)")


async def timed(lab: Lab, environment: dict[str, str], *command: str) -> tuple[float, float]:
    """Run a command of payments, which must end well; returns its seconds and the milliseconds of CPU it used."""
    log = lab.log(f"payments-{command[0]}")
    began, before = time.monotonic(), os.times()
    with log.open("ab") as output:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "payments", *command, cwd=REPOSITORY, env=environment, stdout=output, stderr=output
        )
        code = await asyncio.wait_for(process.wait(), COMMAND_LIMIT_SECONDS)
    seconds, after = time.monotonic() - began, os.times()
    if code != 0:
        raise RuntimeError(f"payments {' '.join(command)} ended with {code}: {log.read_text()[-2_000:]}")
    used = after.children_user + after.children_system - before.children_user - before.children_system
    return seconds, used * 1e3
