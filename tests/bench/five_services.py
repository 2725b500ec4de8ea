"""Events of five services to their audit records, 100/s offered: deliveries, tasks and notes on an incident at once.

Every event carries the real time at which it was told; its record's commit time is PostgreSQL's own. What a delivery
becomes is payments' to say (two events each here); a task and a note are one event each.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from uuid import uuid4

import httpx
from backbone import identity

from tests.bench import calls
from tests.bench.bodies import CUSTOMERS, customer
from tests.bench.figures import Round, Verdict, percentile
from tests.bench.ingress import PATH, generator_arguments, read_answers
from tests.bench.lab import connected
from tests.bench.processes import Generator, until
from tests.bench.stack import Stack
from tests.bench.whole import a_task, call, created

DELIVERIES_PER_SECOND = 30
TASKS_PER_SECOND = 25.0
NOTES_PER_SECOND = 14.0
REFUSALS_PER_SECOND = 1.0
SPAN_FACTOR = 3.0
WARM_UP_SECONDS = 2.0
WARM_UP_TASKS = 30
LIMIT_SECONDS = 60.0


async def five_services(stack: Stack) -> tuple[Round, Verdict]:
    """Everybody at once; every event that was told inside the span has to have its record, once."""
    seconds = stack.lab.seconds * SPAN_FACTOR
    await _add_members(stack)
    async with stack.client() as client:
        for number in range(WARM_UP_TASKS):
            await created(client, a_task(number))
    delivering = asyncio.create_task(_deliver(stack, seconds))
    noting = asyncio.create_task(_note(stack, seconds + WARM_UP_SECONDS))
    refusing = asyncio.create_task(_be_refused(stack, seconds + WARM_UP_SECONDS))
    opened = await call(
        stack, stack.gateway, _tasks(stack, seconds), rate=TASKS_PER_SECOND, seconds=seconds, warm_up=WARM_UP_SECONDS
    )
    began_ns, ended_ns, accepted, not_accepted = await delivering
    await asyncio.gather(noting, refusing)
    await _all_recorded(stack, accepted)
    async with connected(stack.database.admin_url) as connection:
        rows = await connection.fetch(
            """
            SELECT source, event_id, extract(epoch FROM pg_xact_commit_timestamp(xmin) - occurred_at) AS seconds
            FROM audit.audit_log
            WHERE occurred_at >= to_timestamp($1::double precision) AND occurred_at < to_timestamp($2::double precision)
            """,
            began_ns / 1e9,
            ended_ns / 1e9,
        )
    took = [float(row["seconds"]) * 1e3 for row in rows]
    sources = Counter(row["source"] for row in rows)
    ids = {row["event_id"] for row in rows}
    made = Round(
        rate=len(rows) / seconds,
        p50_ms=percentile(took, 0.5),
        p99_ms=percentile(took, 0.99),
        cpu_ms=opened.server_cpu / max(1, len(rows)) * 1e3,
        postgres_cpu_ms=opened.postgres_cpu / max(1, len(rows)) * 1e3,
        notes=(
            ", ".join(f"{source.strip('/')} {count}" for source, count in sorted(sources.items())),
            *(f"{count} tasks were answered with {status}" for status, count in opened.refused.items()),
        ),
    )
    return made, Verdict(lost=opened.failed + not_accepted, doubled=len(rows) - len(ids))


async def _add_members(stack: Stack) -> None:
    async with httpx.AsyncClient(base_url=stack.around.url("payments"), timeout=10) as client:
        for number in range(CUSTOMERS):
            headers = {"authorization": f"Bearer {stack.service_token('payments')}"}
            customers = [{"provider": "stripe", "reference": customer(number)}]
            member = {"name": "Mark Stevens", "customers": customers}
            (await client.put(f"/members/bench-{number}", json=member, headers=headers)).raise_for_status()


async def _deliver(stack: Stack, seconds: float) -> tuple[int, int, int, int]:
    """Send signed deliveries; returns when the span began and ended, and how many were accepted, how many not."""
    out = stack.lab.directory / f"{stack.run}.answers"
    url = f"{stack.around.url('payments')}{PATH}"
    arguments = generator_arguments(url, stack.run, out, seconds=seconds, warm_up=WARM_UP_SECONDS)
    arguments[arguments.index("--secret") + 1] = stack.around.credentials.stripe_webhook
    count = int((seconds + WARM_UP_SECONDS) * DELIVERIES_PER_SECOND * 1.1)
    arguments += ["--count", str(count), "--connections", "8", "--rate", str(DELIVERIES_PER_SECOND)]
    async with Generator(arguments, stack.lab.log(f"load-{stack.run}")) as generator:
        await generator.says("ready")
        await generator.go()
        await generator.says("measuring")
        began_ns = time.time_ns()
        await generator.says("measured")
        ended_ns = time.time_ns()
        await generator.says("done")
    answers = read_answers(out)
    out.unlink()
    accepted = sum(200 <= status < 300 for *_, status in answers)
    return began_ns, ended_ns, accepted, len(answers) - accepted


def _tasks(stack: Stack, seconds: float) -> list[bytes]:
    body = b'{"kind": "general", "queue": "Operations", "fields": {"title": "Look at what the bench has sent"}}'
    headers = {"authorization": f"Bearer {stack.token()}"}
    count = int((seconds + WARM_UP_SECONDS) * TASKS_PER_SECOND * 1.2) + 1
    url = f"{stack.gateway}/v1/tasks"
    return [calls.request("POST", url, headers | {"idempotency-key": str(uuid4())}, body) for _ in range(count)]


async def _note(stack: Stack, seconds: float) -> None:
    """Write to an incident's timeline, one note after the other."""
    async with stack.client() as client:
        given = {"title": "Members wait", "provider": "members-api", "severity": 3}
        answer = await client.post("/v1/incidents", json=given, headers={"idempotency-key": str(uuid4())})
        incident = answer.raise_for_status().json()
        ends, number = time.monotonic() + seconds, 0
        began = time.monotonic()
        while time.monotonic() < ends:
            headers = {"if-match": f'"{incident["version"]}"', "idempotency-key": str(uuid4())}
            url = f"/v1/incidents/{incident['id']}/note"
            answer = await client.post(url, json={"note": f"note {number}"}, headers=headers)
            incident = answer.raise_for_status().json()
            number += 1
            await asyncio.sleep(max(0.0, began + number / NOTES_PER_SECOND - time.monotonic()))


