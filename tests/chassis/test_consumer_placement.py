"""Where reading starts, and what a consumer does when the record at its position is not the one that it knows."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from aiokafka.admin import RecordsToDelete
from aiokafka.structs import TopicPartition
from chassis.consumer import Consumer, Gap, Record
from chassis.placement import Alarm, Verdict, Watermarks, place
from chassis.positions import Advance, Position, PositionLostError, TopicPart, advance, load
from chassis.transaction import Transaction
from contracts.topics import PAYMENTS_EVENTS
from sqlalchemy import text

from tests.support.consumer_process import noting_consumer
from tests.support.consuming import SCHEMA, Ground, an_event, note, open_database
from tests.support.eventually import eventually
from tests.support.infrastructure import Databases

PART = TopicPart("payments-events", 0)


def records(*offsets: int) -> list[Record]:
    return [Record("payments-events", 0, offset, 0, None, (), f"value {offset}".encode()) for offset in offsets]


def identity(offset: int) -> str:
    return records(offset)[0].identity


def known(next_offset: int) -> Position:
    return Position(next_offset, identity(next_offset - 1))


def test_a_partition_that_was_never_read_starts_at_its_earliest_record() -> None:
    at = place(None, Watermarks(earliest=0, end=10), compacted=False, doubts=0)

    assert (at.seek_to, at.witness, at.alarm) == (0, None, None)
    verdict, taken = at.take(records(0, 1))
    assert (verdict, [record.gap for record in taken]) == (Verdict.GO_ON, [None, None])


def test_what_retention_took_before_the_first_start_is_a_gap() -> None:
    at = place(None, Watermarks(earliest=7, end=10), compacted=False, doubts=0)

    verdict, taken = at.take(records(7, 8))
    assert (verdict, at.alarm) == (Verdict.GO_ON, None)
    assert taken[0].gap == Gap("retention", 0, 6, earliest=7)


def test_reading_goes_on_behind_the_witness() -> None:
    at = place(known(5), Watermarks(earliest=0, end=10), compacted=False, doubts=0)

    assert at.seek_to == 4
    verdict, taken = at.take(records(4, 5, 6))
    assert (verdict, [record.offset for record in taken]) == (Verdict.GO_ON, [5, 6])


def test_the_witness_alone_leaves_nothing_to_process() -> None:
    at = place(known(5), Watermarks(earliest=0, end=5), compacted=False, doubts=0)

    assert at.take(records(4)) == (Verdict.GO_ON, ())
    assert [record.offset for record in at.take(records(5))[1]] == [5]


def test_another_record_in_its_place_starts_again() -> None:
    at = place(Position(5, "another"), Watermarks(earliest=0, end=10), compacted=False, doubts=0)

    assert at.take(records(4, 5)) == (Verdict.START_AGAIN, ())
    assert at.alarm is Alarm.ANOTHER_RECORD


def test_a_witness_that_is_gone_is_looked_for_twice() -> None:
    at = place(known(5), Watermarks(earliest=0, end=10), compacted=False, doubts=0)
    assert at.take(records(5, 6)) == (Verdict.PLACE_AGAIN, ())

    at = place(known(5), Watermarks(earliest=0, end=10), compacted=False, doubts=1)
    assert at.take(records(5, 6)) == (Verdict.START_AGAIN, ())
    assert at.alarm is Alarm.RECORD_GONE


def test_compaction_may_take_the_witness() -> None:
    at = place(known(5), Watermarks(earliest=0, end=10), compacted=True, doubts=1)

    verdict, taken = at.take(records(6))
    assert (verdict, at.alarm) == (Verdict.GO_ON, None)
    assert taken[0].gap == Gap("missing", 5, 5)


def test_a_topic_that_ends_before_the_position_starts_again() -> None:
    at = place(known(50), Watermarks(earliest=0, end=10), compacted=False, doubts=0)

    assert (at.seek_to, at.alarm) == (0, Alarm.TOPIC_SHORTER)
    verdict, taken = at.take(records(0, 1))
    assert verdict is Verdict.GO_ON
    assert taken[0].gap == Gap("restart", 0, -1, earliest=0, previous=50)
    assert taken[1].gap is None


def test_records_that_retention_took_unread_raise_an_alarm() -> None:
    at = place(known(5), Watermarks(earliest=8, end=10), compacted=False, doubts=0)

    assert at.alarm is Alarm.RECORDS_LOST
    assert at.take(records(8, 9))[1][0].gap == Gap("retention", 5, 7, earliest=8)


def test_an_idle_partition_that_retention_emptied_is_no_alarm() -> None:
    at = place(known(10), Watermarks(earliest=10, end=10), compacted=False, doubts=0)

    assert (at.seek_to, at.witness, at.alarm) == (10, None, None)


def test_a_gap_is_believed_at_second_sight_and_within_a_batch() -> None:
    at = place(known(5), Watermarks(earliest=0, end=20), compacted=False, doubts=0)
    at.take(records(4))
    assert at.take(records(7)) == (Verdict.PLACE_AGAIN, ())

    at = place(known(5), Watermarks(earliest=0, end=20), compacted=False, doubts=1)
    at.take(records(4))
    verdict, taken = at.take(records(7, 8, 10))
    assert verdict is Verdict.GO_ON
    assert [record.gap for record in taken] == [Gap("missing", 5, 6), None, Gap("missing", 9, 9)]


def test_records_from_before_the_position_are_never_taken() -> None:
    at = place(known(5), Watermarks(earliest=0, end=20), compacted=False, doubts=0)
    at.take(records(4))

    assert at.take(records(0, 1)) == (Verdict.PLACE_AGAIN, ())


async def test_a_position_moves_only_from_where_it_is_known_to_be(ground: Ground) -> None:
    first, second = Position(5, "a"), Position(9, "b")

    async def move(known: Position | None, to: Position) -> None:
        async with ground.database.transaction() as tx:
            await advance(tx.connection, SCHEMA, "noting", [Advance(PART, known, to)])

    await move(None, first)
    await move(first, second)
    for stale in (None, first, Position(9, "another"), Position(9, None)):
        with pytest.raises(PositionLostError):
            await move(stale, Position(20, "c"))
    async with ground.database.reading() as tx:
        assert await load(tx.connection, SCHEMA, "noting", [PART]) == {PART: second}
        assert await load(tx.connection, SCHEMA, "another", [PART]) == {}


async def test_of_two_members_that_hold_a_partition_one_loses_before_it_has_worked(ground: Ground) -> None:
    entered = asyncio.Event()

    async def slow() -> None:
        async with ground.database.transaction() as tx:
            await advance(tx.connection, SCHEMA, "noting", [Advance(PART, None, Position(5, "a"))])
            entered.set()
            await eventually(waiting)

    async def waiting() -> bool:
        rows = await ground.rows("SELECT count(*) FROM pg_locks WHERE NOT granted")
        return bool(rows[0][0])

    async def late() -> None:
        await entered.wait()
        async with ground.database.transaction() as tx:
            await advance(tx.connection, SCHEMA, "noting", [Advance(PART, None, Position(7, "b"))])

    done = await asyncio.gather(slow(), late(), return_exceptions=True)
    assert done[0] is None
    assert isinstance(done[1], PositionLostError)


async def test_a_restart_goes_on_where_the_positions_stand(ground: Ground) -> None:
    await ground.create(PAYMENTS_EVENTS)
    for start in (0, 30, 60):
        offsets = await ground.write(PAYMENTS_EVENTS, *[an_event(f"pay_{n}") for n in range(start, start + 30)])
        async with ground.running(noting_consumer()) as runner:
            await runner.passed(PAYMENTS_EVENTS.name, 0, offsets[-1])
            assert runner.reader.state.alarms == {}

    assert await ground.effects() == [f"pay_{n}" for n in range(90)]


async def test_a_database_restored_from_an_hour_ago_continues_from_where_it_was(
    ground: Ground, databases: Databases
) -> None:
    """Positions and effects are as old as each other; Kafka's own offsets are not, and nobody asks them."""
    await ground.create(PAYMENTS_EVENTS)
    await _consume(ground, *range(30))
    await ground.database.close()
    backup = await databases.create(str(ground.database.engine.url.database))
    await _consume(ground, *range(30, 60))

    restored = Ground(open_database(backup.url_for(SCHEMA)), ground.settings)
    try:
        assert len(await restored.effects()) == 30
        async with restored.running(noting_consumer()) as runner:
            await runner.passed(PAYMENTS_EVENTS.name, 0, 59)
            assert runner.reader.state.alarms == {}
        assert await restored.effects() == [f"pay_{n}" for n in range(60)]
    finally:
        await restored.database.close()
        await databases.drop(backup)


