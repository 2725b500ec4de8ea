"""The servers that the other tests stand on are real, durable where they must be, and survive their own death."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError
from backbone.kafka import Broker
from backbone.postgres import Cluster

from tests.support.infrastructure import TemporaryDatabase


async def scalar(url: str, query: str) -> object:
    connection = await asyncpg.connect(url, timeout=10)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close(timeout=10)


async def test_every_test_has_a_database_of_its_own(fresh_database: TemporaryDatabase) -> None:
    await scalar(fresh_database.admin_url, "CREATE TABLE seen (id bigint)")
    assert await scalar(fresh_database.admin_url, "SELECT count(*) FROM seen") == 0


async def test_what_was_committed_survives_a_killed_server(private_postgres: Cluster) -> None:
    await scalar(private_postgres.admin_url, "CREATE TABLE kept AS SELECT 7 AS value")

    await asyncio.to_thread(private_postgres.kill)
    await asyncio.to_thread(private_postgres.start)

    assert await scalar(private_postgres.admin_url, "SELECT value FROM kept") == 7
    assert await scalar(private_postgres.admin_url, "SHOW fsync") == "on"
    assert await scalar(private_postgres.admin_url, "SHOW synchronous_commit") == "on"


async def test_what_was_acknowledged_survives_a_killed_broker(private_kafka: Broker, topic_prefix: str) -> None:
    topic = f"{topic_prefix}kept"
    await create_topic(private_kafka.bootstrap_servers, topic)
    await send(private_kafka.bootstrap_servers, topic, b"before")

    await asyncio.to_thread(private_kafka.kill)
    await asyncio.to_thread(private_kafka.start)
    await send(private_kafka.bootstrap_servers, topic, b"after")

    assert await read(private_kafka.bootstrap_servers, topic, 2) == [b"before", b"after"]


async def test_a_broker_never_makes_a_topic_by_itself(kafka: str, topic_prefix: str) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=kafka, request_timeout_ms=1_000)
    await producer.start()
    try:
        with pytest.raises(KafkaError):
            await producer.send_and_wait(f"{topic_prefix}unmade", b"lost")
    finally:
        await producer.stop()


async def create_topic(bootstrap_servers: str, name: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(name, num_partitions=1, replication_factor=1)])
    finally:
        await admin.close()


async def send(bootstrap_servers: str, topic: str, value: bytes) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap_servers, acks="all")
    await producer.start()
    try:
        await producer.send_and_wait(topic, value)
    finally:
        await producer.stop()


async def read(bootstrap_servers: str, topic: str, count: int) -> list[bytes | None]:
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=bootstrap_servers, auto_offset_reset="earliest")
    await consumer.start()
    try:
        return [(await asyncio.wait_for(consumer.getone(), 30)).value for _ in range(count)]
    finally:
        await consumer.stop()
