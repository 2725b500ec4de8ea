"""The ledger refuses four things to everybody: unbalanced, empty, sealed, changed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import asyncpg
import pytest
from chassis import migrations
from payments.tables import metadata

from tests.support.infrastructure import TemporaryDatabase

JOURNAL = """
INSERT INTO payments.journals (id, source, source_key, economic_key, subject, kind, words, effective_at, effective_on,
                               recorded_at)
VALUES ($1::uuid, 'test', $1::uuid::text, 'test', 'test', 'original', 'a test', now(), current_date, now())
"""
ENTRY = """
INSERT INTO payments.ledger_entries (journal_id, line, account, currency, amount_minor, phase, tax_code)
SELECT $1::uuid, line, account, currency, amount, phase, 'N-T' FROM unnest($2::smallint[], $3::text[], $4::text[],
       $5::bigint[], $6::text[]) AS e (line, account, currency, amount, phase)
"""
FIRST, SECOND = "01900000-0000-7000-8000-000000000001", "01900000-0000-7000-8000-000000000002"
Line = tuple[str, str, int, str]
PAIR: list[Line] = [("1200 clearing:stripe", "AUD", 500, "posted"), ("2100 gst_payable", "AUD", -500, "posted")]


@pytest.fixture
async def database(database_for: Callable[..., Awaitable[TemporaryDatabase]]) -> TemporaryDatabase:
    return await database_for("payments")


@pytest.fixture(params=["service", "owner"])
async def writer(request: pytest.FixtureRequest, database: TemporaryDatabase) -> AsyncIterator[asyncpg.Connection]:
    url = database.url_for("payments") if request.param == "service" else database.owner_url_for("payments")
    connection = await asyncpg.connect(url)
    yield connection
    await connection.close()


async def post(connection: asyncpg.Connection, journal: str, lines: list[Line], *, first_line: int = 1) -> None:
    numbers = list(range(first_line, first_line + len(lines)))
    await connection.execute(ENTRY, journal, numbers, *(list(column) for column in zip(*lines, strict=True)))


async def standing(database: TemporaryDatabase) -> tuple[int, int, int]:
    connection = await asyncpg.connect(database.url_for("payments"))
    try:
        row = await connection.fetchrow(
            "SELECT (SELECT count(*) FROM payments.journals), (SELECT count(*) FROM payments.ledger_entries),"
            " (SELECT count(*) FROM payments.balances WHERE amount_minor <> 0)"
        )
        return tuple(row)
    finally:
        await connection.close()


async def test_a_balanced_journal_stands_and_moves_the_balances(
    writer: asyncpg.Connection, database: TemporaryDatabase
) -> None:
    async with writer.transaction():
        await writer.execute(JOURNAL, FIRST)
        await post(writer, FIRST, PAIR)
    assert await standing(database) == (1, 2, 2)


@pytest.mark.parametrize(
    "lines",
    [
        [*PAIR[:1], ("2100 gst_payable", "AUD", -499, "posted")],
        [*PAIR[:1], ("2100 gst_payable", "NZD", -500, "posted")],
        [*PAIR[:1], ("2100 gst_payable", "AUD", -500, "pending")],
        [*PAIR, ("1200 clearing:stripe", "NZD", 5, "posted"), ("2100 gst_payable", "NZD", -5, "posted")],
        PAIR[:1],
    ],
    ids=["a cent short", "two currencies", "two phases", "two balanced currencies", "one line"],
)
async def test_an_unbalanced_journal_is_refused(
    writer: asyncpg.Connection, database: TemporaryDatabase, lines: list[Line]
) -> None:
    with pytest.raises(asyncpg.CheckViolationError, match="does not balance"):
        async with writer.transaction():
            await writer.execute(JOURNAL, FIRST)
            await post(writer, FIRST, lines)
    assert await standing(database) == (0, 0, 0)


async def test_a_second_currency_is_refused_in_a_second_statement_too(
    writer: asyncpg.Connection, database: TemporaryDatabase
) -> None:
    other: list[Line] = [(account, "NZD", amount, phase) for account, _, amount, phase in PAIR]
    with pytest.raises(asyncpg.CheckViolationError, match="does not balance"):
        async with writer.transaction():
            await writer.execute(JOURNAL, FIRST)
            await post(writer, FIRST, PAIR)
            await post(writer, FIRST, other, first_line=3)
    assert await standing(database) == (0, 0, 0)


async def test_an_empty_journal_is_refused_when_it_is_committed(
    writer: asyncpg.Connection, database: TemporaryDatabase
) -> None:
    with pytest.raises(asyncpg.CheckViolationError, match="has no entries"):
        async with writer.transaction():
            await writer.execute(JOURNAL, FIRST)
    assert await standing(database) == (0, 0, 0)


async def test_a_journal_is_sealed_by_the_transaction_that_wrote_it(
    writer: asyncpg.Connection, database: TemporaryDatabase
) -> None:
    async with writer.transaction():
        await writer.execute(JOURNAL, FIRST)
        await post(writer, FIRST, PAIR)
    with pytest.raises(asyncpg.CheckViolationError, match="is sealed"):
        await post(writer, FIRST, PAIR, first_line=3)
    assert await standing(database) == (1, 2, 2)


async def test_nobody_may_say_which_transaction_wrote_a_journal(writer: asyncpg.Connection) -> None:
    forged = JOURNAL.replace("recorded_at)", "recorded_at, written_by)").replace("now())\n", "now(), '3'::xid8)\n")
    async with writer.transaction():
        await writer.execute(forged, SECOND)
        await post(writer, SECOND, PAIR)
    assert await writer.fetchval("SELECT written_by <> '3'::xid8 FROM payments.journals")


@pytest.mark.parametrize("table", ["journals", "ledger_entries"])
@pytest.mark.parametrize("change", ["UPDATE {} SET {}", "DELETE FROM {}", "TRUNCATE {} CASCADE"])
async def test_nothing_is_changed_or_removed(
    writer: asyncpg.Connection, database: TemporaryDatabase, table: str, change: str
) -> None:
    async with writer.transaction():
        await writer.execute(JOURNAL, FIRST)
        await post(writer, FIRST, PAIR)
    column = "words = 'another'" if table == "journals" else "account = 'another'"
    with pytest.raises((asyncpg.InsufficientPrivilegeError, asyncpg.RestrictViolationError)):
        await writer.execute(change.format(f"payments.{table}", column))
    assert await standing(database) == (1, 2, 2)


async def test_the_service_may_not_touch_balances_by_hand(database: TemporaryDatabase) -> None:
    connection = await asyncpg.connect(database.url_for("payments"))
    for statement in (
        "UPDATE payments.balances SET amount_minor = 0",
        "INSERT INTO payments.balances VALUES ('1300 bank', 'AUD', 'posted', 1)",
        "DELETE FROM payments.balances",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(statement)
    await connection.close()


async def test_migrations_and_tables_agree(database: TemporaryDatabase) -> None:
    owner_url = database.owner_url_for("payments")
    assert await migrations.drift(owner_url, package="payments", schema="payments", metadata=metadata) == []
