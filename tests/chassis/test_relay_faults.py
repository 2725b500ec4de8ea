"""What the relay does when a record, a topic, the broker or PostgreSQL fails it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator

import pytest
from backbone.kafka import Broker
from backbone.postgres import Cluster
from chassis.relay import Relay

from tests.chassis.relaying import SCHEMA, Ground, a_ground, an_event, running
from tests.support.eventually import eventually
from tests.support.infrastructure import Databases, TemporaryDatabase

TOPIC_MAX_BYTES = 20_000


@pytest.fixture
async def ground(fresh_database: TemporaryDatabase, kafka: str, topic_prefix: str) -> AsyncIterator[Ground]:
    async with a_ground(fresh_database, kafka, topic_prefix) as made:
        yield made


@pytest.fixture
async def relay(ground: Ground) -> AsyncIterator[Relay]:
    made = ground.relay()
    yield made
    await made.close()


def numbers(count: int) -> list[bytes]:
    return [b"%d" % number for number in range(count)]


async def test_an_unsendable_record_parks_its_key_and_stalls_nobody_else(ground: Ground, relay: Relay) -> None:
    """It shares one partition, and at first one batch, with everything else."""
    await ground.make_topic("narrow", partitions=1, max_message_bytes=str(TOPIC_MAX_BYTES))
    rows = [an_event(f"pay_{number % 20}", b"%d" % number, topic="narrow") for number in range(200)]
    stuck = an_event("pay_7", os.urandom(2 * TOPIC_MAX_BYTES), topic="narrow")
    await ground.write([*rows[:100], stuck, *rows[100:]])

    assert await relay.drain() == 195

    assert relay.check().ok
    found = await ground.keys("narrow")
    assert found.pop("pay_7") == [b"%d" % number for number in range(7, 100, 20)]
    assert found == {f"pay_{key}": [b"%d" % number for number in range(key, 200, 20)] for key in range(20) if key != 7}
    (parked,) = await ground.parked()
    assert (parked.topic, parked.key, parked.event_id) == ("narrow", "pay_7", stuck.event_id)
    state = await ground.state()
    assert (state.depth, state.parked_keys, state.parked_rows) == (0, 1, 6)
    assert state.oldest_age_seconds == 0


async def test_a_key_that_is_brought_back_too_early_is_parked_again(ground: Ground, relay: Relay) -> None:
    await ground.make_topic("narrow", partitions=1, max_message_bytes=str(TOPIC_MAX_BYTES))
    await ground.write([an_event("pay_1", os.urandom(2 * TOPIC_MAX_BYTES), topic="narrow")])
    await ground.write([an_event("pay_1", b"behind", topic="narrow")])
    await relay.drain()
    (first,) = await ground.parked()

    assert await ground.unpark("pay_1", "narrow")
    assert not await ground.unpark("pay_1", "narrow")
    await relay.drain()
    (again,) = await ground.parked()
    assert (again.event_id, again.parked_at > first.parked_at) == (first.event_id, True)

    await ground.configure("narrow", max_message_bytes="1048588")
    await ground.unpark("pay_1", "narrow")
    assert await relay.drain() == 2
    assert (await ground.keys("narrow"))["pay_1"][1] == b"behind"


async def test_a_topic_that_takes_smaller_batches_gets_smaller_batches(ground: Ground, relay: Relay) -> None:
    """Refused is the batch, and no record in it: nothing is parked."""
    await ground.make_topic("narrow", partitions=1, max_message_bytes=str(TOPIC_MAX_BYTES))
    values = [os.urandom(TOPIC_MAX_BYTES // 4) for _ in range(60)]
    await ground.write([an_event("pay_1", value, topic="narrow") for value in values])

    await relay.drain()

    assert await ground.keys("narrow") == {"pay_1": values}
    assert await ground.parked() == []


async def test_headers_that_are_none_park_their_key(ground: Ground, relay: Relay) -> None:
    await ground.write([an_event("pay_1", b"before"), an_event("pay_2", b"other")])
    await ground.query(
        f"""INSERT INTO {SCHEMA}.outbox (event_id, topic, key, value, headers)
            VALUES (gen_random_uuid(), 'payments-events', 'pay_1', 'x', '{{"attempt": 3}}') RETURNING id"""
    )

    await relay.drain()

    assert await ground.keys() == {"pay_1": [b"before"], "pay_2": [b"other"]}
    (parked,) = await ground.parked()
    assert (parked.key, parked.reason) == ("pay_1", "headers must be an object of strings")


async def test_a_missing_topic_holds_up_its_own_events_alone(ground: Ground, relay: Relay) -> None:
    """Nothing is parked: the fault is the topic's, and it passes. More rows wait for it than a round takes."""
    await ground.write([an_event("pay_1", value, topic="unmade") for value in numbers(1_500)])
    await ground.write([an_event("pay_1", value) for value in numbers(5)])

    async with running(relay):
        await eventually(ground.keys, lambda keys: keys.get("pay_1") == numbers(5))
        assert not relay.check().ok
        assert "unmade" in (relay.check().detail or "")
        await ground.make_topic("unmade")
        await eventually(ground.state, lambda state: state.depth == 0)
        await eventually(relay.check, lambda check: check.ok)

    assert await ground.keys("unmade") == {"pay_1": numbers(1_500)}
    assert await ground.parked() == []


