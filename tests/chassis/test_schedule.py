"""A schedule executes each due row once, whoever else works it, is killed or comes late, against a real PostgreSQL."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import asyncpg
import pytest
from chassis.clock import BusinessClock, real_now, write_offset
from chassis.database import Database
from chassis.schedule import Due, LeaseLostError, Open, Schedule
from sqlalchemy import text

from tests.chassis.chores import BRIEF, PATIENT, TABLES, Chores, opened
from tests.support import specimen
from tests.support.eventually import eventually
from tests.support.infrastructure import TemporaryDatabase


@dataclass
class Household:
    """A database of chores, reached by as many instances as a test likes, and the business clock that they share."""

    url: str
    clock: Path
    databases: AsyncExitStack

    def instance(self) -> Database:
        """Another instance's own connections."""
        database = opened(self.url, self.clock)
        self.databases.push_async_callback(database.close)
        return database

    def advance(self, by: timedelta) -> None:
        write_offset(self.clock, BusinessClock(self.clock, recheck_seconds=0).offset + by)

    async def plan(self, *chores: str, due_in: timedelta = -timedelta(minutes=1)) -> None:
        async with self.instance().transaction() as tx:
            await tx.connection.execute(
                text("INSERT INTO specimen.chores (id, due_at) VALUES (:id, :due)"),
                [{"id": chore, "due": tx.now + due_in} for chore in chores],
            )

    async def done(self) -> Counter[str]:
        async with self.instance().reading() as tx:
            return Counter((await tx.connection.execute(text("SELECT chore FROM specimen.done"))).scalars())

    async def row(self, chore: str) -> tuple[datetime | None, int, bool]:
        """When it is due, how often it was begun since it last settled, and whether somebody holds its lease."""
        async with self.instance().reading() as tx:
            found = await tx.connection.execute(
                text("SELECT due_at, claims, lease_token IS NOT NULL FROM specimen.chores WHERE id = :id"),
                {"id": chore},
            )
            due_at, claims, held = found.one()
            return due_at, claims, held


@pytest.fixture
async def household(fresh_database: TemporaryDatabase, tmp_path: Path) -> AsyncIterator[Household]:
    await specimen.make(fresh_database)
    owner = await asyncpg.connect(fresh_database.owner_url_for(specimen.SCHEMA), timeout=10)
    await owner.execute(TABLES)
    await owner.close(timeout=10)
    async with AsyncExitStack() as databases:
        yield Household(fresh_database.url_for(specimen.SCHEMA), tmp_path / "clock.json", databases)


class Held(Chores):
    """Its call lasts until it is let go."""

    def __init__(self, database: Database) -> None:
        super().__init__(database, limits=PATIENT)
        self.entered, self.let_go = asyncio.Event(), asyncio.Event()

    async def call(self, due: Due) -> None:
        self.entered.set()
        await self.let_go.wait()


class Failing(Chores):
    """Fails with each of its errors in turn, then works."""

    def __init__(self, database: Database, *errors: Exception) -> None:
        super().__init__(database, limits=PATIENT)
        self.errors = list(errors)
        self.claims: list[int] = []

    async def call(self, due: Due) -> None:
        self.claims.append(due.claims)
        if self.errors:
            raise self.errors.pop(0)


async def test_two_instances_execute_each_due_row_once(household: Household) -> None:
    chores = [f"chore {n}" for n in range(60)]
    await household.plan(*chores)
    instances = [Chores(household.instance(), limits=PATIENT) for _ in range(2)]
    running = [asyncio.create_task(instance.run()) for instance in instances]

    await eventually(household.done, lambda done: len(done) == len(chores))
    for instance in instances:
        await instance.stop()
    await asyncio.gather(*running)

    assert await household.done() == Counter(chores)


async def test_what_is_not_due_yet_waits_and_a_jump_of_the_clock_executes_it_once(household: Household) -> None:
    await household.plan("sweep", due_in=timedelta(hours=3))
    schedule = Chores(household.instance(), limits=PATIENT)
    assert await schedule.drain() == 0

    household.advance(timedelta(days=30))  # 720 times its hour
    assert await schedule.drain() == 1
    assert await household.done() == Counter(["sweep"])

    due_at, claims, held = await household.row("sweep")
    assert due_at is not None
    assert due_at > real_now() + timedelta(days=30)
    assert (claims, held) == (0, False)


