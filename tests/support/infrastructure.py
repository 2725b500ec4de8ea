"""Real PostgreSQL and Apache Kafka for tests: one of each per run, started when the first test asks.

In this order: servers named by BACKBONE_TEST_POSTGRES_URL and BACKBONE_TEST_KAFKA; containers where an engine answers
and has the images; processes of our own. The choice stands in the header of the test run. Where several processes share
the tests of one run, the one that steers them has started both (`tests.support.workers`).
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import shutil
import signal
import tempfile
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest
from backbone import containers, ports
from backbone.kafka import FAST_START, Broker, new_broker
from backbone.postgres import Cluster, new_password
from backbone.processes import Process
from backbone.waiting import SILENT
from chassis import migrations, provisioning

POSTGRES_VARIABLE: Final = "BACKBONE_TEST_POSTGRES_URL"
KAFKA_VARIABLE: Final = "BACKBONE_TEST_KAFKA"
DIRECTORY_PREFIX: Final = "backbone-tests-"

# A test's kill ends processes, never the machine: the page cache survives, so nothing is lost without fsync.
# Where durability itself is measured or proven, `private_postgres` has it on. Databases live for a test: nothing to
# vacuum.
TEST_SETTINGS: Final = {"fsync": "off", "full_page_writes": "off", "autovacuum": "off", "max_connections": "400"}


def shared_servers(config: pytest.Config) -> dict[str, str]:
    """What the process that steers this one has told it about; nothing where one process runs all tests."""
    shared: dict[str, str] = getattr(config, "workerinput", {}).get("servers", {})
    return shared


def choice(variable: str) -> str:
    """Where the server named by `variable` comes from, in words, for the header of the run."""
    if variable in os.environ:
        return f"the one named by {variable}"
    reason = containers.why_not()
    return "a container" if reason is None else f"a process of its own ({reason})"


@dataclass(slots=True)
class Directory:
    """The session's directory: data, logs, and who runs there, so that a later session can clear up after a kill."""

    path: Path
    processes: list[Process] = field(default_factory=list)

    @classmethod
    def new(cls) -> Directory:
        path = Path(tempfile.mkdtemp(prefix=DIRECTORY_PREFIX))
        # PostgreSQL's user passes through when the tests run as root.
        path.chmod(0o711)
        directory = cls(path)
        directory._write()
        return directory

    def add(self, process: Process) -> None:
        self.processes.append(process)
        self._write()

    def _write(self) -> None:
        content = {
            "owner": Process.of(os.getpid()).model_dump(),
            "processes": [process.model_dump() for process in self.processes],
        }
        (self.path / "session.json").write_text(json.dumps(content))


def clear_up_after_killed_sessions() -> None:
    """Stop the servers and remove the data of test sessions that were killed before they could."""
    for file in Path(tempfile.gettempdir()).glob(f"{DIRECTORY_PREFIX}*/session.json"):
        try:
            content = json.loads(file.read_text())
            if Process(**content["owner"]).running:
                continue
            for process in content["processes"]:
                Process(**process).stop(number=signal.SIGINT)
            shutil.rmtree(file.parent, ignore_errors=True)
        except (OSError, ValueError):
            # Another session clears up at this moment, or it is not ours to read.
            continue


@contextmanager
def a_directory() -> Iterator[Directory]:
    """The directory of a session, removed with it."""
    clear_up_after_killed_sessions()
    # A terminated run takes the way of an interrupted one, through the fixtures that stop what they started.
    previous = signal.signal(signal.SIGTERM, signal.default_int_handler)
    directory = Directory.new()
    try:
        yield directory
    finally:
        shutil.rmtree(directory.path, ignore_errors=True)
        signal.signal(signal.SIGTERM, previous)


