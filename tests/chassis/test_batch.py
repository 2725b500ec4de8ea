"""The batch runner, against a real PostgreSQL: whatever one item does, the others have their effect once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence

import asyncpg
import pytest
from chassis.batch import AbandonedError, Backoff, BatchLostError, Limits, Trouble, run_batch
from chassis.database import Database
from chassis.transaction import Cause, Draft, Transaction
from contracts.envelope import Entity, Workflow
from contracts.events import PaymentUpdated, Referenced
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from tests.chassis.pending_rows import FAST, MARIA, PendingRows, Row, pend
from tests.support.consuming import SCHEMA, open_database
from tests.support.eventually import eventually
from tests.support.infrastructure import TemporaryDatabase


@pytest.fixture
async def database(laid_database: TemporaryDatabase) -> AsyncIterator[Database]:
    opened = open_database(laid_database.url_for(SCHEMA))
    yield opened
    await opened.close()


async def column(database: Database, query: str) -> list[object]:
    async with database.reading() as tx:
        return list((await tx.connection.execute(text(query))).scalars())


async def state(database: Database) -> tuple[list[object], list[object], list[object], list[object]]:
    """Effects, outbox keys of payments, dead letters' pointers, pending rows."""
    return (
        await column(database, f"SELECT event_id::int FROM {SCHEMA}.effects ORDER BY id"),
        await column(database, f"SELECT key FROM {SCHEMA}.outbox WHERE key LIKE 'note %' ORDER BY id"),
        await column(database, f"SELECT pointer FROM {SCHEMA}.dead_letters ORDER BY id"),
        await column(database, f"SELECT id FROM {SCHEMA}.pending ORDER BY id"),
    )


def poison(*ids: int) -> Callable[[Transaction, Row], None]:
    def fail(tx: Transaction, row: Row) -> None:
        if row.id in ids:
            raise ValueError(f"row {row.id} is \x00 wrong")

    return fail


async def test_a_healthy_batch_is_handled_once_and_in_order(database: Database) -> None:
    await pend(database, 20)
    work = PendingRows()

    done = await run_batch(database, work, FAST)

    assert (done.claimed, done.set_aside, done.emitted, done.attempts) == (20, 0, 20, 1)
    assert work.attempts == [list(range(1, 21))]
    assert await state(database) == (list(range(1, 21)), [f"note {n}" for n in range(1, 21)], [], [])
    assert await database.committed.wait(0.0)


async def test_one_of_five_hundred_is_set_aside_and_the_rest_commit_with_it(database: Database) -> None:
    await pend(database, 500)
    rest = [n for n in range(1, 501) if n != 317]

    done = await run_batch(database, PendingRows(poison(317)), FAST)

    assert (done.claimed, done.set_aside, done.emitted, done.attempts) == (500, 1, 500, 2)
    assert await state(database) == (rest, [f"note {n}" for n in rest], ["pending/317"], [])
    (told,) = await column(
        database, f"SELECT convert_from(value, 'UTF8')::jsonb FROM {SCHEMA}.outbox WHERE key NOT LIKE 'note %'"
    )
    assert isinstance(told, dict)
    assert told["type"] == "message.dead_lettered"
    assert told["data"]["body"] == {
        "owner": "payments",
        "consumer": "payments.worker",
        "pointer": "pending/317",
        "reason_class": "ValueError",
    }


@pytest.mark.parametrize("bad", [(1,), (8,), (1, 2), (4, 5), (1, 3, 5, 7), tuple(range(1, 9))])
async def test_any_poison_is_isolated(database: Database, bad: tuple[int, ...]) -> None:
    await pend(database, 8)
    good = [n for n in range(1, 9) if n not in bad]

    await run_batch(database, PendingRows(poison(*bad)), FAST)

    assert await state(database) == (good, [f"note {n}" for n in good], [f"pending/{n}" for n in bad], [])