async def test_nobody_executes_a_row_while_another_holds_its_lease(household: Household) -> None:
    await household.plan("sweep")
    holder, other = Held(household.instance()), Chores(household.instance(), limits=PATIENT)
    holding = asyncio.create_task(holder.drain())
    await holder.entered.wait()

    household.advance(timedelta(days=365))  # leases are real time
    assert await other.drain() == 0

    holder.let_go.set()
    await holding
    assert await household.done() == Counter(["sweep"])


async def test_the_row_of_a_killed_process_is_due_again_when_its_lease_ends(household: Household) -> None:
    await household.plan("sweep")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.chassis.chores", household.url, str(household.clock)),
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"sweep\n"
    process.kill()
    await process.wait()

    heir = Chores(household.instance(), limits=BRIEF)
    await eventually(heir.drain, lambda claimed: claimed == 1)
    assert await household.done() == Counter(["sweep"])


async def test_whoever_has_lost_the_lease_records_nothing(household: Household) -> None:
    """Its transaction is rolled back whole: the effect and the event of the new holder are the only ones."""
    await household.plan("sweep")
    late = Held(household.instance())
    holding = asyncio.create_task(late.drain())
    await late.entered.wait()
    async with household.instance().transaction() as tx:  # its host was away for longer than the lease
        await tx.connection.execute(text("UPDATE specimen.chores SET leased_until = now() - interval '1 second'"))

    assert await Chores(household.instance(), limits=PATIENT).drain() == 1
    late.let_go.set()
    await holding

    assert await household.done() == Counter(["sweep"])
    async with household.instance().reading() as tx:
        assert (await tx.connection.execute(text("SELECT count(*) FROM specimen.outbox"))).scalar_one() == 1


async def test_what_fails_is_tried_again_for_as_long_as_it_takes(household: Household) -> None:
    await household.plan("sweep")
    schedule = Failing(household.instance(), ConnectionResetError("cut"), KeyError("a mistake of ours"))

    await eventually(lambda: _drained(schedule, household), lambda done: done == Counter(["sweep"]))

    assert schedule.claims == [1, 2, 3]
    assert (await household.row("sweep"))[1:] == (0, False)


async def test_an_execution_that_hangs_is_cut_off_and_tried_again(household: Household) -> None:
    await household.plan("sweep")

    class HangsOnce(Chores):
        async def call(self, due: Due) -> None:
            if due.claims == 1:
                await asyncio.Event().wait()

    await eventually(
        lambda: _drained(HangsOnce(household.instance(), limits=BRIEF), household),
        lambda done: done == Counter(["sweep"]),
    )


async def test_stopping_lets_what_is_in_flight_end(household: Household) -> None:
    await household.plan("sweep")
    schedule = Held(household.instance())
    running = asyncio.create_task(schedule.run())
    await schedule.entered.wait()

    stopping = asyncio.create_task(schedule.stop())
    done, _ = await asyncio.wait({stopping}, timeout=0.05)
    assert not done, "stop returned while an execution was in flight"

    schedule.let_go.set()
    await stopping
    await running
    assert await household.done() == Counter(["sweep"])


async def test_a_row_that_settles_without_a_next_time_is_never_due_again(household: Household) -> None:
    await household.plan("move out")

    class Once(Schedule):
        name = "once"
        rows = Chores.rows

        async def execute(self, due: Due, open_tx: Open) -> None:
            async with open_tx() as tx:
                await due.settle(tx, None)
            async with open_tx() as tx:
                with pytest.raises(LeaseLostError):
                    await due.settle(tx, None)

    schedule = Once(household.instance(), limits=PATIENT)
    assert await schedule.drain() == 1
    household.advance(timedelta(days=3_650))
    assert await schedule.drain() == 0
    assert await household.row("move out") == (None, 0, False)


async def _drained(schedule: Schedule, household: Household) -> Counter[str]:
    await schedule.drain()
    return await household.done()