@contextmanager
def a_postgres(directory: Directory) -> Iterator[str]:
    """A PostgreSQL that many tests share; gives the superuser's URL."""
    given = os.environ.get(POSTGRES_VARIABLE)
    if given:
        yield given
    elif containers.why_not() is None:
        name = f"{DIRECTORY_PREFIX}postgres-{uuid.uuid4().hex[:8]}"
        try:
            yield containers.start_postgres(name, ports.free_port(), new_password(), SILENT)
        finally:
            containers.stop(name, with_data=True)
    else:
        cluster = _cluster(directory.path, TEST_SETTINGS)
        try:
            directory.add(cluster.start())
            yield cluster.admin_url
        finally:
            cluster.stop()


@contextmanager
def a_kafka(directory: Directory) -> Iterator[str]:
    """An Apache Kafka that many tests share; gives its bootstrap servers."""
    given = os.environ.get(KAFKA_VARIABLE)
    if given:
        yield given
    elif containers.why_not() is None:
        name = f"{DIRECTORY_PREFIX}kafka-{uuid.uuid4().hex[:8]}"
        try:
            yield containers.start_kafka(name, ports.free_port(), SILENT)
        finally:
            containers.stop(name, with_data=True)
    else:
        broker = new_broker(directory.path / "kafka", directory.path / "kafka.log", FAST_START)
        try:
            directory.add(broker.start())
            yield broker.bootstrap_servers
        finally:
            broker.stop()


@pytest.fixture(scope="session")
def session_directory() -> Iterator[Directory]:
    with a_directory() as directory:
        yield directory


@pytest.fixture(scope="session")
def postgres(request: pytest.FixtureRequest) -> Iterator[str]:
    """The superuser's URL of the run's PostgreSQL."""
    shared = shared_servers(request.config)
    if shared:
        yield shared["postgres"]
    else:
        with a_postgres(request.getfixturevalue("session_directory")) as url:
            yield url


@pytest.fixture(scope="session")
def kafka(request: pytest.FixtureRequest) -> Iterator[str]:
    """The bootstrap servers of the run's Apache Kafka."""
    shared = shared_servers(request.config)
    if shared:
        yield shared["kafka"]
    else:
        with a_kafka(request.getfixturevalue("session_directory")) as servers:
            yield servers


def _cluster(place: Path, settings: dict[str, str]) -> Cluster:
    return Cluster(place, ports.free_port(), new_password(), place / "postgres.log", settings)


@pytest.fixture
def private_postgres(session_directory: Directory) -> Iterator[Cluster]:
    """A durable cluster of the test's own, started; the test may stop, kill and start it."""
    place = session_directory.path / uuid.uuid4().hex[:8]
    place.mkdir(mode=0o711)
    cluster = _cluster(place, {})
    try:
        session_directory.add(cluster.start())
        yield cluster
    finally:
        cluster.stop()
        shutil.rmtree(place, ignore_errors=True)


@pytest.fixture
def private_kafka(session_directory: Directory) -> Iterator[Broker]:
    """A broker of the test's own, started; the test may stop, kill and start it."""
    place = session_directory.path / uuid.uuid4().hex[:8]
    broker = new_broker(place, session_directory.path / f"{place.name}.log", FAST_START)
    try:
        session_directory.add(broker.start())
        yield broker
    finally:
        broker.stop()
        shutil.rmtree(place, ignore_errors=True)


@pytest.fixture
def topic_prefix() -> str:
    """What a test prepends to its topics and consumer groups, so that no two tests meet."""
    return f"t{uuid.uuid4().hex[:10]}-"


@dataclass(frozen=True, slots=True)
class TemporaryDatabase:
    """A database that lives as long as its test."""

    admin_url: str
    password: str

    def url_for(self, service: str) -> str:
        """The URL of the role that `service` runs as."""
        return _with(self.admin_url, user=_schema(service), password=self.password)

    def owner_url_for(self, service: str) -> str:
        """The URL of the role that owns `service`'s schema and migrates it."""
        return _with(self.admin_url, user=provisioning.owner_of(_schema(service)), password=self.password)


def _schema(service: str) -> str:
    return service.replace("-", "_")


def _with(url: str, *, user: str | None = None, password: str | None = None, database: str | None = None) -> str:
    parts = urlsplit(url)
    who = parts.netloc.rpartition("@")[0] if user is None else f"{user}:{password}"
    where = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{who}@{where}", path=parts.path if database is None else f"/{database}"))


