"""A service as its tests run it: the real thing in this process, against real PostgreSQL and Kafka.

`receives` delivers every event twice and returns when the consumer's stored position has passed both; `emitted` drains
the relay and reads the topic. Nothing waits by the clock.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

import httpx
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from backbone import topics
from chassis import tokens
from chassis.kafka import KafkaSettings
from chassis.relay import Relay
from chassis.runner import Runner
from chassis.service import Runtime, Service
from chassis.settings import Settings
from contracts.envelope import Actor, Event, Payload, RawEvent
from contracts.registry import decode, type_of
from contracts.roles import ROLES
from contracts.topics import TOPICS, Topic
from sqlalchemy import text

from tests.support.infrastructure import TemporaryDatabase
from tests.support.specimen import key_pair

S = TypeVar("S", bound=Settings)
OWNER: Final = Actor(kind="staff", id="maria.rossi", name="Maria Rossi")
PRIVATE_KEY, PUBLIC_KEY = key_pair()


@dataclass(frozen=True, slots=True)
class RunningService(Generic[S]):
    """One process' worth of a service: its parts run, its API answers."""

    runtime: Runtime[S]
    client: httpx.AsyncClient
    servers: str
    prefix: str
    place: TemporaryDatabase

    def part(self, kind: type[Any]) -> Any:
        """The one part of this kind, for example the worker."""
        (found,) = [part for part in self.runtime.parts if isinstance(part, kind)]
        return found

    def token(self, role: str = "owner") -> str:
        return tokens.mint(
            PRIVATE_KEY,
            audience=self.runtime.service.name,
            actor=OWNER,
            scopes=ROLES[role],  # type: ignore[index]
        )

    async def call(self, method: str, path: str, **given: Any) -> httpx.Response:
        """A request as an owner."""
        headers = {"Authorization": f"Bearer {self.token()}", **given.pop("headers", {})}
        return await self.client.request(method, path, headers=headers, **given)

    async def get(self, path: str) -> Any:
        """The JSON that `path` answers with; anything but 200 fails the test."""
        answer = await self.call("GET", path)
        assert answer.status_code == 200, (path, answer.status_code, answer.text)
        return answer.json()

    async def rows(self, query: str, **given: Any) -> list[tuple[Any, ...]]:
        """Look into the service's schema, as its own role."""
        async with self.runtime.database.reading() as tx:
            return [tuple(row) for row in await tx.connection.execute(text(query), given)]

    async def receives(self, topic: Topic, *given: Event[Payload] | bytes, twice: bool = True) -> None:
        """Deliver events, each twice, and wait until they are behind the consumer's stored position."""
        await self.passed(topic, await self.sends(topic, *given, twice=twice))

    async def sends(self, topic: Topic, *given: Event[Payload] | bytes, twice: bool = True) -> dict[int, int]:
        """Write events to a topic, each twice; returns the last offset of each partition that got any."""
        producer = AIOKafkaProducer(bootstrap_servers=self.servers, acks="all")
        await producer.start()
        try:
            sent = []
            for each in [each for each in given for _ in range(2 if twice else 1)]:
                value, key = (each, b"") if isinstance(each, bytes) else (each.encode(), each.partitionkey.encode())
                sent.append(await producer.send(self.prefix + topic.name, value, key=key))
            return {done.partition: done.offset for done in [await each for each in sent]}
        finally:
            await producer.stop()

    async def passed(self, topic: Topic, ends: Mapping[int, int]) -> None:
        """Wait until the consumer's stored position has passed these offsets."""
        runner: Runner = self.part(Runner)
        for partition, offset in ends.items():
            await runner.passed(topic.name, partition, offset)

    async def published(self, topic: Topic) -> list[RawEvent]:
        """Everything on the service's own topic once the outbox is empty, in partition and offset order."""
        relay = Relay(self.runtime.database, KafkaSettings(self.servers, self.prefix, "tests"))
        try:
            await relay.drain()
        finally:
            await relay.close()
        return [decode(value) for value in await read_all(self.servers, self.prefix + topic.name)]

    async def emitted(self, topic: Topic, payload: type[Payload]) -> list[RawEvent]:
        """The published events of one type."""
        return [event for event in await self.published(topic) if event.type == type_of(payload).name]


async def read_all(servers: str, topic: str) -> Sequence[bytes]:
    """Every value that stands in a topic at this moment."""
    # Without a group it reads every partition of its topic, from the first record on.
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=servers, auto_offset_reset="earliest")
    await consumer.start()
    try:
        places = sorted(consumer.assignment())
        ends = await consumer.end_offsets(places)
        values: dict[TopicPartition, list[bytes]] = {place: [] for place in places}
        async with asyncio.timeout(30):
            while [each for each in places if await consumer.position(each) < ends[each]]:
                for place, records in (await consumer.getmany(timeout_ms=200)).items():
                    values[place] += [record.value for record in records if record.value is not None]
        return [value for place in places for value in values[place]]
    finally:
        await consumer.stop()


@asynccontextmanager
async def running(
    service: Service[S], database: TemporaryDatabase, servers: str, prefix: str, **settings: Any
) -> AsyncIterator[RunningService[S]]:
    """Run the service with all of its parts; `settings` are what differs from the defaults."""
    prefixed = [
        Topic(**{**_fields(topic), "name": prefix + topic.name, "partitions": min(topic.partitions, 2)})
        for topic in TOPICS
    ]
    await asyncio.to_thread(topics.apply, servers, prefixed)
    given = {
        "database_url": database.url_for(service.name),
        "kafka_bootstrap_servers": servers,
        "topic_prefix": prefix,
        "token_public_keys": PUBLIC_KEY,
        **settings,
    }
    async with AsyncExitStack() as stack:
        runtime = await stack.enter_async_context(Runtime(service, service.settings.model_validate(given)))
        application = runtime.application()
        await stack.enter_async_context(runtime.running())
        transport = httpx.ASGITransport(app=application)
        client = httpx.AsyncClient(transport=transport, base_url=f"http://{service.name}")
        await stack.enter_async_context(client)
        yield RunningService(runtime, client, servers, prefix, database)


def _fields(topic: Topic) -> dict[str, Any]:
    return {name: getattr(topic, name) for name in topic.__dataclass_fields__}
