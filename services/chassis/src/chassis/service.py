"""A service: what it is made of, and the process that runs it.

`Service` only names things; `Runtime` opens them from settings and closes them in reverse. A part that ends by itself
ends the process: whoever supervises it starts it again, which is the one recovery that always works. Losing Kafka or
PostgreSQL is no such end: parts keep trying and `/health/ready` says what is missing.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Generic, Protocol, TypeVar

import structlog
from fastapi import APIRouter, FastAPI
from sqlalchemy import MetaData
from starlette.routing import BaseRoute, Route

from chassis import telemetry
from chassis.clock import BusinessClock
from chassis.consumer import Consumer
from chassis.database import BATCH_SETTINGS, Database, Wake, create_engine
from chassis.dead_letters import Retrier
from chassis.evidence import Evidence, Measuring, Process, evidence_router
from chassis.idempotency import TABLE as IDEMPOTENCY_TABLE
from chassis.idempotency_pruner import KeyPruner
from chassis.letters_http import dead_letters_router
from chassis.outbox_http import outbox_router
from chassis.outbox_watch import OutboxWatch
from chassis.relay import Relay
from chassis.runner import Runner
from chassis.settings import Settings
from chassis.tokens import Verifier
from chassis.web import Check, Identify, Refused, WebState, application, described
from chassis.web.recent import RecentAnswers

S = TypeVar("S", bound=Settings)
log = structlog.get_logger()


class Part(Protocol):
    """Something that runs beside the web server for as long as the process lives."""

    @property
    def name(self) -> str: ...

    async def run(self) -> None:
        """Work until `stop` is called; ending earlier, by return or by error, ends the process."""

    async def stop(self) -> None:
        """Finish what is in flight and let `run` return."""

    def check(self) -> Check:
        """Whether this part can do its work now, for the readiness endpoint."""


class Ingress(Protocol):
    """A door of its own beside the API: plain routes, and the parts that they need while they are open."""

    @property
    def routes(self) -> Sequence[Route]: ...

    @property
    def parts(self) -> Sequence[Part]: ...

    @property
    def committed(self) -> Wake:
        """Set whenever something that arrived has been committed."""


@dataclass(frozen=True, slots=True)
class Service(Generic[S]):
    """What one service consists of; its package, schema and settings prefix follow from its name."""

    name: str
    settings: type[S]
    metadata: MetaData
    routers: Sequence[APIRouter] = ()
    ingress: Callable[[Runtime[S]], Ingress] | None = None
    consumers: Sequence[Consumer | Callable[[Runtime[S]], Consumer]] = ()
    """Each as it is, or made from what the process was told."""
    workers: Sequence[Callable[[Runtime[S]], Part]] = ()
    retriers: Callable[[Runtime[S]], Mapping[str, Retrier]] | None = None
    resources: Callable[[Runtime[S]], AbstractAsyncContextManager[object]] | None = None
    """Entered before anything else of the process runs, left after everything: `Runtime.resources`, and the web
    state's."""
    identify: Callable[[Runtime[S]], Identify] | None = None
    """Who a request's caller is; an internal token says so where this is None."""
    refused: Callable[[Runtime[S]], Refused] | None = None
    """What is shown every problem that an operation was answered with."""
    relay_gather_seconds: float = 0.0
    """How long events may gather in the outbox before a round takes them, where nobody waits for them."""
    spared: frozenset[str] = frozenset()
    """Checks by name without which a process is ready all the same: they tell what is away, and close no door."""
    routes: Callable[[Runtime[S]], Sequence[BaseRoute]] | None = None
    """Plain routes that stand behind those of the routers."""
    describe: Callable[[dict[str, Any]], dict[str, Any]] | None = None
    """Given the OpenAPI document of the routers, adds what they do not say."""
    measures: Callable[[Runtime[S]], Sequence[Measuring]] | None = None
    """What this service measures about itself, beside what every service does."""
    commands: Mapping[str, Callable[[Callable[[], S], Sequence[str]], int]] = field(default_factory=dict)
    """By name: given how to load the settings (raises SettingsError) and the arguments, does it and returns the exit
    code; the first line of its docstring is its help."""

    @property
    def package(self) -> str:
        return self.name.replace("-", "_")

    @property
    def schema(self) -> str:
        return self.package

    def openapi(self) -> dict[str, Any]:
        """The OpenAPI document of this service, made from its code alone."""
        document = described(self.name, self.all_routers({}), keeps_keys=self.keeps_keys)
        return document if self.describe is None else self.describe(document)

    def all_routers(self, retriers: Mapping[str, Retrier]) -> Sequence[APIRouter]:
        """The service's own routers, and those of the tables that it keeps."""
        common = [dead_letters_router(self.schema, retriers)] if self.sets_aside else []
        return [*self.routers, *common, outbox_router(self.schema), evidence_router()]

    @property
    def sets_aside(self) -> bool:
        """Whether this service keeps dead letters."""
        return f"{self.schema}.dead_letters" in self.metadata.tables

    @property
    def keeps_keys(self) -> bool:
        """Whether every write honours an Idempotency-Key: the service has the table for it."""
        return f"{self.schema}.{IDEMPOTENCY_TABLE}" in self.metadata.tables