async def test_a_broker_that_is_away_is_noticed_and_gets_everything_when_it_is_back(
    fresh_database: TemporaryDatabase, private_kafka: Broker, topic_prefix: str
) -> None:
    async with a_ground(fresh_database, private_kafka.bootstrap_servers, topic_prefix) as ground:
        relay = ground.relay()
        async with running(relay):
            await ground.write([an_event("pay_1", value) for value in numbers(1_500)])
            await eventually(ground.waiting, lambda waiting: waiting == [])
            await asyncio.to_thread(private_kafka.kill)
            await eventually(relay.check, lambda check: not check.ok)  # although it has nothing to send
            await ground.write([an_event(key, value) for key in ("pay_1", "pay_2") for value in numbers(1_500)])
            assert await eventually(lambda: oldest_round_seconds(ground), lambda seconds: seconds < 2.5) < 2.5
            await asyncio.to_thread(private_kafka.start)
            await eventually(ground.waiting, lambda waiting: waiting == [])
            await eventually(relay.check, lambda check: check.ok)

        assert await ground.keys() == {"pay_1": numbers(1_500) * 2, "pay_2": numbers(1_500)}
        assert await ground.parked() == []


async def oldest_round_seconds(ground: Ground) -> float:
    """How long the relay's transaction is open: a round that waits for a broker holds back every vacuum."""
    (row,) = await ground.query(
        """SELECT coalesce(extract(epoch FROM max(clock_timestamp() - xact_start)), 0)::float8 AS seconds
           FROM pg_stat_activity WHERE application_name = 'relay' AND datname = current_database()"""
    )
    return float(row["seconds"])


async def test_a_postgres_that_was_away_loses_nothing(private_postgres: Cluster, kafka: str, topic_prefix: str) -> None:
    databases = Databases(private_postgres.admin_url)
    async with a_ground(await databases.create(), kafka, topic_prefix) as ground:
        relay = ground.relay()
        async with running(relay):
            await ground.write([an_event("pay_1", value) for value in numbers(3_000)])
            await eventually(ground.waiting, lambda waiting: len(waiting) < 3_000)
            await asyncio.to_thread(private_postgres.kill)
            await eventually(relay.check, lambda check: not check.ok)
            await asyncio.to_thread(private_postgres.start)
            await eventually(relay.check, lambda check: check.ok)
            await eventually(ground.waiting, lambda waiting: waiting == [])

        assert list(dict.fromkeys((await ground.keys())["pay_1"])) == numbers(3_000)
