"""The world that the examples are replayed in: every service over a real socket, and three gateways before them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import asyncpg
import httpx
from audit.main import service as audit
from chassis.web import RequestContext
from contracts.roles import Role
from gateway.local_issuer import STAFF, LocalIssuer
from payments.main import service as payments
from provider_health.main import service as provider_health
from tasks.main import service as tasks

from tests.gateway.behind import ISSUER_KEY, Gateway, a_gateway, listening
from tests.gateway.replay.calls import Call, Where
from tests.payments.providers import NO_API, SECRETS, card_payment, deliver, know_mark, works
from tests.support.eventually import eventually
from tests.support.infrastructure import TemporaryDatabase
from tests.support.services import RunningService, running

DATABASES = ("payments", "provider-health", "tasks", "audit", "gateway")
SETTINGS: dict[str, dict[str, Any]] = {
    "payments": {**SECRETS, **NO_API},
    "provider-health": {},
    "tasks": {},
    "audit": {},
}
"""What each service has to be told to run here, beyond what `running` tells."""


@dataclass(frozen=True, slots=True)
class World:
    """Everything that a call may need."""

    services: dict[str, RunningService[Any]]
    gateways: dict[Where, Gateway]
    database: TemporaryDatabase

    async def send(self, call: Call) -> httpx.Response:
        """Call an operation."""
        gateway = self.gateways[call.where]
        headers = dict(call.headers)
        if call.role is not None:
            roles: list[Role] = [] if call.role == "stranger" else [call.role]
            headers["Authorization"] = f"Bearer {LocalIssuer(ISSUER_KEY).token(STAFF['owner'], roles)}"
        body = {"json": call.json} if call.json is not None else {"content": call.content}
        path = call.path.format_map(call.names)
        return await gateway.http.request(call.method, path, params=call.query, headers=headers, **body)

    async def ask(self, method: str, path: str, **given: Any) -> Any:
        """Do something as the owner, which has to succeed; returns what was answered."""
        answer = await self.gateways["door"].call(method, path, **given)
        assert answer.is_success, (method, path, answer.status_code, answer.text)
        return answer.json()

    async def execute(self, statement: str, *values: Any) -> str:
        """Put something into a database that no operation could; returns PostgreSQL's own word of what it did."""
        connection = await asyncpg.connect(self.database.admin_url, timeout=10)
        try:
            return str(await connection.execute(statement, *values))
        finally:
            await connection.close(timeout=10)


@asynccontextmanager
async def a_world(database: TemporaryDatabase, kafka: str, prefix: str) -> AsyncIterator[World]:
    """All services with something in each of them."""
    async with AsyncExitStack() as stack:
        services: dict[str, RunningService[Any]] = {}
        known: tuple[Any, ...] = (payments, provider_health, tasks, audit)
        for service in known:
            started = running(service, database, kafka, prefix, **SETTINGS[service.name])
            services[service.name] = await stack.enter_async_context(started)
        urls = {
            f"{name.replace('-', '_')}_url": await stack.enter_async_context(listening(each.runtime.application()))
            for name, each in services.items()
        }
        patient: dict[str, Any] = {
            "upstream_timeout_seconds": 30
        }  # what is asked is whether the answer is right, not how fast it is
        strict: dict[str, Any] = {**patient, "rate_limit_read": "1/day", "rate_limit_write": "1/day"}
        gateways: dict[Where, Gateway] = {
            "door": await stack.enter_async_context(a_gateway(database, **urls, **patient)),
            "strict": await stack.enter_async_context(a_gateway(database, **urls, **strict)),
            "deserted": await stack.enter_async_context(a_gateway(database)),
        }
        limiter, context = gateways["strict"].door.limiter, RequestContext("replay-0001", "")
        await limiter.admit(context, "read", STAFF["owner"].id)
        await limiter.admit(context, "write", STAFF["owner"].id)
        world = World(services, gateways, database)
        await _something_has_happened(world)
        yield world


async def _something_has_happened(world: World) -> None:
    """Mark's payment has failed at Stripe, and the audit log has it."""
    ours = world.services["payments"]
    await know_mark(ours)
    await deliver(ours, *card_payment("replayed"))
    await works(ours)

    async def recorded() -> Any:
        return (await world.ask("GET", "/v1/audit/records"))["items"]

    await eventually(recorded)
