"""Faults are told apart by errors that a real PostgreSQL, asyncpg, SQLAlchemy and aiokafka raise."""

from __future__ import annotations

import asyncpg
import pytest
from aiokafka.errors import ConsumerStoppedError, KafkaConnectionError, KafkaTimeoutError
from chassis.database import create_engine
from chassis.faults import Fault, classify
from contracts.registry import UnreadableEventError
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from tests.support.infrastructure import TemporaryDatabase

BY_SQLSTATE = {
    Fault.CONFLICT: ("23505", "40001", "40P01", "55P03", "40000"),
    Fault.INFRASTRUCTURE: (
        *("08000", "08003", "08006", "53100", "53200", "53300", "57014", "57P01", "57P02", "57P03", "58000", "58030"),
        *("25006", "25P03", "28P01", "3D000", "3F000", "40003", "42501", "42703", "42883", "42P01", "XX001"),
    ),
    Fault.POISON: ("22012", "22021", "23502", "23503", "23514", "23P01", "25P02", "42601", "P0001", "XX000"),
}


async def raised_by(url: str, statement: str, **parameters: object) -> Exception:
    """The error that SQLAlchemy raises for a statement."""
    engine = create_engine(url, application="tests", command_timeout_seconds=2)
    try:
        with pytest.raises(Exception) as raised:  # noqa: PT011 - which class it is, is SQLAlchemy's matter
            async with engine.begin() as connection:
                await connection.execute(text(statement), parameters)
        return raised.value
    finally:
        await engine.dispose()


async def test_errors_of_postgres_are_told_apart_by_their_code(postgres: str) -> None:
    """Raised by the server, once as asyncpg's own error and once wrapped by SQLAlchemy."""
    connection = await asyncpg.connect(postgres)
    for fault, sqlstates in BY_SQLSTATE.items():
        for sqlstate in sqlstates:
            raising = f"DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '{sqlstate}'; END $$"
            with pytest.raises(asyncpg.PostgresError) as bare:
                await connection.execute(raising)
            assert classify(bare.value) is fault, sqlstate
            assert classify(await raised_by(postgres, raising)) is fault, sqlstate
    await connection.close()


@pytest.mark.parametrize("statement", ["SELECT not_yet FROM pg_class", "SELECT not_yet(1)", "SELECT * FROM not_yet"])
async def test_what_an_older_schema_lacks_is_waited_for(postgres: str, statement: str) -> None:
    assert classify(await raised_by(postgres, statement)) is Fault.INFRASTRUCTURE


async def test_a_connection_that_is_cut_is_infrastructure(postgres: str) -> None:
    error = await raised_by(postgres, "SELECT pg_terminate_backend(pg_backend_pid())")

    assert classify(error) is Fault.INFRASTRUCTURE


async def test_nobody_listening_and_a_full_pool_are_infrastructure(fresh_database: TemporaryDatabase) -> None:
    refused = await raised_by("postgresql://payments:secret@127.0.0.1:1/payments", "SELECT 1")
    url = fresh_database.admin_url.replace("postgresql://", "postgresql+asyncpg://")
    full = create_async_engine(url, pool_size=1, max_overflow=0, pool_timeout=0.01)
    async with full.connect():
        with pytest.raises(Exception, match="QueuePool limit") as exhausted:
            await full.connect()
    await full.dispose()

    assert classify(refused) is Fault.INFRASTRUCTURE
    assert classify(exhausted.value) is Fault.INFRASTRUCTURE


async def test_a_statement_that_takes_too_long_is_infrastructure(postgres: str) -> None:
    error = await raised_by(postgres, "SELECT pg_sleep(60)")

    assert isinstance(error, TimeoutError)
    assert classify(error) is Fault.INFRASTRUCTURE


async def test_an_argument_that_does_not_fit_is_poison(postgres: str) -> None:
    """asyncpg calls it an interface error, as it does a connection that is closed."""
    assert classify(await raised_by(postgres, "SELECT CAST(:number AS int)", number="eleven")) is Fault.POISON


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (KafkaConnectionError(), Fault.INFRASTRUCTURE),
        (KafkaTimeoutError(), Fault.INFRASTRUCTURE),
        (ConsumerStoppedError(), Fault.INFRASTRUCTURE),
        (TimeoutError(), Fault.INFRASTRUCTURE),
        (ConnectionResetError(), Fault.INFRASTRUCTURE),
        (OSError("No space left on device"), Fault.INFRASTRUCTURE),
        (asyncpg.ConnectionDoesNotExistError(), Fault.INFRASTRUCTURE),
        (asyncpg.InterfaceError("connection is closed"), Fault.INFRASTRUCTURE),
        (ValueError("a body of the wrong shape"), Fault.POISON),
        (KeyError("payment"), Fault.POISON),
        (RecursionError(), Fault.POISON),
        (UnreadableEventError("no JSON"), Fault.POISON),
        (AssertionError(), Fault.POISON),
    ],
    ids=repr,
)
def test_other_errors_are_told_apart_by_their_class(error: Exception, fault: Fault) -> None:
    assert classify(error) is fault


def test_what_an_error_was_raised_from_counts_and_what_was_merely_being_handled_does_not() -> None:
    from_a_fault = ValueError("could not load")
    from_a_fault.__cause__ = ConnectionResetError()
    during_a_fault = ValueError("wrong")
    during_a_fault.__context__ = ConnectionResetError()

    assert classify(from_a_fault) is Fault.INFRASTRUCTURE
    assert classify(during_a_fault) is Fault.POISON