async def test_a_database_restored_under_a_running_consumer_is_noticed(ground: Ground) -> None:
    await ground.create(PAYMENTS_EVENTS)
    async with ground.running(noting_consumer()) as runner:
        offsets = await ground.write(PAYMENTS_EVENTS, *[an_event(f"pay_{n}") for n in range(40)])
        await runner.passed(PAYMENTS_EVENTS.name, 0, offsets[19])
        await runner.passed(PAYMENTS_EVENTS.name, 0, offsets[39])
        async with ground.database.transaction() as tx:
            await _forget_from(tx, 20)
        await ground.write(PAYMENTS_EVENTS, an_event("pay_40"))
        await eventually(ground.effects, lambda seen: len(seen) == 41)

    assert sorted(await ground.effects()) == sorted(f"pay_{n}" for n in range(41))


async def _forget_from(tx: Transaction, number: int) -> None:
    """Bring inbox, effects and position back to where they were before event `number`."""
    later = f"SELECT event_id FROM {SCHEMA}.effects WHERE substr(note, 5)::int >= {number}"
    await tx.connection.execute(text(f"DELETE FROM {SCHEMA}.inbox WHERE event_id IN ({later})"))
    await tx.connection.execute(
        text(
            f"UPDATE {SCHEMA}.positions SET next_offset = {number}, last_event_id = "
            f"(SELECT event_id FROM {SCHEMA}.effects WHERE note = 'pay_{number - 1}')"
        )
    )
    await tx.connection.execute(text(f"DELETE FROM {SCHEMA}.effects WHERE event_id IN ({later})"))


