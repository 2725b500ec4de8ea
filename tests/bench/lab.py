"""The laboratory: a durable PostgreSQL and an Apache Kafka of the bench's own, with their data in a temporary place."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg
from backbone import ports
from backbone.kafka import Broker, new_broker
from backbone.postgres import Cluster, new_password

from tests.bench.processes import cpu_seconds
from tests.support.infrastructure import Databases, TemporaryDatabase

BASELINE_SCHEMA = Path(__file__).parent / "floor" / "schema.sql"

# fsync, full_page_writes and synchronous_commit stay on. The commit time of a row tells when it was durable.
POSTGRES_SETTINGS = {"track_commit_timestamp": "on"}


@dataclass(slots=True)
class Lab:
    """What every subject is measured on."""

    directory: Path
    cluster: Cluster
    broker: Broker
    seconds: float
    databases: Databases = field(init=False)

    def __post_init__(self) -> None:
        self.databases = Databases(self.cluster.admin_url)

    @property
    def kafka(self) -> str:
        return self.broker.bootstrap_servers

    def log(self, name: str) -> Path:
        return self.directory / f"{name}.log"

    def postgres_cpu(self) -> float:
        assert self.cluster.process is not None
        return cpu_seconds(self.cluster.process.pid)

    def kafka_cpu(self) -> float:
        assert self.broker.process is not None
        return cpu_seconds(self.broker.process.pid)

    async def baseline_database(self) -> TemporaryDatabase:
        """A new database with the rows that both baselines write."""
        database = await self.databases.create()
        async with connected(database.admin_url) as connection:
            await connection.execute(BASELINE_SCHEMA.read_text())
        return database

    async def service_database(self, *services: str) -> TemporaryDatabase:
        """A new database in which the named services of ours are migrated."""
        return await self.databases.create(await self.databases.template_for(services))

    async def settle(self) -> None:
        """Let no checkpoint of the round before fall into the next."""
        async with connected(self.cluster.admin_url) as connection:
            await connection.execute("CHECKPOINT")


@contextlib.asynccontextmanager
async def connected(url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(url, timeout=10)
    try:
        yield connection
    finally:
        await connection.close(timeout=10)


def new_run() -> str:
    """A name that no other round shares; ids of a round begin with it."""
    return f"b{uuid.uuid4().hex[:7]}x"


@contextlib.contextmanager
def laboratory(seconds: float, keep: bool = False) -> Iterator[Lab]:
    """Start both servers; stop them and remove their data when the block ends."""
    directory = Path(tempfile.mkdtemp(prefix="backbone-bench-"))
    # PostgreSQL's user passes through when the bench runs as root.
    directory.chmod(0o711)
    cluster = Cluster(directory, ports.free_port(), new_password(), directory / "postgres.log", POSTGRES_SETTINGS)
    broker = new_broker(directory / "kafka", directory / "kafka.log")
    try:
        cluster.start()
        broker.start()
        yield Lab(directory, cluster, broker, seconds)
    finally:
        broker.stop()
        cluster.stop()
        if not keep:
            shutil.rmtree(directory, ignore_errors=True)
