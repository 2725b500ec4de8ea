"""The worker: batches for as long as there is any work, then it waits to be woken."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from chassis.batch import Limits
from chassis.database import Database, Wake
from chassis.transaction import Transaction
from chassis.worker import Worker
from sqlalchemy import text

from tests.chassis.pending_rows import FAST, PendingRows, Row, pend
from tests.support.consuming import SCHEMA, open_database
from tests.support.eventually import eventually
from tests.support.infrastructure import TemporaryDatabase


@pytest.fixture
async def database(laid_database: TemporaryDatabase) -> AsyncIterator[Database]:
    opened = open_database(laid_database.url_for(SCHEMA))
    yield opened
    await opened.close()


async def left(database: Database) -> int:
    async with database.reading() as tx:
        return int((await tx.connection.execute(text(f"SELECT count(*) FROM {SCHEMA}.pending"))).scalar_one())


async def test_a_worker_drains_sleeps_and_is_woken(database: Database) -> None:
    await pend(database, 25)
    wake = Wake()
    worker = Worker(database, PendingRows(), limits=Limits(max_items=10), wake=wake, poll_seconds=60)
    assert await worker.drain() == 25

    running = asyncio.create_task(worker.run())
    await pend(database, 7, after=25)
    wake.set()
    await eventually(lambda: left(database), lambda seen: seen == 0)
    assert worker.check().ok
    await worker.stop()
    await running


async def test_a_worker_says_that_it_cannot_work_and_stops_at_once(database: Database) -> None:
    await pend(database, 1)

    def down(tx: Transaction, row: Row) -> None:
        raise ConnectionRefusedError("nobody listens")

    worker = Worker(database, PendingRows(down), limits=FAST)
    running = asyncio.create_task(worker.run())
    await eventually(lambda: not worker.check().ok)
    assert worker.check().detail == "ConnectionRefusedError: nobody listens"
    await worker.stop()
    await running