@pytest.mark.parametrize("new_events", [10, 60], ids=["shorter", "longer"])
async def test_a_topic_made_anew_while_nobody_read_is_read_from_its_start(ground: Ground, new_events: int) -> None:
    await ground.create(PAYMENTS_EVENTS)
    await _consume(ground, *range(30))
    await _make_anew(ground)
    new = range(100, 100 + new_events)
    offsets = await ground.write(PAYMENTS_EVENTS, *[an_event(f"pay_{n}") for n in new])

    async with ground.running(noting_consumer()) as runner:
        await runner.passed(PAYMENTS_EVENTS.name, 0, offsets[-1])
        await eventually(ground.effects, lambda seen: len(seen) == 30 + new_events)
        alarm = runner.reader.state.alarms[PART]

    assert await ground.effects() == [f"pay_{n}" for n in (*range(30), *new)]
    assert alarm == (Alarm.TOPIC_SHORTER if new_events == 10 else Alarm.ANOTHER_RECORD).value
    assert await ground.position(PAYMENTS_EVENTS) == new_events


async def test_a_topic_made_anew_under_a_running_consumer_is_read_from_its_start(ground: Ground) -> None:
    await ground.create(PAYMENTS_EVENTS)
    async with ground.running(noting_consumer()) as runner:
        offsets = await ground.write(PAYMENTS_EVENTS, *[an_event(f"pay_{n}") for n in range(30)])
        await runner.passed(PAYMENTS_EVENTS.name, 0, offsets[-1])
        await _make_anew(ground)
        await ground.write(PAYMENTS_EVENTS, *[an_event(f"pay_{n}") for n in range(100, 110)])
        await eventually(ground.effects, lambda seen: len(seen) == 40)
        assert runner.reader.state.alarms

    assert await ground.effects() == [f"pay_{n}" for n in (*range(30), *range(100, 110))]


