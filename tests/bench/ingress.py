"""Ingress: a signed Stripe event is durable before its 2xx, 64 connections in a closed loop."""

from __future__ import annotations

import contextlib
import socket
from collections import Counter
from pathlib import Path

import httpx
from backbone import ports

from tests.bench.bodies import stripe_event_id
from tests.bench.figures import Name, Round, Verdict, percentile
from tests.bench.lab import Lab, connected
from tests.bench.load import ANSWER
from tests.bench.processes import Generator, Measured, until
from tests.bench.span import Span
from tests.bench.subjects import SECRET, Place

CONNECTIONS = 64
WARM_UP_SECONDS = 2.0
SIGNED_PER_SECOND = 6_000
PATH = "/webhooks/stripe"

# The same tables in every subject: an event without its delivery or its pending row counts as lost.
STORED = """
SELECT event.event_id, count(DISTINCT delivery.id) AS deliveries, count(DISTINCT pending.id) AS pending
FROM {schema}.provider_events AS event
LEFT JOIN {schema}.webhook_deliveries AS delivery ON delivery.id = event.delivery_id
LEFT JOIN {schema}.pending_events AS pending ON pending.provider_event_id = event.id
GROUP BY event.id, event.event_id
"""


class Ingress:
    """The ingress of one subject for one round."""

    def __init__(self, lab: Lab, name: Name) -> None:
        self._lab = lab
        self._name = name
        self._answers: list[tuple[int, int, int, int]] = []

    async def prepare(self) -> None:
        self._place = await Place.of(self._lab, self._name, "payments")
        self._out = self._lab.directory / f"{self._place.run}.answers"

    async def run(self) -> Round:
        with contextlib.ExitStack() as held:
            if self._name == "ours":
                port = ports.free_port()
                server = self._place.service("payments", port, "http", stripe_webhook_secrets=SECRET)
            else:
                listening = held.enter_context(socket.socket())
                listening.bind(("127.0.0.1", 0))
                listening.listen(512)
                port = listening.getsockname()[1]
                server = self._place.baseline("ingress", listening.fileno())
            held.enter_context(server)
            await answers(server, port)
            return await self._measure(server, f"http://127.0.0.1:{port}{PATH}")

    async def _measure(self, server: Measured, url: str) -> Round:
        seconds = self._lab.seconds
        arguments = generator_arguments(url, self._place.run, self._out, seconds=seconds, warm_up=WARM_UP_SECONDS)
        count = int((seconds + WARM_UP_SECONDS) * SIGNED_PER_SECOND)
        arguments += ["--count", str(count), "--connections", str(CONNECTIONS)]
        async with Generator(arguments, self._lab.log(f"load-{self._place.run}")) as generator:
            await generator.says("ready")
            await self._lab.settle()
            await generator.go()
            await generator.says("measuring")
            span = Span(self._lab, server.pid, generator.pid)
            await generator.says("measured")
            used = span.end()
            await generator.says("done")
        server.check()
        self._answers = read_answers(self._out)
        inside = [answer for answer in self._answers if used.began_ns <= answer[2] <= used.ended_ns]
        accepted = [answer for answer in inside if 200 <= answer[3] < 300]
        events = max(1, len(accepted))
        latencies = [(answered - due) / 1e6 for _, due, answered, _ in accepted]
        return Round(
            rate=len(accepted) / used.seconds,
            p50_ms=percentile(latencies, 0.50),
            p99_ms=percentile(latencies, 0.99),
            cpu_ms=used.server / events * 1e3,
            postgres_cpu_ms=used.postgres / events * 1e3,
            generator_cpu_ms=used.generator / events * 1e3,
            notes=_notes(self._answers, count),
        )

    async def verify(self) -> Verdict:
        return await verify_stored(self._place, self._answers)

    async def clean_up(self) -> None:
        self._out.unlink(missing_ok=True)
        await self._lab.databases.drop(self._place.database)


def generator_arguments(url: str, run: str, out: Path, *, seconds: float, warm_up: float) -> list[str]:
    told = {"url": url, "secret": SECRET, "run": run, "out": out, "seconds": seconds, "warm-up": warm_up}
    return [word for name, value in told.items() for word in (f"--{name}", str(value))]


def read_answers(out: Path) -> list[tuple[int, int, int, int]]:
    """Number, due and answered (ns since the epoch) and status of every delivery."""
    return [(number, due, answered, status) for number, due, answered, status in ANSWER.iter_unpack(out.read_bytes())]


async def answers(server: Measured, port: int) -> None:
    """Wait until the process answers HTTP, whatever it says."""

    async def answered() -> bool:
        server.check()
        try:
            async with httpx.AsyncClient(timeout=5) as client:
                await client.get(f"http://127.0.0.1:{port}/health/live")
        except httpx.TransportError:
            return False
        return True

    await until(f"{server.name} answers HTTP", answered, limit_seconds=60)


async def verify_stored(place: Place, answered: list[tuple[int, int, int, int]]) -> Verdict:
    """Every delivery answered 2xx has one event, with its delivery and one pending row."""
    promised = {stripe_event_id(place.run, number) for number, _, _, status in answered if 200 <= status < 300}
    async with connected(place.database.admin_url) as connection:
        rows = await connection.fetch(STORED.format(schema=place.schema))
    whole = {row["event_id"] for row in rows if row["deliveries"] and row["pending"]}
    doubled = len(rows) - len({row["event_id"] for row in rows}) + sum(row["pending"] > 1 for row in rows)
    return Verdict(lost=len(promised - whole), doubled=doubled)


def _notes(answered: list[tuple[int, int, int, int]], count: int) -> tuple[str, ...]:
    refused = Counter(status for *_, status in answered if not 200 <= status < 300)
    notes = [
        f"{number} deliveries were answered {status or 'by a closed connection'}" for status, number in refused.items()
    ]
    if len(answered) >= count:
        notes.append("every signed delivery was used up: the rate is a lower bound")
    return tuple(notes)
