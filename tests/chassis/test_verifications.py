"""A service verifies what it keeps again and again: in one process at a time, whatever becomes of that process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from chassis import verifications
from chassis.clock import real_now
from chassis.database import Database
from chassis.verifications import TURN, Verifications, Verified, verifications_table
from contracts.evidence import Measure
from sqlalchemy import MetaData, text
from sqlalchemy.ext.asyncio import AsyncConnection

from tests.support.consuming import SCHEMA, open_database
from tests.support.infrastructure import TemporaryDatabase

CLEAN, LOOKED_AT = Measure("clean", "yes or no", "All is well"), Measure("looked_at", "rows", "What was looked at")


@pytest.fixture
async def database(laid_database: TemporaryDatabase) -> AsyncIterator[Database]:
    owner = open_database(laid_database.owner_url_for(SCHEMA))
    metadata = MetaData(schema=SCHEMA)
    verifications_table(metadata)
    async with owner.engine.begin() as connection:
        await connection.run_sync(metadata.create_all)
        await connection.execute(text(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {SCHEMA}.verifications TO {SCHEMA}"))
    await owner.close()
    opened = open_database(laid_database.url_for(SCHEMA))
    yield opened
    await opened.close()


class Verifying:
    """A verification that counts its runs, waits where it is told to and finds what it is told to."""

    def __init__(self, found: Verified | Exception) -> None:
        self.found, self.runs = found, 0
        self.begun, self.go_on = asyncio.Event(), asyncio.Event()
        self.go_on.set()

    async def __call__(self, _: AsyncConnection) -> Verified:
        self.runs += 1
        self.begun.set()
        await self.go_on.wait()
        if isinstance(self.found, Exception):
            raise self.found
        return self.found


async def told(database: Database) -> dict[str, Any]:
    async with database.reading() as tx:
        found = await verifications.measured(tx.connection, SCHEMA, CLEAN, {"rows": LOOKED_AT})
    return {each.name: each.value for each in found}


async def age(database: Database, by: timedelta) -> None:
    """Every run there is becomes older."""
    earlier = ", ".join(f"{name} = {name} - CAST(:by AS interval)" for name in ("started_at", "finished_at"))
    async with database.transaction() as tx:
        await tx.connection.execute(text(f"UPDATE {SCHEMA}.verifications SET {earlier}"), {"by": by})


async def test_what_a_run_found_is_told_as_of_when_it_ended(database: Database) -> None:
    assert await told(database) == {}, "before the first run nobody knows"

    verifying = Verifying(Verified(True, {"rows": 7}))
    await Verifications(database, verifying, every_seconds=600).step()
    assert await told(database) == {"clean": True, "looked_at": 7}

    await age(database, timedelta(hours=2))
    verifying.found = Verified(False, {"rows": 8}, "row 3 is wrong")
    await Verifications(database, verifying, every_seconds=600).step()
    async with database.reading() as tx:
        kept = await verifications.newest(tx.connection, SCHEMA)
    assert kept is not None
    assert (kept.clean, kept.words) == (False, "row 3 is wrong")
    assert real_now() - kept.finished_at < timedelta(minutes=1)


async def test_a_run_is_due_once_its_time_has_come_and_not_before(database: Database) -> None:
    verifying = Verifying(Verified(True, {"rows": 7}))
    part = Verifications(database, verifying, every_seconds=600)
    await part.step()
    await part.step()
    assert verifying.runs == 1

    await age(database, timedelta(seconds=601))
    await part.step()
    assert verifying.runs == 2


async def test_two_processes_take_turns(database: Database) -> None:
    slow, quick = Verifying(Verified(True, {"rows": 7})), Verifying(Verified(True, {"rows": 7}))
    slow.go_on.clear()
    first = asyncio.create_task(Verifications(database, slow, every_seconds=600).step())
    await slow.begun.wait()

    await Verifications(database, quick, every_seconds=600).step()
    assert quick.runs == 0, "the other one is at it"

    slow.go_on.set()
    await first
    await Verifications(database, quick, every_seconds=600).step()
    assert (slow.runs, quick.runs) == (1, 0)


async def test_a_run_whose_process_died_is_begun_again_after_its_turn(database: Database) -> None:
    async with database.transaction() as tx:
        await tx.connection.execute(
            text(f"INSERT INTO {SCHEMA}.verifications (started_at) VALUES (:at)"), {"at": real_now()}
        )
    verifying = Verifying(Verified(True, {"rows": 7}))
    part = Verifications(database, verifying, every_seconds=600)
    await part.step()
    assert verifying.runs == 0

    await age(database, TURN)
    await part.step()
    assert verifying.runs == 1


async def test_a_run_that_could_not_look_leaves_no_result_and_can_be_begun_at_once(database: Database) -> None:
    verifying = Verifying(ConnectionError("the server went away"))
    part = Verifications(database, verifying, every_seconds=600)
    with pytest.raises(ConnectionError):
        await part.step()
    assert await told(database) == {}

    verifying.found = Verified(True, {"rows": 7})
    await part.step()
    assert (verifying.runs, await told(database)) == (2, {"clean": True, "looked_at": 7})