@dataclass(frozen=True, slots=True)
class Databases:
    """Makes databases: empty ones, and copies of templates in which services are already migrated.

    `run` is in the names of the templates: all processes of one run share them.
    """

    server_url: str
    run: str = field(default_factory=lambda: uuid.uuid4().hex[:12])

    @property
    def password(self) -> str:
        """Of every service role. Roles belong to the server: two sessions that share it must agree."""
        return hashlib.sha256(self.server_url.encode()).hexdigest()[:32]

    async def create(self, template: str | None = None) -> TemporaryDatabase:
        """A new database, empty or a copy of `template`."""
        name = f"t_{uuid.uuid4().hex[:12]}"
        async with self._server() as connection:
            await connection.execute(f"CREATE DATABASE {name} TEMPLATE {template or 'template0'}")
        return TemporaryDatabase(_with(self.server_url, database=name), self.password)

    async def drop(self, database: TemporaryDatabase) -> None:
        async with self._server() as connection:
            await connection.execute(f"DROP DATABASE IF EXISTS {_name(database)} WITH (FORCE)")

    async def template_for(self, services: tuple[str, ...]) -> str:
        """The name of a database with the roles and migrated schemas of `services`, made once per run."""
        return await self.template("_".join(map(_schema, services)), lambda database: _migrated(database, services))

    async def template(self, content: str, lay: Callable[[TemporaryDatabase], Awaitable[None]]) -> str:
        """The name of a database that `lay` has filled with `content`, once per run."""
        name = self._own + content
        async with self._server() as connection:
            await connection.execute("SELECT pg_advisory_lock(hashtext($1))", name)
            if not await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", name):
                draft = await self.create()
                await lay(draft)
                # Named when it is whole: whoever makes it may die on the way.
                await connection.execute(f"ALTER DATABASE {_name(draft)} RENAME TO {name}")
        return name

    async def drop_templates(self) -> None:
        async with self._server() as connection:
            for row in await connection.fetch(
                "SELECT datname FROM pg_database WHERE starts_with(datname, $1)", self._own
            ):
                await connection.execute(f"DROP DATABASE IF EXISTS {row['datname']} WITH (FORCE)")

    @property
    def _own(self) -> str:
        return f"t_{self.run}_"

    @asynccontextmanager
    async def _server(self) -> AsyncIterator[asyncpg.Connection]:
        connection = await asyncpg.connect(self.server_url, timeout=30)
        try:
            yield connection
        finally:
            await connection.close(timeout=10)


def _name(database: TemporaryDatabase) -> str:
    return urlsplit(database.admin_url).path.strip("/")


async def _migrated(database: TemporaryDatabase, services: tuple[str, ...]) -> None:
    for schema in map(_schema, services):
        await provisioning.provision(
            database.admin_url, provisioning.Roles(schema, database.password, database.password)
        )
        owner_url = database.owner_url_for(schema)
        await migrations.upgrade(owner_url, package=schema, schema=schema)


@pytest.fixture(scope="session")
def databases(request: pytest.FixtureRequest, postgres: str) -> Iterator[Databases]:
    shared = shared_servers(request.config)
    if shared:  # its templates are for the others too: who steers the run drops them
        yield Databases(postgres, shared["run"])
    else:
        made = Databases(postgres)
        yield made
        asyncio.run(made.drop_templates())


@pytest.fixture
async def fresh_database(databases: Databases) -> AsyncIterator[TemporaryDatabase]:
    """An empty database of the test's own."""
    database = await databases.create()
    yield database
    await databases.drop(database)


@pytest.fixture
async def database_for(databases: Databases) -> AsyncIterator[Callable[..., Awaitable[TemporaryDatabase]]]:
    """Makes databases of the test's own in which the named services are migrated: `await database_for("payments")`."""
    made: list[TemporaryDatabase] = []

    async def make(*services: str) -> TemporaryDatabase:
        made.append(await databases.create(await databases.template_for(services)))
        return made[-1]

    yield make
    for database in made:
        await databases.drop(database)
