"""What one round of the relay does, and what it leaves alone."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import asyncpg
import pytest
from chassis.kafka import Producer
from chassis.relay import Relay

from tests.chassis.relaying import SCHEMA, TOPIC, Ground, a_ground, an_event, by_key, running
from tests.support.eventually import eventually
from tests.support.infrastructure import TemporaryDatabase

INSERT = f"INSERT INTO {SCHEMA}.outbox (event_id, topic, key, value) VALUES (gen_random_uuid(), $1, $2, $3)"


@pytest.fixture
async def ground(fresh_database: TemporaryDatabase, kafka: str, topic_prefix: str) -> AsyncIterator[Ground]:
    async with a_ground(fresh_database, kafka, topic_prefix) as made:
        yield made


@pytest.fixture
async def relay(ground: Ground) -> AsyncIterator[Relay]:
    made = ground.relay()
    yield made
    await made.close()


async def test_events_arrive_whole_under_their_key_and_leave_the_outbox(ground: Ground, relay: Relay) -> None:
    await ground.write([an_event("pay_1", b'{"n":1}'), an_event("pay_2", b'{"n":2}'), an_event("pay_1", b'{"n":3}')])

    assert (await relay.round()).sent == 3

    records = await ground.records()
    assert by_key(records) == {"pay_1": [b'{"n":1}', b'{"n":3}'], "pay_2": [b'{"n":2}']}
    assert {record.headers for record in records} == {(("content-type", b"application/cloudevents+json"),)}
    assert await ground.waiting() == []
    assert relay.check().ok


async def test_stored_headers_are_added_to_the_content_type(ground: Ground, relay: Relay) -> None:
    await ground.query(
        f"""INSERT INTO {SCHEMA}.outbox (event_id, topic, key, value, headers)
            VALUES (gen_random_uuid(), '{TOPIC}', 'pay_1', 'x', '{{"origin": "Zürich"}}') RETURNING id"""
    )
    await relay.drain()

    (record,) = await ground.records()
    assert record.headers == (("content-type", b"application/cloudevents+json"), ("origin", "Zürich".encode()))


async def test_a_row_that_is_committed_late_below_others_is_not_lost(ground: Ground, relay: Relay) -> None:
    """Ids are given before they are committed: this is what a last-id cursor loses."""
    slow = await asyncpg.connect(ground.urls.url_for(SCHEMA), timeout=10)
    transaction = slow.transaction()
    await transaction.start()
    await slow.execute(INSERT, TOPIC, "pay_slow", b"first id")

    await ground.write([an_event("pay_quick", b"second id")])
    await relay.drain()
    assert await ground.keys() == {"pay_quick": [b"second id"]}

    await transaction.commit()
    await slow.close()
    await relay.drain()
    assert await ground.keys() == {"pay_quick": [b"second id"], "pay_slow": [b"first id"]}


async def test_a_row_that_is_committed_while_a_round_sends_is_not_deleted_with_it(ground: Ground) -> None:
    """A round deletes what it has sent, by id, and never by a range of ids."""
    slow = await asyncpg.connect(ground.urls.url_for(SCHEMA), timeout=10)
    transaction = slow.transaction()
    await transaction.start()
    await slow.execute(INSERT, TOPIC, "pay_slow", b"first id")
    await ground.write([an_event("pay_quick", b"second id")])

    class Meanwhile(Producer):
        async def submit(self, batch: Any, topic: str, partition: int) -> asyncio.Future[Any]:
            if not slow.is_closed():
                await transaction.commit()
                await slow.close()
            return await super().submit(batch, topic, partition)

    relay = Relay(ground.database, ground.kafka, Meanwhile.open)
    assert (await relay.round()).sent == 1
    assert await ground.keys() == {"pay_quick": [b"second id"]}
    assert await relay.drain() == 1
    await relay.close()
    assert await ground.keys() == {"pay_quick": [b"second id"], "pay_slow": [b"first id"]}


async def test_a_round_is_bounded_by_bytes_too(ground: Ground, relay: Relay) -> None:
    large = os.urandom(890_000)
    await ground.write([an_event(f"pay_{number}", large) for number in range(12)])

    first = await relay.round()

    assert 8 <= first.sent <= 10
    assert not first.full
    assert await relay.drain() == 12 - first.sent


async def test_while_one_relay_works_the_others_stand_by(ground: Ground, relay: Relay) -> None:
    working = await _at_work(ground)
    await ground.write([an_event("pay_1")])

    assert (await relay.round()).outcome == "standby"
    assert await ground.records() == []

    await working.execute("ROLLBACK")
    await working.close()
    assert (await relay.round()).outcome == "worked"


async def test_the_relays_of_two_services_in_one_database_do_not_wait_for_each_other(
    ground: Ground, fresh_database: TemporaryDatabase, kafka: str
) -> None:
    async with a_ground(fresh_database, kafka, f"{ground.kafka.topic_prefix}audit-", "audit") as other:
        for working in [await _at_work(ground), await _at_work(other)]:
            await working.close()


async def _at_work(ground: Ground) -> asyncpg.Connection:
    """Begin a round as a relay does, and stay in it."""
    connection = await asyncpg.connect(ground.urls.url_for(ground.schema), timeout=10)
    assert await connection.execute(ground.relay().sql.begin) == "SELECT 1"
    return connection


async def test_idle_rounds_write_nothing(ground: Ground, relay: Relay) -> None:
    """No write-ahead log, so no transaction id either: whoever waits costs the disk and the replicas nothing."""
    await ground.write([an_event("pay_1")])
    await relay.drain()

    async def after_an_idle_round() -> Backend:
        assert (await relay.round()).outcome == "idle"
        return await _backend(ground)

    worked = await eventually(after_an_idle_round, lambda backend: backend.wal_records > 0)
    idled = await eventually(after_an_idle_round, lambda backend: backend.buffer_hits > worked.buffer_hits)
    async with running(relay):
        looked = await eventually(lambda: _backend(ground), lambda backend: backend.buffer_hits > idled.buffer_hits)

    assert worked.wal_records == idled.wal_records == looked.wal_records


@dataclass(frozen=True, slots=True)
class Backend:
    """What PostgreSQL has counted for the relay's connection; both figures are published together, now and then."""

    wal_records: int
    buffer_hits: int


