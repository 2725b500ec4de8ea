"""Topics come from contracts and from nowhere else: brokers and clients never make one by themselves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code
from contracts.topics import Topic

from backbone.faults import LocalError

T = TypeVar("T")
REQUEST_LIMIT_MS: Final = 20_000
LIMIT_SECONDS: Final = 60
WARM_UP_GROUP: Final = "backbone-warm-up"
# How DescribeConfigs names a setting that stands on the topic itself.
SET_ON_TOPIC: Final = 1


@dataclass(frozen=True, slots=True)
class Found:
    """A topic as the broker has it; no partitions where it has none of that name."""

    topic: Topic
    partitions: int


def apply(bootstrap_servers: str, topics: Sequence[Topic]) -> list[str]:
    """Create what is missing and bring the rest to what contracts say. Returns a sentence for each change."""
    return _run(_apply(bootstrap_servers, topics), bootstrap_servers)


def listed(bootstrap_servers: str, topics: Sequence[Topic]) -> list[Found]:
    """The topics of contracts as the broker has them."""
    return _run(_listed(bootstrap_servers, topics), bootstrap_servers)


def warm_up(bootstrap_servers: str, topic: Topic) -> None:
    """Join a group once: on a new broker the first join makes the offsets topic, which takes seconds."""
    _run(_join(bootstrap_servers, topic), bootstrap_servers)


def settings_of(topic: Topic) -> dict[str, str]:
    """The broker's settings for a topic."""
    retention = -1 if topic.retention_ms is None else topic.retention_ms
    return {"cleanup.policy": topic.cleanup, "retention.ms": str(retention)}


def _run(work: Coroutine[Any, Any, T], bootstrap_servers: str) -> T:
    async def limited() -> T:
        async with asyncio.timeout(LIMIT_SECONDS):
            return await work

    try:
        return asyncio.run(limited())
    except TimeoutError:
        raise LocalError(f"Apache Kafka at {bootstrap_servers} did not answer within {LIMIT_SECONDS} s") from None
    except KafkaError as error:
        raise LocalError(f"Apache Kafka at {bootstrap_servers}: {error}") from error


@asynccontextmanager
async def _admin(bootstrap_servers: str) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers, request_timeout_ms=REQUEST_LIMIT_MS)
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()


async def _listed(bootstrap_servers: str, topics: Sequence[Topic]) -> list[Found]:
    async with _admin(bootstrap_servers) as admin:
        partitions = await _partitions(admin, topics)
    return [Found(topic, partitions.get(topic.name, 0)) for topic in topics]


async def _apply(bootstrap_servers: str, topics: Sequence[Topic]) -> list[str]:
    async with _admin(bootstrap_servers) as admin:
        partitions = await _partitions(admin, topics)
        missing = [topic for topic in topics if topic.name not in partitions]
        changes = await _create(admin, missing)
        for topic in topics:
            if topic not in missing:
                changes += await _spread(admin, topic, partitions[topic.name])
                changes += await _configure(admin, topic)
    return changes


async def _partitions(admin: AIOKafkaAdminClient, topics: Sequence[Topic]) -> dict[str, int]:
    """How many partitions those of these topics have that there are: the broker may hold many others."""
    names = await admin.list_topics()
    there = [topic.name for topic in topics if topic.name in names]
    # None at all would be understood as all of them.
    described = await admin.describe_topics(there) if there else []
    return {topic["topic"]: len(topic["partitions"]) for topic in described}


async def _create(admin: AIOKafkaAdminClient, topics: Sequence[Topic]) -> list[str]:
    if not topics:
        return []
    wanted = [
        # The broker's own default decides how often a record is kept: once here, three times in production.
        NewTopic(topic.name, topic.partitions, -1, replica_assignments={}, topic_configs=settings_of(topic))
        for topic in topics
    ]
    answer = await admin.create_topics(wanted)
    for name, code, *_ in answer.topic_errors:
        _refuse(name, code, but=(TopicAlreadyExistsError.errno,))
    return [f"{topic.name}: created with {topic.partitions} partitions" for topic in topics]


async def _spread(admin: AIOKafkaAdminClient, topic: Topic, had: int) -> list[str]:
    if had > topic.partitions:
        raise LocalError(f"{topic.name} has {had} partitions, contracts want {topic.partitions}: they never get fewer")
    if had == topic.partitions:
        return []
    answer = await admin.create_partitions({topic.name: NewPartitions(total_count=topic.partitions)})
    for name, code, *_ in answer.topic_errors:
        _refuse(name, code)
    return [f"{topic.name}: from {had} to {topic.partitions} partitions; keys may have moved"]


async def _configure(admin: AIOKafkaAdminClient, topic: Topic) -> list[str]:
    resource = ConfigResource(ConfigResourceType.TOPIC, topic.name)
    (answer, *_) = await admin.describe_configs([resource])
    ((code, _, _, _, entries), *_) = answer.resources
    _refuse(topic.name, code)
    has = {name: value for name, value, _, source, *_ in entries if source == SET_ON_TOPIC}
    # The request replaces all that is set on the topic, so an operator's own settings are sent along.
    wanted = {**has, **settings_of(topic)}
    if wanted == has:
        return []
    resource = ConfigResource(ConfigResourceType.TOPIC, topic.name, wanted)
    for answer in await admin.alter_configs([resource]):
        for code, *_ in answer.resources:
            _refuse(topic.name, code)
    changed = sorted(name for name in wanted if wanted[name] != has.get(name))
    return [f"{topic.name}: " + ", ".join(f"{name}={wanted[name]}" for name in changed)]


def _refuse(name: str, code: int, but: Iterable[int] = ()) -> None:
    if code and code not in but:
        raise LocalError(f"Apache Kafka refused the topic {name}: {for_code(code).__name__}")


async def _join(bootstrap_servers: str, topic: Topic) -> None:
    consumer = AIOKafkaConsumer(
        topic.name, bootstrap_servers=bootstrap_servers, group_id=WARM_UP_GROUP, enable_auto_commit=False
    )
    try:
        # Returns when the group has given out its partitions.
        await consumer.start()
    finally:
        await consumer.stop()
