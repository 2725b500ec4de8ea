"""What becomes of the account when Kafka itself loses records: topics made anew, cut short, or with holes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic, RecordsToDelete
from aiokafka.errors import KafkaError
from audit.main import service
from audit.settings import AuditSettings
from audit.verification import Verdict
from contracts.topics import PAYMENTS_EVENTS

from tests.audit.logs import Log
from tests.support.consuming import an_event
from tests.support.eventually import eventually
from tests.support.infrastructure import TemporaryDatabase
from tests.support.services import RunningService, running

Audit = RunningService[AuditSettings]
Started = Callable[[], Any]


@pytest.fixture
async def start(database_for: Callable[..., Awaitable[TemporaryDatabase]], kafka: str, topic_prefix: str) -> Started:
    """Start the service, again and again on the same database and topics."""
    database = await database_for("audit")
    return lambda: running(service, database, kafka, topic_prefix)


@asynccontextmanager
async def admin(audit: Audit) -> AsyncIterator[AIOKafkaAdminClient]:
    client = AIOKafkaAdminClient(bootstrap_servers=audit.servers)
    await client.start()
    try:
        yield client
    finally:
        await client.close()


async def made_anew(audit: Audit) -> None:
    """Delete the topic and create it again, empty."""
    name = audit.prefix + PAYMENTS_EVENTS.name
    async with admin(audit) as client:
        await client.delete_topics([name])

        async def created() -> bool:
            try:
                answer = await client.create_topics([NewTopic(name, 2, 1)])
            except KafkaError:
                return False
            return all(each[1] == 0 for each in answer.topic_errors)

        await eventually(created)


async def marked(audit: Audit, place: TopicPartition, offset: int) -> None:
    """Wait until the marker stands behind this record: the broker writes it after it has answered the commit."""
    consumer = AIOKafkaConsumer(bootstrap_servers=audit.servers)
    await consumer.start()
    try:

        async def end() -> int:
            return int((await consumer.end_offsets([place]))[place])

        await eventually(end, lambda found: found == offset + 2)
    finally:
        await consumer.stop()


async def partitions(audit: Audit) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await audit.get("/coverage"))["partitions"]
    return found


async def verdict(audit: Audit) -> tuple[Verdict, list[str]]:
    log = Log(audit.place, audit.runtime.database)
    return (await log.report()).verdict, await log.findings()


async def test_a_topic_made_anew_begins_an_account_of_its_own_and_records_nothing_twice(start: Started) -> None:
    first, second = an_event("pay_1"), an_event("pay_1")
    async with start() as audit:
        await audit.receives(PAYMENTS_EVENTS, first)
        await made_anew(audit)
    async with start() as audit:
        await audit.receives(PAYMENTS_EVENTS, second, first)

        assert [record["event_id"] for record in (await audit.get("/records"))["items"]] == [second.id, first.id]
        seen = [(each["incarnation"], each["recorded"], each["duplicate"]) for each in await partitions(audit)]
        assert seen == [(0, 1, 1), (1, 1, 3)]
        assert await verdict(audit) == (Verdict.FINE, [])


async def test_records_that_a_topic_dropped_before_they_were_read_are_an_explained_gap(start: Started) -> None:
    async with start() as audit:
        await audit.receives(PAYMENTS_EVENTS, an_event("pay_1"))
    async with start() as audit:
        (account,) = await partitions(audit)
        place = TopicPartition(audit.prefix + PAYMENTS_EVENTS.name, account["partition"])
    stopped = audit
    await stopped.sends(PAYMENTS_EVENTS, *(an_event("pay_1") for _ in range(3)))
    async with admin(stopped) as client:
        await client.delete_records({place: RecordsToDelete(before_offset=6)})
    async with start() as audit:
        await audit.receives(PAYMENTS_EVENTS, an_event("pay_1"))

        (account,) = await partitions(audit)
        assert (account["recorded"], account["duplicate"], account["explained_gap"]) == (3, 3, 4)
        (gap,) = (await audit.get("/coverage"))["gaps"]
        assert (gap["first_offset"], gap["next_offset"], gap["explanation"]) == (2, 6, "retention")
        assert await verdict(audit) == (Verdict.FINE, [])


async def test_offsets_without_a_record_that_nobody_can_explain_leave_the_log_incomplete(
    start: Started, topic_prefix: str
) -> None:
    """The markers of a transaction: nothing of ours writes any."""
    async with start() as audit:
        producer = AIOKafkaProducer(bootstrap_servers=audit.servers, transactional_id=f"{topic_prefix}stranger")
        await producer.start()
        try:
            async with producer.transaction():
                event = an_event("pay_1")
                name, key = audit.prefix + PAYMENTS_EVENTS.name, event.partitionkey.encode()
                sent = await producer.send_and_wait(name, event.encode(), key=key)
        finally:
            await producer.stop()
        await marked(audit, TopicPartition(name, sent.partition), sent.offset)
        await audit.receives(PAYMENTS_EVENTS, an_event("pay_1"))

        (account,) = await partitions(audit)
        assert (account["recorded"], account["duplicate"], account["unexplained_gap"]) == (2, 1, 1)
        (gap,) = (await audit.get("/coverage"))["gaps"]
        assert (gap["first_offset"], gap["explanation"]) == (sent.offset + 1, None)
        where = f"coverage_gap: {PAYMENTS_EVENTS.name}/{sent.partition}"
        assert await verdict(audit) == (
            Verdict.INCOMPLETE,
            [f"{where}: 1 offsets are missing without an explanation"],
        )
