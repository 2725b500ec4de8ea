"""Statements run by the driver stay inside SQLAlchemy's transaction."""

from __future__ import annotations

from collections.abc import AsyncIterator

import asyncpg
import pytest
from chassis.database import Database
from chassis.faults import Fault, classify
from chassis.sql import Part, Statement, copy, read_together, write_together
from sqlalchemy import text

from tests.support import specimen
from tests.support.infrastructure import TemporaryDatabase

ADD = Statement(f"INSERT INTO {specimen.SCHEMA}.notes (name, amount) VALUES (:name, CAST(:amount AS integer))")
ADDED = Part(
    f"added AS (INSERT INTO {specimen.SCHEMA}.notes (name, amount)"
    " SELECT * FROM unnest(CAST(:names AS text[]), CAST(:amounts AS integer[])))"
)
RAISED = Part(
    f"raised AS (UPDATE {specimen.SCHEMA}.notes"
    " SET amount = amount + CAST(:amounts AS integer) WHERE name = ANY(:names))"
)
FIND = Statement(f"SELECT name, amount FROM {specimen.SCHEMA}.notes WHERE name = ANY(:names) ORDER BY name")


@pytest.fixture
async def database(fresh_database: TemporaryDatabase) -> AsyncIterator[Database]:
    await specimen.make(fresh_database)
    opened = specimen.opened(fresh_database.url_for(specimen.SCHEMA))
    yield opened
    await opened.close()


async def names(database: Database) -> list[str]:
    async with database.reading() as tx:
        return [row.name for row in await FIND.all(tx.connection, {"names": ["Emma", "Alessandro", "Isla Morgan"]})]


async def test_a_statement_that_comes_first_is_part_of_the_transaction(database: Database) -> None:
    with pytest.raises(RuntimeError, match="changed my mind"):
        async with database.transaction() as tx:
            await ADD.all(tx.connection, {"name": "Emma", "amount": 1})
            raise RuntimeError("changed my mind")
    assert await names(database) == []

    async with database.transaction() as tx:
        await ADD.all(tx.connection, {"name": "Emma", "amount": 1})
    assert await names(database) == ["Emma"]


async def test_a_savepoint_of_sqlalchemy_takes_back_what_the_driver_did(database: Database) -> None:
    async with database.transaction() as tx:
        await ADD.each(tx.connection, [{"name": "Emma", "amount": 1}])
        savepoint = await tx.connection.begin_nested()
        await ADD.each(tx.connection, [{"name": "Alessandro", "amount": 2}, {"name": "Isla Morgan", "amount": 3}])
        await savepoint.rollback()
    assert await names(database) == ["Emma"]


async def test_columns_are_attributes_and_an_unknown_one_is_an_error(database: Database) -> None:
    async with database.transaction() as tx:
        await ADD.all(tx.connection, {"name": "Emma", "amount": 7})
        (row,) = await FIND.all(tx.connection, {"names": ["Emma"]})
        assert (row.name, row.amount) == ("Emma", 7)
        with pytest.raises(AttributeError):
            _ = row.nothing


async def test_a_parameter_that_is_used_twice_is_sent_once_and_a_cast_is_left_alone(database: Database) -> None:
    twice = Statement("SELECT CAST(:word AS text) || CAST(:word AS text) AS doubled, now()::date AS today")
    assert twice.sql.count("$1") == 2
    async with database.reading() as tx:
        (row,) = await twice.all(tx.connection, {"word": "ha"})
        assert row.doubled == "haha"


async def test_parts_that_are_written_together_are_one_statement_with_parameters_of_their_own(
    database: Database,
) -> None:
    emma, both = {"names": ["Emma"], "amounts": [1]}, {"names": ["Emma", "Isla Morgan"], "amounts": 10}
    async with database.transaction() as tx:
        await write_together(tx.connection)
        await write_together(tx.connection, (ADDED, emma))
        # Neither sees what the other one writes: Isla Morgan is added and not raised.
        await write_together(tx.connection, (RAISED, both), (ADDED, {"names": ["Isla Morgan"], "amounts": [2]}))
        rows = await FIND.all(tx.connection, {"names": ["Emma", "Isla Morgan"]})
        assert [(row.name, row.amount) for row in rows] == [("Emma", 11), ("Isla Morgan", 2)]

    with pytest.raises(asyncpg.CheckViolationError):
        async with database.transaction() as tx:
            lowered = {"names": ["Emma"], "amounts": -100}
            await write_together(tx.connection, (ADDED, {"names": ["Alessandro"], "amounts": [3]}), (RAISED, lowered))
    assert await names(database) == ["Emma", "Isla Morgan"]


async def test_reads_that_travel_together_keep_their_parameters_and_their_order(database: Database) -> None:
    async with database.transaction() as tx:
        await ADD.each(tx.connection, [{"name": name, "amount": 5} for name in ("Isla Morgan", "Emma", "Alessandro")])
        found = await read_together(
            tx.connection,
            some=(FIND, {"names": ["Isla Morgan", "Alessandro"]}),
            nobody=(FIND, {"names": ["Mark Stevens"]}),
            emma=(FIND, {"names": ["Emma"]}),
        )
    assert [row["name"] for row in found["some"]] == ["Alessandro", "Isla Morgan"]
    assert list(found["nobody"]) == []
    assert list(found["emma"]) == [{"name": "Emma", "amount": 5}]


async def test_what_is_copied_belongs_to_the_transaction(database: Database) -> None:
    rows = [("Emma", 1), ("Alessandro", 2)]
    with pytest.raises(RuntimeError, match="changed my mind"):
        async with database.transaction() as tx:
            await copy(tx.connection, f"{specimen.SCHEMA}.notes", ("name", "amount"), rows)
            raise RuntimeError("changed my mind")
    assert await names(database) == []
    async with database.transaction() as tx:
        await copy(tx.connection, f"{specimen.SCHEMA}.notes", ("name", "amount"), rows)
    assert await names(database) == ["Alessandro", "Emma"]


async def test_a_connection_that_died_in_the_pool_is_replaced(database: Database, postgres: str) -> None:
    assert await names(database) == []
    admin = await asyncpg.connect(postgres)
    query = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1 AND datname = $2"
    async with database.reading() as tx:
        name = (await tx.connection.execute(text("SELECT current_database()"))).scalar_one()
    await admin.fetch(query, specimen.SCHEMA, name)
    await admin.close()
    with pytest.raises(Exception) as lost:  # noqa: PT011 - which one it is, is the driver's matter
        await names(database)
    assert classify(lost.value) is Fault.INFRASTRUCTURE
    assert await names(database) == []