async def _be_refused(stack: Stack, seconds: float) -> None:
    """Try what a coach may not do, each time as another one: the gateway tells of each once a minute."""
    given = {"scope": {"action": "all"}, "reason": "to try", "expires_in_minutes": 5}
    async with httpx.AsyncClient(base_url=stack.gateway, timeout=10) as client:
        for number in range(int(seconds * REFUSALS_PER_SECOND)):
            coach = identity.staff("coach").model_copy(update={"id": f"coach-{number}"})
            token = identity.for_gateway(stack.around.credentials, coach, "coach")
            headers = {"authorization": f"Bearer {token}", "idempotency-key": str(uuid4())}
            answer = await client.post("/v1/pauses", json=given, headers=headers)
            assert answer.status_code == 403, answer.text
            await asyncio.sleep(1 / REFUSALS_PER_SECOND)


async def _all_recorded(stack: Stack, accepted: int) -> None:
    """Wait until every delivery has its record, and what every service had to tell is on the bus and recorded."""
    async with connected(stack.database.admin_url) as connection:

        async def there() -> bool:
            stack.check()
            for schema in ("payments", "provider_health", "tasks", "gateway"):
                if await connection.fetchval(f"SELECT EXISTS (SELECT FROM {schema}.outbox)"):
                    return False
            statement = "SELECT count(*) FROM audit.audit_log WHERE action = 'payment_provider_event.ingested'"
            return bool(await connection.fetchval(statement) >= accepted)

        await until("the audit log holds every event", there, LIMIT_SECONDS, pause_seconds=0.25)
    await asyncio.sleep(0.5)
