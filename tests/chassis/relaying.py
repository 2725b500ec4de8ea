"""A ground for relays in tests: a schema with the outbox as a migration makes it, topics, and what they hold."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import groupby

import asyncpg
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from chassis import outbox
from chassis.clock import BusinessClock
from chassis.database import Database, create_engine
from chassis.ids import new_id
from chassis.kafka import KafkaSettings
from chassis.outbox import OUTBOX_STORAGE, OutboxState, ParkedKey, outbox_table
from chassis.provisioning import Roles, provision
from chassis.relay import Relay
from chassis.transaction import Outgoing
from sqlalchemy import MetaData, text

from tests.support.eventually import eventually
from tests.support.infrastructure import TemporaryDatabase

SCHEMA = "payments"
TOPIC = "payments-events"


async def lay_outbox(database: TemporaryDatabase, schema: str = SCHEMA) -> None:
    """Provision `schema` in an empty database and create the outbox in it, as its service's migration would."""
    await provision(database.admin_url, Roles(schema, database.password, database.password))
    metadata = MetaData(schema=schema)
    outbox_table(metadata)
    storage = ", ".join(f"{name} = {value}" for name, value in OUTBOX_STORAGE.items())
    owner = create_engine(database.owner_url_for(schema), application="tests")
    async with owner.begin() as connection:
        await connection.run_sync(metadata.create_all)
        for statement in (
            f"ALTER TABLE {schema}.outbox ALTER COLUMN value SET STORAGE EXTERNAL",
            f"ALTER TABLE {schema}.outbox SET ({storage})",
            f"GRANT SELECT, INSERT, DELETE ON {schema}.outbox, {schema}.outbox_parked_keys TO {schema}",
        ):
            await connection.execute(text(statement))
    await owner.dispose()


def open_database(url: str, schema: str = SCHEMA) -> Database:
    engine = create_engine(url, application="tests", pool_max_connections=10)
    return Database(engine, service=schema, schema=schema, clock=BusinessClock())


def an_event(key: str, value: bytes = b"{}", *, topic: str = TOPIC) -> Outgoing:
    return Outgoing(new_id(), topic, key, value)


@dataclass(slots=True)
class Ground:
    """One service's outbox in one database, and its topics on one broker."""

    database: Database
    kafka: KafkaSettings
    urls: TemporaryDatabase

    @property
    def schema(self) -> str:
        return self.database.schema

    def relay(self, client_id: str = "relay") -> Relay:
        return Relay(self.database, KafkaSettings(self.kafka.bootstrap_servers, self.kafka.topic_prefix, client_id))

    async def make_topic(self, name: str = TOPIC, *, partitions: int = 3, **configs: str) -> None:
        dotted = {config.replace("_", "."): value for config, value in configs.items()}
        async with self.admin() as admin:
            topic = NewTopic(self.kafka.topic_prefix + name, partitions, 1, topic_configs=dotted)
            answer = await admin.create_topics([topic])
            assert [error[1] for error in answer.topic_errors] == [0], answer
            # The controller has made it; wait until the broker serves it.
            await eventually(
                lambda: admin.describe_topics([topic.name]), lambda described: described[0]["error_code"] == 0
            )

    async def configure(self, name: str = TOPIC, **configs: str) -> None:
        """Change settings of a topic, and wait until the broker goes by them."""
        wanted = {config.replace("_", "."): value for config, value in configs.items()}
        async with self.admin() as admin:
            resource = ConfigResource(ConfigResourceType.TOPIC, self.kafka.topic_prefix + name, wanted)
            await admin.alter_configs([resource])
            asked = ConfigResource(ConfigResourceType.TOPIC, self.kafka.topic_prefix + name)

            async def current() -> dict[str, str]:
                (answer,) = await admin.describe_configs([asked])
                return {entry[0]: entry[1] for entry in answer.resources[0][4]}

            await eventually(current, lambda found: wanted.items() <= found.items())

    @asynccontextmanager
    async def admin(self) -> AsyncIterator[AIOKafkaAdminClient]:
        admin = AIOKafkaAdminClient(bootstrap_servers=self.kafka.bootstrap_servers)
        await admin.start()
        try:
            yield admin
        finally:
            await admin.close()

    async def write(self, rows: Sequence[Outgoing]) -> None:
        """Commit `rows` in one transaction, and wake this process' relays."""
        async with self.database.engine.begin() as connection:
            await outbox.insert(connection, self.schema, rows)
        self.database.committed.set()

    async def waiting(self) -> list[str]:
        """The ids of the events in the outbox, oldest first."""
        return [str(row[0]) for row in await self.query(f"SELECT event_id FROM {self.schema}.outbox ORDER BY id")]

    async def state(self) -> OutboxState:
        async with self.database.reading() as tx:
            return await outbox.measure(tx.connection, self.schema)

    async def parked(self) -> list[ParkedKey]:
        async with self.database.reading() as tx:
            return await outbox.parked(tx.connection, self.schema)

    async def unpark(self, key: str, topic: str = TOPIC) -> bool:
        async with self.database.transaction() as tx:
            return await outbox.unpark(tx.connection, self.schema, topic, key) is not None

    async def query(self, statement: str) -> list[asyncpg.Record]:
        """Ask as the administrator."""
        connection = await asyncpg.connect(self.urls.admin_url, timeout=10)
        try:
            return list(await connection.fetch(statement))
        finally:
            await connection.close(timeout=10)

    async def records(self, topic: str = TOPIC) -> list[ConsumerRecord]:
        """Everything that the topic holds now, partition after partition."""
        name = self.kafka.topic_prefix + topic
        async with self.admin() as admin:
            (described,) = await admin.describe_topics([name])
        places = [TopicPartition(name, each["partition"]) for each in described["partitions"]]
        consumer = AIOKafkaConsumer(bootstrap_servers=self.kafka.bootstrap_servers, max_partition_fetch_bytes=4_000_000)
        await consumer.start()
        try:
            ends = await consumer.end_offsets(places)
            consumer.assign(places)
            await consumer.seek_to_beginning(*places)
            found: list[ConsumerRecord] = []
            while any([await consumer.position(place) < end for place, end in ends.items()]):
                for records in (await consumer.getmany(timeout_ms=1_000)).values():
                    found += records
            return sorted(found, key=lambda record: (record.partition, record.offset))
        finally:
            await consumer.stop()

    async def keys(self, topic: str = TOPIC) -> dict[str, list[bytes]]:
        """The values of each key as they stand in the topic, duplicates and all."""
        return by_key(await self.records(topic))


def by_key(records: Iterable[ConsumerRecord]) -> dict[str, list[bytes]]:
    ordered = sorted(records, key=lambda record: (record.key, record.partition, record.offset))
    return {
        key.decode(): [record.value for record in own] for key, own in groupby(ordered, key=lambda record: record.key)
    }


@asynccontextmanager
async def a_ground(
    urls: TemporaryDatabase, bootstrap_servers: str, topic_prefix: str, schema: str = SCHEMA
) -> AsyncIterator[Ground]:
    """Lay the outbox of `schema` and make its topic."""
    await lay_outbox(urls, schema)
    ground = Ground(open_database(urls.url_for(schema), schema), KafkaSettings(bootstrap_servers, topic_prefix), urls)
    await ground.make_topic()
    try:
        yield ground
    finally:
        await ground.database.close()


@asynccontextmanager
async def running(relay: Relay) -> AsyncIterator[None]:
    """Let `relay` run as a part of a process does; it ends without an error."""
    task = asyncio.create_task(relay.run())
    try:
        yield
    finally:
        await relay.stop()
        await task
