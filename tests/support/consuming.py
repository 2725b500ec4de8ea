"""A ground for consumers in tests: a schema with the chassis' tables and one of effects; topics and records."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from chassis.clock import BusinessClock, real_now
from chassis.consumer import Consumer, Record
from chassis.database import Database, create_engine
from chassis.dead_letters import dead_letters_table
from chassis.ids import new_id
from chassis.inbox import inbox_table
from chassis.outbox import outbox_table
from chassis.positions import positions_table
from chassis.provisioning import Roles, provision
from chassis.runner import Runner
from chassis.settings import Settings
from chassis.transaction import Transaction
from contracts.envelope import Actor, Data, Entity, Event, Payload, Workflow
from contracts.events import PaymentUpdated, Referenced
from contracts.registry import type_of
from contracts.topics import Topic
from sqlalchemy import Column, Identity, Integer, MetaData, Table, Text, UniqueConstraint, text

from tests.support.infrastructure import TemporaryDatabase

SCHEMA = "payments"
TABLES = {
    "outbox": "SELECT, INSERT, DELETE",
    "outbox_parked_keys": "SELECT, INSERT, DELETE",
    "inbox": "SELECT, INSERT, DELETE",
    "positions": "SELECT, INSERT, UPDATE",
    "dead_letters": "SELECT, INSERT, UPDATE",
    "effects": "SELECT, INSERT, DELETE",
    "pending": "SELECT, INSERT, UPDATE, DELETE",
}


def tables() -> MetaData:
    """The chassis' tables, `effects` that handlers write, and `pending` rows for a worker."""
    metadata = MetaData(schema=SCHEMA)
    for factory in (outbox_table, inbox_table, positions_table, dead_letters_table):
        factory(metadata)
    Table(
        "effects",
        metadata,
        Column("id", Integer, Identity(), primary_key=True),
        Column("event_id", Text, nullable=False),
        Column("note", Text, nullable=False),
        UniqueConstraint("note", name="effects_note", deferrable=True, initially="DEFERRED"),
    )
    Table("pending", metadata, Column("id", Integer, primary_key=True), Column("note", Text, nullable=False))
    return metadata


async def lay_tables(database: TemporaryDatabase) -> None:
    """Provision the schema in an empty database and create its tables, as its migration would."""
    await provision(database.admin_url, Roles(SCHEMA, database.password, database.password))
    owner = create_engine(database.owner_url_for(SCHEMA), application="tests")
    async with owner.begin() as connection:
        await connection.run_sync(tables().create_all)
        for name, grants in TABLES.items():
            await connection.execute(text(f"GRANT {grants} ON {SCHEMA}.{name} TO {SCHEMA}"))
    await owner.dispose()


def open_database(url: str) -> Database:
    engine = create_engine(url, application="tests", pool_max_connections=4)
    return Database(engine, service="payments", schema=SCHEMA, clock=BusinessClock())


def an_event(payment: str = "pay_1", *, body: Payload | None = None, dataschema: str | None = None) -> Event[Payload]:
    """An event about a payment of Mark Stevens; `payment` is its key."""
    payload = body or PaymentUpdated(change="matched", payment=Referenced(id=payment, reference=payment))
    declared = type_of(type(payload))
    return Event[Payload](
        id=new_id(),
        source="/payments",
        type=declared.name,
        subject=payment,
        time=real_now(),
        dataschema=dataschema or declared.dataschema,
        correlationid=new_id(),
        partitionkey=payment,
        data=Data(
            actor=Actor(kind="staff", id="staff_maria", name="Maria Rossi"),
            entity=Entity(type="payment", id=payment),
            workflow=Workflow(name="collection", id=payment),
            body=payload,
        ),
    )


async def note(tx: Transaction, event_id: str, words: str) -> None:
    """The effect of a handler in these tests; `words` may be noted once, which is checked at the end."""
    await tx.connection.execute(
        text(f"INSERT INTO {SCHEMA}.effects (event_id, note) VALUES (:id, :note)"), {"id": event_id, "note": words}
    )