async def _backend(ground: Ground) -> Backend:
    (row,) = await ground.query(
        """SELECT (pg_stat_get_backend_wal(pid)).wal_records AS wal_records,
                  (SELECT sum(hits) FROM pg_stat_get_backend_io(pid)) AS buffer_hits
           FROM pg_stat_activity WHERE application_name = 'relay' AND datname = current_database()"""
    )
    return Backend(int(row["wal_records"]), int(row["buffer_hits"] or 0))


async def test_what_a_commit_has_emitted_is_sent_at_once(ground: Ground, relay: Relay) -> None:
    async with running(relay):
        await ground.write([an_event("pay_1", b"woken")])
        await eventually(ground.waiting, lambda waiting: waiting == [])

    assert await ground.keys() == {"pay_1": [b"woken"]}


async def test_what_another_process_has_emitted_is_found_by_looking(ground: Ground, relay: Relay) -> None:
    async with running(relay):
        await ground.query(
            f"INSERT INTO {SCHEMA}.outbox (event_id, topic, key, value) "
            f"VALUES (gen_random_uuid(), '{TOPIC}', 'pay_1', 'found') RETURNING id"
        )
        await eventually(ground.waiting, lambda waiting: waiting == [])

    assert await ground.keys() == {"pay_1": [b"found"]}


async def test_a_relay_that_is_stopped_leaves_no_connection_and_no_transaction(ground: Ground, relay: Relay) -> None:
    await ground.write([an_event("pay_1", str(number).encode()) for number in range(5_000)])
    async with running(relay):
        await eventually(ground.state, lambda state: state.depth < 5_000)

    query = "SELECT state FROM pg_stat_activity WHERE application_name = 'relay'"
    await eventually(lambda: ground.query(query), lambda rows: rows == [])
    await relay.drain()
    assert await ground.keys() == {"pay_1": [str(number).encode() for number in range(5_000)]}
