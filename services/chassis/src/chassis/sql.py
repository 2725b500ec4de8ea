"""Statements for hot paths: SQL with named parameters, run by the driver itself, and several of them in one round trip.

SQLAlchemy owns the connection and its transaction; a `Statement` borrows the driver's connection from it. That saves
two thirds of what a small statement costs in this process. SQLAlchemy begins a transaction with its own first
statement; where ours is the first, its adapter is told to begin, because the driver alone would commit each statement
by itself. That leans on the adapter's internals: SQLAlchemy is pinned to the very version. A connection that turns
out to be dead is taken out of the pool.

A small batch costs its round trips and little else, so `read_together` and `write_together` make one statement of
several that need nothing of each other: all of them see the database as it was before any of them began.
Tested in tests/chassis/test_sql.py.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

import asyncpg
from sqlalchemy.ext.asyncio import AsyncConnection

_PARAMETER: Final = re.compile(r"(?<![:\w]):([a-z_][a-z0-9_]*)")


class Row(asyncpg.Record):  # type: ignore[misc]
    """One row; its columns are attributes."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None


class Statement:
    """One statement whose parameters are written `:name`; a cast is written `CAST(:name AS type)`."""

    def __init__(self, sql: str) -> None:
        self.text = sql
        self.sql, self._names = _numbered([("", sql)])

    async def all(self, connection: AsyncConnection, given: Mapping[str, Any] | None = None) -> Sequence[Row]:
        """Run the statement in the connection's transaction and return its rows. Raises asyncpg.PostgresError."""
        driver = await _driver(connection)
        rows: list[Row] = await driver.fetch(self.sql, *self._arguments(given or {}), record_class=Row)
        return rows

    async def each(self, connection: AsyncConnection, given: Sequence[Mapping[str, Any]]) -> None:
        """Run the statement once for each of `given`, in one round trip."""
        if given:
            driver = await _driver(connection)
            await driver.executemany(self.sql, [self._arguments(row) for row in given])

    def _arguments(self, given: Mapping[str, Any]) -> list[Any]:
        return [given[name] for _, name in self._names]


class Part:
    """A part of one statement that writes: common table expressions, as they stand between WITH and the statement.

    Their names are unique among the parts that are written together.
    """

    def __init__(self, sql: str) -> None:
        self.text = sql


Write = tuple[Part, Mapping[str, Any]]
"""A part with its parameters."""
Read = tuple[Statement, Mapping[str, Any]]
"""A read with its parameters."""
JsonRow = Mapping[str, Any]
"""One row as JSON renders it: ids and times are texts, a time in ISO 8601 with its offset."""


async def read_together(connection: AsyncConnection, **reads: Read) -> Mapping[str, Sequence[JsonRow]]:
    """Run several reads as one statement, on one snapshot; returns the rows of each by its name, in their order."""
    sql, names = _reading(tuple((name, read) for name, (read, _) in reads.items()))
    driver = await _driver(connection)
    row = await driver.fetchrow(sql, *(reads[part][1][name] for part, name in names))
    return {name: rows or () for name, rows in row.items()}


async def write_together(connection: AsyncConnection, *parts: Write) -> None:
    """Run several parts as one statement; none of them sees what another one writes, triggers see all of it."""
    if parts:
        sql, names = _writing(tuple(part for part, _ in parts))
        driver = await _driver(connection)
        await driver.fetch(sql, *(parts[int(place)][1][name] for place, name in names))


async def copy(connection: AsyncConnection, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Write many rows into `table`, named with its schema, by COPY."""
    driver = await _driver(connection)
    schema, _, name = table.rpartition(".")
    await driver.copy_records_to_table(name, schema_name=schema, columns=columns, records=rows)


@lru_cache(maxsize=256)
def _reading(reads: tuple[tuple[str, Statement], ...]) -> tuple[str, list[tuple[str, str]]]:
    texts = [(name, f"(SELECT json_agg(part) FROM ({read.text}) AS part) AS {name}") for name, read in reads]
    sql, names = _numbered(texts, between=", ")
    return f"SELECT {sql}", names


@lru_cache(maxsize=256)
def _writing(parts: tuple[Part, ...]) -> tuple[str, list[tuple[str, str]]]:
    sql, names = _numbered([(str(place), part.text) for place, part in enumerate(parts)], between=", ")
    return f"WITH {sql} SELECT", names


def _numbered(texts: Sequence[tuple[str, str]], between: str = "") -> tuple[str, list[tuple[str, str]]]:
    """Number the parameters of several texts from $1 on; returns which one of which text each number stands for."""
    names: list[tuple[str, str]] = []
    numbered: list[str] = []
    for part, sql in texts:

        def number(found: re.Match[str], part: str = part) -> str:
            name = (part, found[1])
            if name not in names:
                names.append(name)
            return f"${names.index(name) + 1}"

        numbered.append(_PARAMETER.sub(number, sql))
    return between.join(numbered), names


async def _driver(connection: AsyncConnection) -> asyncpg.Connection:
    # Asking for the raw connection through a greenlet would cost as much as a small statement does.
    if connection.sync_connection is None:
        raise RuntimeError("the connection is not open")
    adapter: Any = connection.sync_connection.connection.dbapi_connection
    driver: asyncpg.Connection = adapter.driver_connection
    if not driver.is_in_transaction():
        try:
            await adapter._start_transaction()
        except Exception:
            await connection.invalidate()
            raise
    return driver