async def test_a_statement_that_fails_in_postgres_is_poison_too(database: Database) -> None:
    await pend(database, 4)

    async def divide(tx: Transaction, row: Row) -> None:
        if row.id == 3:
            await tx.connection.execute(text("SELECT 1 / 0"))

    await run_batch(database, PendingRows(divide), FAST)

    assert await state(database) == ([1, 2, 4], ["note 1", "note 2", "note 4"], ["pending/3"], [])


async def test_an_error_that_a_handler_swallowed_is_found(database: Database) -> None:
    await pend(database, 4)

    async def divide_and_go_on(tx: Transaction, row: Row) -> None:
        if row.id == 3:
            with pytest.raises(Exception, match="division by zero"):
                await tx.connection.execute(text("SELECT 1 / 0"))

    await run_batch(database, PendingRows(divide_and_go_on), FAST)

    assert (await state(database))[2] == ["pending/3"]


async def test_a_deferred_constraint_blames_its_item(database: Database) -> None:
    """A check that PostgreSQL would make at the commit is made before; here: a deferred trigger that refuses one."""
    await pend(database, 8)
    owner = await asyncpg.connect(await _owner_url(database))
    await owner.execute(
        f"""
        CREATE FUNCTION {SCHEMA}.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF NEW.note = 'note 6' THEN
                RAISE EXCEPTION 'journal does not balance' USING ERRCODE = 'check_violation';
            END IF;
            RETURN NULL;
        END $$;
        CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON {SCHEMA}.effects DEFERRABLE INITIALLY DEFERRED
            FOR EACH ROW EXECUTE FUNCTION {SCHEMA}.refuse();
        """
    )
    await owner.close()

    await run_batch(database, PendingRows(), FAST)

    effects, _, dead, pending = await state(database)
    assert (effects, dead, pending) == ([1, 2, 3, 4, 5, 7, 8], ["pending/6"], [])
    assert await column(database, f"SELECT reason FROM {SCHEMA}.dead_letters") == [
        "CheckViolationError: journal does not balance"
    ]


async def _owner_url(database: Database) -> str:
    url = database.engine.url
    return url.set(drivername="postgresql", username=f"{SCHEMA}_owner").render_as_string(hide_password=False)


async def test_an_event_that_cannot_be_stored_blames_its_item(database: Database) -> None:
    await pend(database, 4)
    async with database.transaction() as tx:
        await tx.connection.execute(text(f"UPDATE {SCHEMA}.pending SET note = 'wrong' WHERE id = 2"))

    def nul_in_the_key(tx: Transaction, row: Row) -> None:
        if row.note == "wrong":
            payment = Referenced(id="pay", reference="pay")
            tx.acting(MARIA, Cause("c")).emit(
                Draft(
                    PaymentUpdated(change="matched", payment=payment),
                    Entity(type="payment", id="pay"),
                    Workflow(name="collection", id="pay"),
                    key="a\x00b",
                )
            )

    await run_batch(database, PendingRows(nul_in_the_key), FAST)

    assert (await state(database))[0] == [1, 3, 4]
    assert (await state(database))[2] == ["pending/2"]


class SilentRows(PendingRows):
    """A worker's work of which nobody is told."""

    async def handle(self, tx: Transaction, items: Sequence[Row]) -> None:
        for row in items:
            try:
                await tx.connection.execute(text(f"SELECT 1 / ({row.id} - 2)"))
            except DBAPIError:
                continue


async def test_an_error_that_a_handler_swallows_is_found_where_nothing_is_told_of_the_batch(database: Database) -> None:
    """PostgreSQL answers the commit of a failed transaction with a rollback, and calls it a success."""
    await pend(database, 1, after=1)
    done = await run_batch(database, SilentRows(), FAST)
    assert (done.set_aside, (await state(database))[2:]) == (1, (["pending/2"], []))


async def test_what_cannot_be_read_is_set_aside_without_being_handled(database: Database) -> None:
    await pend(database, 3)
    work = PendingRows(unreadable=frozenset({2}))

    done = await run_batch(database, work, FAST)

    assert (done.claimed, done.set_aside, done.attempts) == (3, 1, 1)
    assert work.attempts == [[1, 3]]
    assert (await state(database))[2:] == (["pending/2"], [])


