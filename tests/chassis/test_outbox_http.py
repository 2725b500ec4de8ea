"""An operator looks at the keys whose events stand aside, and lets one of them go on."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from chassis import outbox
from sqlalchemy import text

from tests.chassis.notes_service import is_problem
from tests.chassis.operating import READ, WRITE, Operated, operated
from tests.chassis.relaying import TOPIC, an_event
from tests.support.consuming import SCHEMA
from tests.support.infrastructure import TemporaryDatabase

RELEASE = "/outbox/parked/release"


@pytest.fixture
async def service(laid_database: TemporaryDatabase) -> AsyncIterator[Operated]:
    async with operated(laid_database) as made:
        yield made


async def park(service: Operated, *keys: str) -> list[str]:
    """Park keys as the relay does, the newest first; returns the ids of their events, oldest first."""
    events = [an_event(key) for key in keys]
    async with service.database.transaction() as tx:
        await outbox.insert(tx.connection, SCHEMA, events)
        for event in reversed(events):
            await tx.connection.execute(
                text(
                    f"""INSERT INTO {SCHEMA}.outbox_parked_keys (topic, key, event_id, reason)
                        VALUES (:topic, :key, :event_id, 'the record is too large')"""
                ),
                {"topic": event.topic, "key": event.key, "event_id": event.event_id},
            )
    return [event.event_id for event in events]


async def test_parked_keys_are_listed_with_their_reason_the_oldest_event_first(service: Operated) -> None:
    ids = await park(service, *(f"pay_{number}" for number in range(5)))

    pages = await service.pages("/outbox/parked", limit=2)

    assert [len(page) for page in pages] == [2, 2, 1]
    assert [item["event_id"] for page in pages for item in page] == ids
    first = pages[0][0]
    assert (first["topic"], first["key"], first["reason"]) == (TOPIC, "pay_0", "the record is too large")


async def test_a_key_is_released_once_and_it_is_told_who_did_it(service: Operated) -> None:
    first, _ = await park(service, "pay_1", "pay_2")
    wanted = {"topic": TOPIC, "key": "pay_1"}

    released = await service.call("POST", RELEASE, json=wanted)
    again = await service.call("POST", RELEASE, json=wanted)

    assert (released.status_code, released.json()["event_id"]) == (200, first)
    is_problem(again, 404, "not-found")
    assert [item["key"] for item in (await service.get("/outbox/parked"))["items"]] == ["pay_2"]
    waiting = [str(event_id) for (event_id,) in await service.rows(f"SELECT event_id FROM {SCHEMA}.outbox ORDER BY id")]
    assert waiting[0] == first, "its events wait, to be sent in their order"
    rows = await service.rows(f"SELECT key, convert_from(value, 'UTF8')::jsonb FROM {SCHEMA}.outbox WHERE id = 3")
    ((key, told),) = rows
    assert key != "pay_1"
    assert told["type"] == "outbox_key.released"
    assert told["data"]["actor"]["name"] == "Maria Rossi"
    assert told["data"]["body"] == {"owner": "payments", "topic": TOPIC, "key": "pay_1", "event_id": first}
    assert told["data"]["before"] == {"parked_reason": "the record is too large"}


async def test_looking_and_releasing_are_two_scopes(service: Operated) -> None:
    await park(service, "pay_1")

    is_problem(await service.call("POST", RELEASE, READ, json={"topic": TOPIC, "key": "pay_1"}), 403, "missing-scope")
    is_problem(await service.call("GET", "/outbox/parked", WRITE), 403, "missing-scope")
    assert len((await service.get("/outbox/parked"))["items"]) == 1
