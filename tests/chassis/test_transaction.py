"""The unit of work: what it emits is in the outbox when, and only when, the change beside it is committed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest
from chassis.clock import BusinessClock, real_now, write_offset
from chassis.database import Database
from chassis.faults import Fault, classify
from chassis.transaction import EVENT_MAX_BYTES, Cause, EventTooLargeError, NobodyActsError
from contracts.registry import decode
from contracts.topics import AUDIT_EVENTS, PAYMENTS_EVENTS
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from tests.support import specimen
from tests.support.infrastructure import TemporaryDatabase
from tests.support.specimen import CAUSE, MARIA, a_change

NOTE = text("INSERT INTO specimen.notes (name) VALUES (:name)")


@pytest.fixture
async def database(fresh_database: TemporaryDatabase) -> AsyncIterator[Database]:
    await specimen.make(fresh_database)
    opened = specimen.opened(fresh_database.url_for("specimen"))
    yield opened
    await opened.close()


async def stored(database: Database) -> tuple[list[str], list[tuple[str, str, str, bytes]]]:
    """The notes, and the outbox as (event id, topic, key, value)."""
    async with database.reading() as tx:
        notes = (await tx.connection.execute(text("SELECT name FROM specimen.notes ORDER BY id"))).scalars()
        rows = await tx.connection.execute(text("SELECT event_id, topic, key, value FROM specimen.outbox ORDER BY id"))
        return list(notes), [(str(row.event_id), row.topic, row.key, row.value) for row in rows]


async def test_a_change_and_its_event_are_committed_together(database: Database) -> None:
    async with database.transaction(actor=MARIA, cause=Cause("c-1", "e-1", None)) as tx:
        await tx.connection.execute(NOTE, {"name": "Mark Stevens"})
        event_id = tx.emit(a_change())

    notes, ((stored_id, topic, key, value),) = await stored(database)
    event = decode(value)
    assert notes == ["Mark Stevens"]
    assert (stored_id, topic, key) == (event_id, PAYMENTS_EVENTS.name, "mark")
    assert (event.id, event.correlationid, event.causationid, event.partitionkey) == (event_id, "c-1", "e-1", "mark")
    assert (event.data.actor, event.source, event.subject) == (MARIA, "/specimen", "mark")
    assert abs(event.time - real_now()) < timedelta(minutes=1)
    assert UUID(event_id).version == 7


async def test_what_is_rolled_back_tells_nothing(database: Database) -> None:
    with pytest.raises(LookupError):
        async with database.transaction(actor=MARIA, cause=CAUSE) as tx:
            await tx.connection.execute(NOTE, {"name": "Mark Stevens"})
            tx.emit(a_change())
            raise LookupError

    assert await stored(database) == ([], [])
    assert not await database.committed.wait(0)


async def test_a_commit_that_fails_tells_nothing(database: Database) -> None:
    """The unique constraint is deferred: the event is written, then COMMIT refuses."""
    async with database.transaction() as tx:
        await tx.connection.execute(NOTE, {"name": "Mark Stevens"})

    with pytest.raises(DBAPIError) as refused:
        async with database.transaction(actor=MARIA, cause=CAUSE) as tx:
            await tx.connection.execute(NOTE, {"name": "Mark Stevens"})
            tx.emit(a_change())

    assert classify(refused.value) is Fault.CONFLICT
    assert (await stored(database))[1] == []
    assert not await database.committed.wait(0)


async def test_events_keep_their_order_in_one_statement(database: Database) -> None:
    async with database.transaction(actor=MARIA, cause=CAUSE) as tx:
        emitted = [tx.emit(a_change(f"member-{number % 3}")) for number in range(200)]

    _, rows = await stored(database)
    assert [row[0] for row in rows] == emitted


async def test_a_commit_that_emitted_wakes_the_relay_and_no_other_does(database: Database) -> None:
    async with database.transaction() as tx:
        await tx.connection.execute(NOTE, {"name": "quiet"})
    assert not await database.committed.wait(0)

    async with database.transaction(actor=MARIA, cause=CAUSE) as tx:
        tx.emit(a_change())
    assert await database.committed.wait(0)
    assert not await database.committed.wait(0), "once for each time"


async def test_a_view_acts_for_another_event_in_the_same_transaction(database: Database) -> None:
    async with database.transaction(actor=MARIA, cause=Cause("c-1")) as tx:
        first = tx.emit(a_change("mark"))
        trigger = decode(tx.outgoing[0].value)
        tx.caused_by(trigger).emit(a_change("isla"))

    _, rows = await stored(database)
    event = decode(rows[1][3])
    assert (event.correlationid, event.causationid) == ("c-1", first)
    assert (event.data.actor.kind, event.data.actor.id) == ("system", "specimen")


async def test_nobody_emits_without_saying_who_and_why(database: Database) -> None:
    async with database.transaction(actor=MARIA) as tx:
        with pytest.raises(NobodyActsError, match="caused"):
            tx.emit(a_change())
    async with database.transaction(cause=CAUSE) as tx:
        with pytest.raises(NobodyActsError, match="who acts"):
            tx.emit(a_change())

    assert (await stored(database))[1] == []


async def test_an_event_goes_to_a_topic_of_its_type_alone(database: Database) -> None:
    async with database.transaction(actor=MARIA, cause=CAUSE) as tx:
        with pytest.raises(ValueError, match="needs one topic"):
            tx.emit(replace(a_change(), topic=AUDIT_EVENTS))
        tx.emit(replace(a_change(), key="another-key"))

    assert [row[2] for row in (await stored(database))[1]] == ["another-key"]


async def test_an_event_too_large_is_refused_before_the_database_sees_it(database: Database) -> None:
    async with database.transaction(actor=MARIA, cause=CAUSE) as tx:
        with pytest.raises(EventTooLargeError, match=r"member\.updated has \d+ bytes, 900000 are allowed"):
            tx.emit(replace(a_change(), reason="é" * (EVENT_MAX_BYTES // 2)))
        tx.emit(replace(a_change(), reason="x" * (EVENT_MAX_BYTES - 2_000)))

    assert len((await stored(database))[1]) == 1


async def test_reading_cannot_write_and_sees_one_moment(database: Database) -> None:
    async with database.reading() as tx:
        assert (await tx.connection.execute(text("SELECT count(*) FROM specimen.notes"))).scalar_one() == 0
        async with database.transaction() as other:
            await other.connection.execute(NOTE, {"name": "meanwhile"})
        assert (await tx.connection.execute(text("SELECT count(*) FROM specimen.notes"))).scalar_one() == 0
        with pytest.raises(DBAPIError, match="read-only"):
            await tx.connection.execute(NOTE, {"name": "not allowed"})

    assert (await stored(database))[0] == ["meanwhile"]


async def test_a_connection_that_has_read_can_write_again(database: Database) -> None:
    """Read-only and the isolation level are of one transaction, not of the pooled connection."""
    for number in range(8):
        async with database.reading() as tx:
            await tx.connection.execute(text("SELECT 1"))
        async with database.transaction() as tx:
            await tx.connection.execute(NOTE, {"name": f"note {number}"})
            level = (await tx.connection.execute(text("SHOW transaction_isolation"))).scalar_one()
            assert level == "read committed"

    assert len((await stored(database))[0]) == 8


async def test_errors_never_quote_the_values_of_a_statement(database: Database) -> None:
    with pytest.raises(DBAPIError) as refused:
        async with database.transaction() as tx:
            await tx.connection.execute(text("INSERT INTO specimen.nowhere VALUES (:name)"), {"name": "hunter2"})

    assert "hunter2" not in str(refused.value)


async def test_a_transaction_tells_business_time(fresh_database: TemporaryDatabase, tmp_path: Path) -> None:
    await specimen.make(fresh_database)
    write_offset(tmp_path / "clock.json", timedelta(days=3))
    database = specimen.opened(fresh_database.url_for("specimen"), now=BusinessClock(tmp_path / "clock.json"))

    async with database.transaction(actor=MARIA, cause=CAUSE) as tx:
        tx.emit(a_change())
        assert timedelta(days=2, hours=23) < tx.now - real_now() < timedelta(days=3, hours=1)

    (row,) = (await stored(database))[1]
    assert abs(decode(row[3]).time - real_now()) < timedelta(minutes=1), "an event's time is real"
    await database.close()
