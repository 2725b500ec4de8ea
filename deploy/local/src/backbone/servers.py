"""PostgreSQL and Apache Kafka of the stack: where they come from, how they start, stop and lose their data.

In this order: a URL in the environment; the place where this stack's data already lie; containers where an engine
answers and has the images; processes of our own. So a container engine that appears one day never makes data vanish.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, Literal
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from backbone import containers, jars, kafka, postgres
from backbone.credentials import Credentials
from backbone.faults import LocalError
from backbone.kafka import Broker
from backbone.places import Places, postgres_place, postgres_user
from backbone.postgres import Cluster
from backbone.settings import LocalSettings
from backbone.state import Server, Source
from backbone.waiting import Progress, wait_for

DATABASE: Final = "backbone"
GIVEN_LIMIT_SECONDS: Final = 30
TITLES: Final = {"postgres": "PostgreSQL", "kafka": "Apache Kafka"}
Name = Literal["postgres", "kafka"]


@dataclass(frozen=True, slots=True)
class Servers:
    """Both servers of one stack. `port` chooses a port by name; `sources` says where their data lie since earlier."""

    places: Places
    settings: LocalSettings
    credentials: Credentials
    sources: Mapping[str, Source]
    port: Callable[[str], int]
    progress: Progress

    def postgres(self, running: Server | None) -> Server:
        """A PostgreSQL that accepts connections: the one that runs, or one just started."""
        if self.settings.postgres_url is not None:
            ready = partial(_lets_in, self.settings.postgres_url)
            return self._given("postgres", self.settings.postgres_url, "BACKBONE_POSTGRES_URL", ready)
        if running is not None and running.source != "given" and is_running(running):
            return running
        started = self._start_postgres()
        try:
            return started.model_copy(update={"url": asyncio.run(_with_database(started.url))})
        except BaseException:
            self.stop(started)
            raise

    def kafka(self, running: Server | None) -> Server:
        """An Apache Kafka that answers: the one that runs, or one just started."""
        if self.settings.kafka is not None:
            answers = partial(_any_serves, self.settings.kafka)
            return self._given("kafka", self.settings.kafka, "BACKBONE_KAFKA", answers)
        if running is not None and running.source != "given" and is_running(running):
            return running
        return self._start_kafka()

    def stop(self, server: Server) -> None:
        """Stop what is ours; leave alone what was given."""
        if server.container is not None:
            containers.stop(server.container)
        elif server.process is not None:
            server.process.stop(number=server.stop_signal, limit_seconds=postgres.STOP_LIMIT_SECONDS)

    def delete_data(self) -> None:
        """Delete both servers' data, wherever this stack has kept them, and nothing that was given."""
        for name, source in self.sources.items():
            if source == "container":
                containers.stop(self._container(name), with_data=True)
        for directory in (self.places.home / "postgres", self.places.kafka, self.places.system):
            if directory.exists():
                shutil.rmtree(directory)

    def _given(self, name: Name, url: str, variable: str, ready: Callable[[], bool]) -> Server:
        wait_for(
            f"{TITLES[name]} as {variable} names it",
            ready,
            limit_seconds=GIVEN_LIMIT_SECONDS,
            progress=self.progress,
        )
        self.progress.said(f"{TITLES[name]}: the one that {variable} names")
        return Server(source="given", url=url)

    def _start_postgres(self) -> Server:
        place = postgres_place(self.places, postgres_user())
        in_container, why = self._in_container("postgres", (place / "postgres" / "data").exists())
        if in_container:
            name, port = self._container("postgres"), self.port("postgres")
            url = containers.start_postgres(name, port, self.credentials.postgres_admin, self.progress)
            server = Server(source="container", url=url, container=name)
        else:
            cluster = Cluster(place, 0, self.credentials.postgres_admin, log_of(self.places, "postgres"))
            # A server that was forgotten must not be what its own port is taken by.
            cluster.clear_the_way(self.progress)
            port = cluster.port = self.port("postgres")
            process = cluster.start(self.progress)
            server = Server(source="embedded", url=cluster.admin_url, process=process, stop_signal=postgres.STOP_SIGNAL)
        self.progress.said(f"PostgreSQL: {why}, port {port}")
        return server

    def _start_kafka(self) -> Server:
        in_container, why = self._in_container("kafka", (self.places.kafka / "data").exists())
        if in_container:
            name, port = self._container("kafka"), self.port("kafka")
            url = containers.start_kafka(name, port, self.progress)
            server = Server(source="container", url=url, container=name)
        else:
            cache = jars.cache_directory(fallback=self.places.home / "jars")
            broker = Broker(self.places.kafka, 0, 0, log_of(self.places, "kafka"), cache)
            broker.clear_the_way()
            port = broker.port = self.port("kafka")
            broker.controller_port = self.port("kafka-controller")
            process = broker.start(self.progress)
            server = Server(source="embedded", url=broker.bootstrap_servers, process=process)
        self.progress.said(f"Apache Kafka: {why}, port {port}")
        return server

    def _in_container(self, name: Name, has_data_here: bool) -> tuple[bool, str]:
        """Whether a server belongs in a container, and the choice in words."""
        if self.sources.get(name) == "embedded" or has_data_here:
            return False, "a process of its own, where its data are"
        reason = containers.why_not()
        if reason is None:
            return True, "a container"
        if self.sources.get(name) == "container":
            raise LocalError(f"{TITLES[name]} has its data in the volume {self._container(name)}, but {reason}")
        return False, f"a process of its own ({reason})"

    def _container(self, name: str) -> str:
        return f"backbone-{self.places.system.name}-{name}"


def is_running(server: Server) -> bool:
    """Whether a server runs; of one that was given nothing is known here."""
    if server.container is not None:
        return containers.is_running(server.container)
    return server.process is None or server.process.running


def _lets_in(url: str) -> bool:
    """Whether PostgreSQL lets us in; a refusal that waiting will not change is an error at once."""
    refusal = postgres.refusal(url)
    if isinstance(refusal, asyncpg.InvalidAuthorizationSpecificationError | asyncpg.InvalidCatalogNameError):
        raise LocalError(f"PostgreSQL at BACKBONE_POSTGRES_URL does not let us in: {refusal}")
    return refusal is None


def _any_serves(bootstrap_servers: str) -> bool:
    for server in bootstrap_servers.split(","):
        host, _, port = server.strip().rpartition(":")
        if kafka.serves(int(port), host):
            return True
    return False


async def _with_database(server_url: str) -> str:
    """The superuser's URL of our database, which is made if need be."""
    connection = await asyncpg.connect(server_url, timeout=10)
    try:
        if not await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", DATABASE):
            await connection.execute(f"CREATE DATABASE {DATABASE}")
    finally:
        await connection.close(timeout=5)
    return urlunsplit(urlsplit(server_url)._replace(path=f"/{DATABASE}"))


def log_of(places: Places, name: str) -> Path:
    """The log of a server or a process of a service."""
    return places.logs / f"{name}.log"