async def test_two_writers_in_conflict_both_have_their_effect(database: Database) -> None:
    """Each locks what the other needs next, so PostgreSQL ends one of them: it is run again, never set aside."""
    await pend(database, 2)
    barrier = asyncio.Barrier(2)
    met: set[int] = set()

    async def lock(tx: Transaction, number: int) -> None:
        await tx.connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": number})

    async def cross(tx: Transaction, row: Row) -> None:
        if row.id in met:
            return
        await lock(tx, row.id)
        met.add(row.id)
        await barrier.wait()
        await lock(tx, 3 - row.id)

    one = Limits(max_items=1, backoff=FAST.backoff)
    works = [PendingRows(cross), PendingRows(cross)]
    results = await asyncio.gather(*(run_batch(database, work, one) for work in works))

    assert sorted(done.attempts for done in results) == [1, 2]
    effects, _, dead, pending = await state(database)
    assert (sorted(map(str, effects)), dead, pending) == (["1", "2"], [], [])


async def test_a_conflict_that_comes_back_is_met_with_fewer_items(database: Database) -> None:
    await pend(database, 8)

    async def conflict_unless_few(tx: Transaction, row: Row) -> None:
        if len(work.attempts[-1]) > 2:
            await tx.connection.execute(text("DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '40001'; END $$"))

    work = PendingRows(conflict_unless_few)
    trouble = Trouble()

    done = await run_batch(database, work, FAST, trouble=trouble)

    assert done.claimed == 2
    assert [len(attempt) for attempt in work.attempts] == [8, 8, 8, 4, 2]
    assert (trouble.attempts, (await state(database))[2]) == (0, [])


async def test_connections_cut_in_mid_batch_are_waited_out(database: Database) -> None:
    await pend(database, 10)
    cuts = iter((True, True, True))

    async def cut(tx: Transaction, row: Row) -> None:
        if row.id == 7 and next(cuts, False):
            await tx.connection.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))

    done = await run_batch(database, PendingRows(cut), FAST)

    assert (done.attempts, done.set_aside) == (4, 0)
    assert (await state(database))[0] == list(range(1, 11))


async def test_a_batch_that_waits_to_be_tried_again_can_be_abandoned(database: Database) -> None:
    await pend(database, 3)
    abandon, trouble = asyncio.Event(), Trouble()

    def down(tx: Transaction, row: Row) -> None:
        raise ConnectionRefusedError("nobody listens")

    slow = Limits(backoff=Backoff(first_seconds=60, cap_seconds=60))
    task = asyncio.create_task(run_batch(database, PendingRows(down), slow, trouble=trouble, abandon=abandon))
    await eventually(lambda: trouble.attempts)
    abandon.set()

    with pytest.raises(AbandonedError):
        await task
    assert trouble.error == "ConnectionRefusedError: nobody listens"
    assert (await state(database))[3] == [1, 2, 3]


async def test_a_batch_that_was_lost_is_not_tried_again(database: Database) -> None:
    await pend(database, 3)

    def lose(tx: Transaction, row: Row) -> None:
        raise BatchLostError

    work = PendingRows(lose)
    with pytest.raises(BatchLostError):
        await run_batch(database, work, FAST)
    assert (len(work.attempts), await state(database)) == (1, ([], [], [], [1, 2, 3]))


async def test_an_attempt_that_hangs_is_given_up_and_tried_again(database: Database) -> None:
    await pend(database, 4)
    hangs = iter((True,))

    async def hang(tx: Transaction, row: Row) -> None:
        if next(hangs, False):
            await asyncio.Event().wait()

    done = await run_batch(
        database, PendingRows(hang), Limits(max_items=4, attempt_max_seconds=0.2, backoff=FAST.backoff)
    )

    assert (done.attempts, done.claimed) == (2, 2)
