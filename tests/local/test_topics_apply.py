"""Topics come from contracts: made where missing, mended where they differ, and never at the cost of a record."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from backbone import topics
from backbone.faults import LocalError
from backbone.kafka import serves
from backbone.ports import free_port
from contracts.topics import DAY_MS, Topic


@pytest.fixture
def topic(topic_prefix: str) -> Topic:
    return Topic(f"{topic_prefix}events", owner="payments", key="the payment", description="For a test.", partitions=3)


def test_missing_topics_are_made_once(kafka: str, topic: Topic) -> None:
    assert topics.listed(kafka, [topic]) == [topics.Found(topic, 0)]
    assert topics.apply(kafka, [topic]) == [f"{topic.name}: created with 3 partitions"]
    assert topics.apply(kafka, [topic]) == []
    assert topics.listed(kafka, [topic]) == [topics.Found(topic, 3)]


def test_what_differs_is_mended_and_what_an_operator_set_stays(kafka: str, topic: Topic) -> None:
    topics.apply(kafka, [topic])
    asyncio.run(set_on(kafka, topic.name, {**topics.settings_of(topic), "max.message.bytes": "2000000"}))

    changed = replace(topic, partitions=4, retention_ms=DAY_MS)
    assert topics.apply(kafka, [changed]) == [
        f"{topic.name}: from 3 to 4 partitions; keys may have moved",
        f"{topic.name}: retention.ms={DAY_MS}",
    ]
    assert asyncio.run(set_at(kafka, topic.name))["max.message.bytes"] == "2000000"
    assert topics.apply(kafka, [changed]) == []


def test_a_topic_never_gets_fewer_partitions(kafka: str, topic: Topic) -> None:
    topics.apply(kafka, [topic])
    with pytest.raises(LocalError, match="has 3 partitions, contracts want 2: they never get fewer"):
        topics.apply(kafka, [replace(topic, partitions=2)])


def test_a_setting_that_the_broker_refuses_is_one_sentence(kafka: str, topic: Topic) -> None:
    with pytest.raises(LocalError, match=r"Apache Kafka refused the topic .*: InvalidConfigurationError"):
        topics.apply(kafka, [replace(topic, retention_ms=-7)])


def test_no_broker_is_one_sentence() -> None:
    nowhere = f"127.0.0.1:{free_port()}"
    with pytest.raises(LocalError, match=f"Apache Kafka at {nowhere}: "):
        topics.listed(nowhere, [])


def test_a_group_can_be_joined(kafka: str, topic: Topic) -> None:
    topics.apply(kafka, [topic])
    topics.warm_up(kafka, topic)
    assert serves(int(kafka.rpartition(":")[2]))


async def set_on(kafka: str, name: str, settings: dict[str, str]) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    try:
        await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, name, settings)])
    finally:
        await admin.close()


async def set_at(kafka: str, name: str) -> dict[str, str]:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    try:
        (answer, *_) = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name)])
    finally:
        await admin.close()
    return {entry[0]: entry[1] for entry in answer.resources[0][4]}
