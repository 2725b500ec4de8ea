"""The whole stack under measurement: all five services and the simulator, told what local mode would tell them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, replace

import httpx
from backbone import identity, ports, topics
from backbone.catalogue import BY_NAME, ROLES, SERVICES, SIMULATOR, SIMULATOR_PORTS, Surroundings, simulating
from backbone.credentials import Credentials
from chassis.tokens import mint
from contracts.roles import Role, scopes_of
from contracts.topics import TOPICS

from tests.bench.lab import Lab, new_run
from tests.bench.processes import Measured, cpu_seconds, until
from tests.support.infrastructure import TemporaryDatabase

READY_LIMIT_SECONDS = 120.0
PROCESSES: Mapping[str, int] = {"payments": 2}
"""Services that run more than once: a pause has to reach both processes of payments."""


@dataclass(slots=True)
class Stack:
    """Five services that run. Rate limits are out of the way; everything else is as `backbone up` would have it."""

    lab: Lab
    run: str
    database: TemporaryDatabase
    around: Surroundings
    processes: list[Measured]

    @property
    def gateway(self) -> str:
        return self.around.url("gateway")

    @property
    def prefix(self) -> str:
        """What its topics begin with."""
        return f"{self.run}-"

    def token(self, role: Role = "owner") -> str:
        """A bearer token that the gateway believes."""
        return identity.for_gateway(self.around.credentials, identity.staff(role), role)

    def service_token(self, service: str, role: Role = "owner") -> str:
        """A token that one service behind the gateway believes, for a minute."""
        key = self.around.credentials.token_private_key
        return mint(key, audience=service, actor=identity.staff(role), scopes=scopes_of(role))

    def client(self, role: Role = "owner") -> httpx.AsyncClient:
        """Somebody who calls the gateway."""
        headers = {"authorization": f"Bearer {self.token(role)}"}
        return httpx.AsyncClient(base_url=self.gateway, headers=headers, timeout=10)

    def cpu(self) -> float:
        """CPU seconds of all services together."""
        return sum(cpu_seconds(process.pid) for process in self.processes)

    def check(self) -> None:
        """Raises EndedEarlyError when a process is no longer there."""
        for process in self.processes:
            process.check()


@asynccontextmanager
async def standing(lab: Lab) -> AsyncIterator[Stack]:
    """Start everything, wait until all of it is ready; stop it when the block ends."""
    run = new_run()
    database = await lab.service_database(*BY_NAME)
    around = _around(lab, run, database)
    prefix = f"{run}-"
    await asyncio.to_thread(topics.apply, lab.kafka, [replace(topic, name=prefix + topic.name) for topic in TOPICS])
    try:
        with ExitStack() as running:
            environment = simulating(around, lab.directory / f"{run}.simulator.json")
            started = [_start(lab, run, SIMULATOR, [SIMULATOR], environment)]
            for service in SERVICES:
                for number, url in enumerate(around.services[service.name], 1):
                    instance = f"{service.name}-{number}"
                    told = service.serving(around, instance, int(url.rpartition(":")[2]))
                    told |= {
                        f"{service.package.upper()}_{name.upper()}": value
                        for name, value in _differing(service.name, prefix).items()
                    }
                    started.append(_start(lab, run, instance, [service.package, "serve"], told))
            for process in started:
                running.enter_context(process)
            stack = Stack(lab, run, database, around, started)
            await _all_ready(stack)
            yield stack
    finally:
        await lab.databases.drop(database)


def _differing(service: str, prefix: str) -> dict[str, str]:
    """What is other than in local mode."""
    kinds = ("read", "write", "anonymous") if service == "gateway" else ()
    limits = {f"rate_limit_{kind}": "1000000/minute" for kind in kinds}
    return {"topic_prefix": prefix, "log_level": "warning", **limits}


def _around(lab: Lab, run: str, database: TemporaryDatabase) -> Surroundings:
    urls: dict[str, Sequence[str]] = {
        service.name: [f"http://127.0.0.1:{ports.free_port()}" for _ in range(PROCESSES.get(service.name, 1))]
        for service in SERVICES
    }
    return Surroundings(
        admin_url=database.admin_url,
        bootstrap_servers=lab.kafka,
        clock=lab.directory / f"{run}.clock.json",
        credentials=Credentials(roles=dict.fromkeys(ROLES, database.password)),
        simulator_ports={origin: ports.free_port() for origin in SIMULATOR_PORTS},
        services=urls,
    )


def _start(lab: Lab, run: str, name: str, module: Sequence[str], environment: Mapping[str, str]) -> Measured:
    return Measured(name, module, environment, lab.log(f"stack-{name}-{run}"))


async def _all_ready(stack: Stack) -> None:
    urls = [url for several in stack.around.services.values() for url in several]
    async with httpx.AsyncClient(timeout=5) as client:

        async def ready() -> bool:
            stack.check()
            try:
                answers = [await client.get(f"{url}/health/ready") for url in urls]
            except httpx.TransportError:
                return False
            return all(answer.is_success for answer in answers)

        await until("all five services are ready", ready, READY_LIMIT_SECONDS, pause_seconds=0.25)