@dataclass(frozen=True, slots=True)
class Raw:
    """A record to write as it is."""

    value: bytes | None
    key: bytes | None = None
    headers: Sequence[tuple[str, bytes | None]] = ()
    partition: int = 0


@dataclass(frozen=True, slots=True)
class Ground:
    """Where a test's consumers run: one database, one prefix on one broker."""

    database: Database
    settings: Settings

    @property
    def servers(self) -> str:
        return self.settings.kafka_bootstrap_servers

    def physical(self, topic: Topic) -> str:
        return self.settings.topic_prefix + topic.name

    @asynccontextmanager
    async def admin(self) -> AsyncIterator[AIOKafkaAdminClient]:
        client = AIOKafkaAdminClient(bootstrap_servers=self.servers)
        await client.start()
        try:
            yield client
        finally:
            await client.close()

    async def create(self, topic: Topic, *, partitions: int = 1) -> None:
        async with self.admin() as client:
            await client.create_topics([NewTopic(self.physical(topic), partitions, 1)])

    async def delete(self, topic: Topic) -> None:
        async with self.admin() as client:
            await client.delete_topics([self.physical(topic)])

    async def write(self, topic: Topic, *records: Raw | Event[Payload]) -> list[int]:
        """Write records, events to partition 0, in their order; returns their offsets."""
        producer = AIOKafkaProducer(bootstrap_servers=self.servers, acks="all")
        await producer.start()
        try:
            sent = []
            for each in records:
                raw = each if isinstance(each, Raw) else Raw(each.encode(), each.partitionkey.encode())
                sent.append(
                    await producer.send(
                        self.physical(topic),
                        raw.value,
                        key=raw.key,
                        partition=raw.partition,
                        headers=list(raw.headers) or None,
                    )
                )
            return [(await each).offset for each in sent]
        finally:
            await producer.stop()

    @asynccontextmanager
    async def running(self, consumer: Consumer, settings: Settings | None = None) -> AsyncIterator[Runner]:
        """A member of the consumer's group, from its start to its graceful stop."""
        runner = consumer.runner(self.database, settings or self.settings)
        task = asyncio.create_task(runner.run())
        try:
            yield runner
        finally:
            await runner.stop()
            await task

    async def rows(self, query: str) -> list[tuple[Any, ...]]:
        async with self.database.reading() as tx:
            return [tuple(row) for row in await tx.connection.execute(text(query))]

    async def effects(self) -> list[str]:
        """The notes that handlers have committed, in the order of their commits."""
        return [str(row[0]) for row in await self.rows(f"SELECT note FROM {SCHEMA}.effects ORDER BY id")]

    async def dead(self) -> list[tuple[Any, ...]]:
        """Pointer, reason class and bytes of every dead letter, in order."""
        return await self.rows(f"SELECT pointer, reason_class, message FROM {SCHEMA}.dead_letters ORDER BY id")

    async def position(self, topic: Topic, partition: int = 0) -> Any:
        rows = await self.rows(
            f"SELECT next_offset FROM {SCHEMA}.positions WHERE topic = '{topic.name}' AND partition = {partition}"
        )
        return rows[0][0] if rows else None


def settings_for(database_url: str, servers: str, prefix: str, instance: str | None = None) -> Settings:
    return Settings.model_validate(
        {
            "database_url": database_url,
            "kafka_bootstrap_servers": servers,
            "topic_prefix": prefix,
            "instance": instance,
        }
    )


@asynccontextmanager
async def a_ground(database: TemporaryDatabase, servers: str, prefix: str) -> AsyncIterator[Ground]:
    async with AsyncExitStack() as stack:
        opened = open_database(database.url_for(SCHEMA))
        stack.push_async_callback(opened.close)
        yield Ground(opened, settings_for(database.url_for(SCHEMA), servers, prefix))


def notes_of(records: Sequence[Record]) -> list[str]:
    return [record.event.data.entity.id for record in records]