class Runtime(Generic[S]):
    """One process of a service: open it with `async with`, then `parts` run until they are stopped."""

    def __init__(self, service: Service[S], settings: S) -> None:
        self.service = service
        self.settings = settings
        self.clock = BusinessClock(settings.clock_file)
        self.verifier = Verifier(settings.token_public_keys, audience=service.name)
        self.parts: list[Part] = []
        self.ingress: Ingress | None = None
        self.resources: object = None
        self.failed = asyncio.Event()
        self._stopping = False
        self._exit = AsyncExitStack()

    async def __aenter__(self) -> Runtime[S]:
        settings, service = self.settings, self.service
        telemetry.configure(service.name, settings)
        connected = partial(
            create_engine,
            settings.database_url.get_secret_value(),
            application=settings.instance or service.name,
            command_timeout_seconds=settings.database_command_timeout_seconds,
        )
        self.process = Process.of(service.package, settings)
        self.database = Database(
            connected(pool_max_connections=settings.database_pool_max_connections),
            service=service.name,
            schema=service.schema,
            clock=self.clock,
            batches=connected(
                pool_max_connections=max(1, len(service.consumers) + len(service.workers)),
                server_settings=BATCH_SETTINGS,
            ),
        )
        self._exit.push_async_callback(self.database.close)
        if service.resources is not None:
            try:
                self.resources = await self._exit.enter_async_context(service.resources(self))
            except BaseException:
                await self._exit.aclose()
                raise
        if service.ingress is not None and settings.http:
            self.ingress = service.ingress(self)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._exit.aclose()

    def application(self) -> FastAPI:
        """The web application; its lifespan runs the parts that the settings switch on."""
        service, http = self.service, self.settings.http
        recent = RecentAnswers()
        state = WebState(
            database=self.database,
            verifier=self.verifier,
            settings=self.settings,
            checks=lambda: [part.check() for part in self.parts],
            resources=self.resources,
            identify=None if service.identify is None else service.identify(self),
            recent=recent,
            evidence=self._evidence(recent).taken,
            keeps_keys=self.service.keeps_keys,
            refused=None if service.refused is None else service.refused(self),
            spared=service.spared,
        )
        retriers = {} if service.retriers is None else service.retriers(self)
        return application(
            service.name,
            routers=service.all_routers(retriers) if http else (),
            state=state,
            lifespan=self._lifespan,
            routes=() if self.ingress is None else self.ingress.routes,
            further=service.routes(self) if http and service.routes is not None else (),
        )

    def _evidence(self, recent: RecentAnswers) -> Evidence:
        measures = self.service.measures
        return Evidence(
            self.database,
            self.process,
            recent,
            sets_aside=self.service.sets_aside,
            runners=lambda: [part for part in self.parts if isinstance(part, Runner)],
            own=() if measures is None else measures(self),
        )

    @asynccontextmanager
    async def _lifespan(self, _: FastAPI) -> AsyncIterator[None]:
        async with self.running():
            yield

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run every part that the settings switch on; stop them, in reverse, when the block ends."""
        self.parts = list(self._make_parts())
        tasks = [asyncio.create_task(self._supervised(part), name=part.name) for part in self.parts]
        try:
            yield
        finally:
            self._stopping = True
            for part in reversed(self.parts):
                await self._stopped(part)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _make_parts(self) -> Sequence[Part]:
        settings, service = self.settings, self.service
        parts: list[Part] = [] if self.ingress is None else [*self.ingress.parts]
        if settings.relay:
            relay = Relay.of(self.database, settings, gather_seconds=service.relay_gather_seconds)
            parts += [relay, OutboxWatch.of(self.database, settings)]
        if settings.consume:
            made = [each if isinstance(each, Consumer) else each(self) for each in service.consumers]
            parts += [consumer.runner(self.database, settings) for consumer in made]
        if settings.work and service.keeps_keys:
            parts.append(KeyPruner(self.database, retention_hours=settings.idempotency_retention_hours))
        if settings.work:
            parts += [worker(self) for worker in service.workers]
        return parts

    async def _supervised(self, part: Part) -> None:
        try:
            await part.run()
        except Exception:
            log.exception("part.died", part=part.name)
        if not self._stopping:
            log.error("part.ended", part=part.name, next_step="the process exits, its supervisor starts it again")
            self.failed.set()

    async def _stopped(self, part: Part) -> None:
        with contextlib.suppress(Exception):
            async with asyncio.timeout(self.settings.shutdown_timeout_seconds):
                return await part.stop()
        log.error("part.stop_failed", part=part.name)
        return None