async def test_a_broker_restored_with_the_same_events_is_deduped_by_the_inbox(ground: Ground) -> None:
    """The topic comes back with the same events at other offsets, and one that nobody had seen."""
    await ground.create(PAYMENTS_EVENTS)
    events = [an_event(f"pay_{n}") for n in range(20)]
    await ground.write(PAYMENTS_EVENTS, *events)
    async with ground.running(noting_consumer()) as runner:
        await runner.passed(PAYMENTS_EVENTS.name, 0, 19)
    await _make_anew(ground)
    offsets = await ground.write(PAYMENTS_EVENTS, events[3], *events, an_event("pay_20"))

    async with ground.running(noting_consumer()) as runner:
        await runner.passed(PAYMENTS_EVENTS.name, 0, offsets[-1])
        await eventually(ground.effects, lambda seen: len(seen) == 21)

    assert await ground.effects() == [f"pay_{n}" for n in range(21)]


async def test_gaps_are_told_to_a_consumer_that_accounts_for_every_offset(ground: Ground) -> None:
    consumer = Consumer("accounting", reads=[PAYMENTS_EVENTS], inbox=False)
    gaps: list[Gap] = []

    @consumer.on_batch
    async def account(tx: Transaction, batch: Sequence[Record]) -> None:
        gaps.extend(record.gap for record in batch if record.gap is not None)
        for record in batch:
            await note(tx, record.identity, record.pointer)

    await ground.create(PAYMENTS_EVENTS)
    await ground.write(PAYMENTS_EVENTS, *[an_event(f"pay_{n}") for n in range(20)])
    await _drop_before(ground, 5)
    async with ground.running(consumer) as runner:
        await runner.passed(PAYMENTS_EVENTS.name, 0, 19)
    await ground.write(PAYMENTS_EVENTS, *[an_event(f"pay_{n}") for n in range(20, 40)])
    await _drop_before(ground, 33)
    async with ground.running(consumer) as runner:
        await runner.passed(PAYMENTS_EVENTS.name, 0, 39)
        assert runner.reader.state.alarms == {PART: Alarm.RECORDS_LOST.value}

    assert gaps == [Gap("retention", 0, 4, earliest=5), Gap("retention", 20, 32, earliest=33)]
    assert await ground.effects() == [f"payments-events/0/{n}" for n in (*range(5, 20), *range(33, 40))]


async def _consume(ground: Ground, *numbers: int) -> None:
    offsets = await ground.write(PAYMENTS_EVENTS, *[an_event(f"pay_{n}") for n in numbers])
    async with ground.running(noting_consumer()) as runner:
        await runner.passed(PAYMENTS_EVENTS.name, 0, offsets[-1])


async def _make_anew(ground: Ground) -> None:
    await ground.delete(PAYMENTS_EVENTS)

    async def gone() -> bool:
        async with ground.admin() as client:
            return ground.physical(PAYMENTS_EVENTS) not in await client.list_topics()

    await eventually(gone)
    await ground.create(PAYMENTS_EVENTS)


async def _drop_before(ground: Ground, offset: int) -> None:
    """What retention does, at once."""
    part = TopicPartition(ground.physical(PAYMENTS_EVENTS), 0)
    async with ground.admin() as client:
        await client.delete_records({part: RecordsToDelete(before_offset=offset)})
