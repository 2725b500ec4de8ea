"""What is measured on the whole stack, once each: reads through the gateway, the board, pauses, memory at rest."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from time import time_ns
from typing import Any
from uuid import uuid4

import httpx
from aiokafka import AIOKafkaProducer
from backbone.catalogue import SIMULATOR
from contracts.envelope import Actor, Data, Entity, Event, Workflow
from contracts.events import OperationalTaskRequested, TaskSource
from contracts.registry import type_of
from contracts.topics import TASKS_COMMANDS

from tests.bench import at_rest, calls
from tests.bench.figures import Round, Verdict, percentile
from tests.bench.ingress import read_answers
from tests.bench.lab import connected
from tests.bench.processes import Generator, until
from tests.bench.stack import Stack

READS_PER_SECOND = 50.0
TURNS = 3
BOARDS_PER_SECOND = 10.0
BOARD_TASKS = 10_000
PAUSES = 30
AT_REST_SECONDS = 10.0
LIMIT_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class Answered:
    """The answers to one span of calls: how long each took from its place on the timetable, in ms.

    `refused` are the others by status, 0 for a connection that was cut off.
    """

    took_ms: list[float]
    refused: Counter[int]
    seconds: float
    server_cpu: float
    postgres_cpu: float

    @property
    def failed(self) -> int:
        return self.refused.total()


async def call(
    stack: Stack, url: str, requests: Sequence[bytes], *, rate: float, seconds: float, warm_up: float = 1.0
) -> Answered:
    """Send requests on a timetable from a process of its own."""
    name = uuid4().hex[:8]
    file, out = stack.lab.directory / f"{name}.requests", stack.lab.directory / f"{name}.answers"
    calls.store(file, requests)
    told = {"url": url, "requests": file, "out": out, "rate": rate, "seconds": seconds, "warm-up": warm_up}
    arguments = [word for option, value in told.items() for word in (f"--{option}", str(value))]
    async with Generator(arguments, stack.lab.log(f"calls-{name}"), module="tests.bench.calls") as generator:
        await generator.says("ready")
        await generator.go()
        await generator.says("measuring")
        began, cpu, postgres = time_ns(), stack.cpu(), stack.lab.postgres_cpu()
        await generator.says("measured")
        ended = time_ns()
        used, postgres_used = stack.cpu() - cpu, stack.lab.postgres_cpu() - postgres
        await generator.says("done")
    inside = [answer for answer in read_answers(out) if began <= answer[1] <= ended]
    file.unlink()
    out.unlink()
    return Answered(
        took_ms=[(answered - due) / 1e6 for _, due, answered, status in inside if 200 <= status < 300],
        refused=Counter(status for *_, status in inside if not 200 <= status < 300),
        seconds=(ended - began) / 1e9,
        server_cpu=used,
        postgres_cpu=postgres_used,
    )


async def gateway_read(stack: Stack) -> tuple[Round, Verdict]:
    """What the gateway adds to a read of one task, at 50/s: in turn at the service and through the gateway."""
    async with stack.client() as client:
        task = await created(client, a_task(0))
    tasks_url = stack.around.url("tasks")
    direct: list[float] = []
    through: list[float] = []
    failed, cpu = 0, 0.0
    for _ in range(TURNS):
        own = {"authorization": f"Bearer {stack.service_token('tasks')}"}
        at_service = calls.request("GET", f"{tasks_url}/tasks/{task['id']}", own)
        answers = await call(stack, tasks_url, [at_service], rate=READS_PER_SECOND, seconds=stack.lab.seconds)
        direct += answers.took_ms
        failed += answers.failed
        staff = {"authorization": f"Bearer {stack.token()}"}
        at_gateway = calls.request("GET", f"{stack.gateway}/v1/tasks/{task['id']}", staff)
        answers = await call(stack, stack.gateway, [at_gateway], rate=READS_PER_SECOND, seconds=stack.lab.seconds)
        through += answers.took_ms
        failed += answers.failed
        cpu += answers.server_cpu
    notes = (split("at the service", direct), split("through the gateway", through))
    added = {share: percentile(through, share) - percentile(direct, share) for share in (0.5, 0.99)}
    rate = len(through) / (TURNS * stack.lab.seconds)
    return Round(rate, added[0.5], added[0.99], cpu / max(1, len(through)) * 1e3, 0.0, notes=notes), Verdict(failed, 0)


async def board(stack: Stack) -> tuple[Round, Verdict]:
    """The readiness board where there are 10,000 tasks, at 10/s."""
    began = time_ns()
    await _request_tasks(stack, BOARD_TASKS)
    filling = (time_ns() - began) / 1e9
    read = calls.request("GET", f"{stack.gateway}/v1/board", {"authorization": f"Bearer {stack.token('operations')}"})
    answers = await call(stack, stack.gateway, [read], rate=BOARDS_PER_SECOND, seconds=stack.lab.seconds * 3)
    took = answers.took_ms
    note = f"{BOARD_TASKS:,} tasks were asked for by bus and opened in {filling:.0f} s"
    return _round(answers, took, notes=(note,)), Verdict(answers.failed, 0)


async def pauses(stack: Stack) -> tuple[Round, Verdict]:
    """From the commit of a pause to that of the last acknowledgement, both processes of payments having stopped."""
    began, cpu = time_ns(), stack.cpu()
    async with stack.client() as client:
        for number in range(PAUSES):
            await _pause_and_release(client, number)
    seconds, used = (time_ns() - began) / 1e9, stack.cpu() - cpu
    statement = """
        SELECT extract(epoch FROM max(pg_xact_commit_timestamp(s.xmin)) - pg_xact_commit_timestamp(c.xmin)) AS seconds,
               count(*) AS stopped
        FROM provider_health.automation_pause_changes AS c JOIN provider_health.pause_stops AS s USING (epoch)
        WHERE c.change = 'paused' AND c.actor_kind = 'staff' GROUP BY c.epoch, c.xmin
    """
    async with connected(stack.database.admin_url) as connection:
        rows = await connection.fetch(statement)
    took = [float(row["seconds"]) * 1e3 for row in rows if row["stopped"] >= len(stack.around.services["payments"])]
    made = Round(
        rate=len(took) / seconds,
        p50_ms=percentile(took, 0.5),
        p99_ms=percentile(took, 0.99),
        cpu_ms=used / PAUSES * 1e3,
        postgres_cpu_ms=0.0,
        notes=(f"{len(took)} pauses, each released before the next",),
    )
    return made, Verdict(PAUSES - len(took), 0)


async def resting(stack: Stack) -> tuple[Round, Verdict]:
    """Memory of the whole stack, one process of each service, servers and simulator, when nothing happens."""
    await asyncio.sleep(AT_REST_SECONDS)
    broker, cluster = stack.lab.broker.process, stack.lab.cluster.process
    assert broker is not None
    assert cluster is not None
    single = [each for each in stack.processes if each.name == SIMULATOR or each.name.endswith("-1")]
    roots = {"postgres": cluster.pid, "kafka": broker.pid} | {each.name: each.pid for each in single}
    seen = await asyncio.to_thread(at_rest.watch, roots, AT_REST_SECONDS)
    notes = tuple(f"{name}: {pss / at_rest.MIB:,.0f} MiB, {share:.1f} % of a core" for name, pss, share in seen)
    total = sum(pss for _, pss, _ in seen) / at_rest.MIB
    return Round(total, None, None, 0.0, 0.0, notes=notes), Verdict(0, 0)


async def created(client: httpx.AsyncClient, body: dict[str, Any]) -> dict[str, Any]:
    """Open a task through the gateway."""
    answer = await client.post("/v1/tasks", json=body, headers={"idempotency-key": str(uuid4())})
    answer.raise_for_status()
    task: dict[str, Any] = answer.json()
    return task


def a_task(number: int) -> dict[str, Any]:
    """A task to open."""
    return {"kind": "general", "queue": "Operations", "fields": {"title": f"Look at delivery {number}"}}


async def _pause_and_release(client: httpx.AsyncClient, number: int) -> None:
    scope = {"provider": "stripe", "account": f"acct-{number}", "action": "collection"}
    given = {"scope": scope, "reason": "Stripe answers slowly", "expires_in_minutes": 60}
    answer = await client.post("/v1/pauses", json=given, headers={"idempotency-key": str(uuid4())})
    answer.raise_for_status()
    pause = answer.json()

    async def stopped() -> bool:
        seen = (await client.get(f"/v1/pauses/{pause['id']}")).raise_for_status().json()["acknowledgements"]
        return bool(seen["of"] >= 2 and seen["stopped"] == seen["of"])

    await until(f"pause {number} has reached both processes", stopped, 30, pause_seconds=0.02)
    headers = {"if-match": f'"{pause["version"]}"', "idempotency-key": str(uuid4())}
    release = await client.post(f"/v1/pauses/{pause['id']}/release", json={"reason": "It is over"}, headers=headers)
    release.raise_for_status()


async def _request_tasks(stack: Stack, count: int) -> None:
    """Ask for tasks as services do, by bus, and wait until they are there."""
    producer = AIOKafkaProducer(bootstrap_servers=stack.lab.kafka, acks="all", linger_ms=5)
    await producer.start()
    try:
        sent = []
        for number in range(count):
            event = _requested(number)
            topic = f"{stack.prefix}{TASKS_COMMANDS.name}"
            sent.append(await producer.send(topic, event.encode(), key=event.partitionkey.encode()))
        await asyncio.gather(*sent)
    finally:
        await producer.stop()
    async with connected(stack.database.admin_url) as connection:

        async def there() -> bool:
            stack.check()
            return bool(await connection.fetchval("SELECT count(*) FROM tasks.operational_tasks") >= count)

        await until(f"{count} tasks are open", there, LIMIT_SECONDS, pause_seconds=0.5)


def _requested(number: int) -> Event[Any]:
    declared, key, identity = type_of(OperationalTaskRequested), f"bench:{number}", str(uuid4())
    workflow = Workflow(name="collection", id=key)
    body = OperationalTaskRequested(
        dedupe_key=key,
        kind="general",
        fields={"title": f"Look at payment {number}"},
        queue="Billing",
        source=TaskSource(workflow=workflow, entity=Entity(type="payment", id=key), event_id=identity),
    )
    return declared.event(
        id=identity,
        source="/payments",
        type=declared.name,
        subject=key,
        time=datetime.now(UTC),
        dataschema=declared.dataschema,
        correlationid=identity,
        partitionkey=key,
        data=Data[OperationalTaskRequested](
            actor=Actor(kind="system", id="payments", name="Payments"),
            entity=Entity(type="task_request", id=key),
            workflow=workflow,
            body=body,
        ),
    )


def _round(answers: Answered, took: Sequence[float], notes: tuple[str, ...] = ()) -> Round:
    number = max(1, len(took))
    return Round(
        rate=len(took) / answers.seconds,
        p50_ms=percentile(took, 0.5),
        p99_ms=percentile(took, 0.99),
        cpu_ms=answers.server_cpu / number * 1e3,
        postgres_cpu_ms=answers.postgres_cpu / number * 1e3,
        notes=notes,
    )


def split(words: str, values: Sequence[float]) -> str:
    """What a note says of some latencies."""
    return f"{words}: p50 {percentile(values, 0.5):.1f} ms, p99 {percentile(values, 0.99):.1f} ms"
