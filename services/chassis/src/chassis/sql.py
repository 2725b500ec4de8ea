"""Statements for hot paths: SQL with named parameters, run by the driver itself.

SQLAlchemy owns the connection and its transaction; a `Statement` borrows the driver's connection from it. That saves
about half of what a small statement costs in this process. The first statement of a transaction always goes through
SQLAlchemy: it begins the transaction (the driver alone would commit each statement by itself), and it notices a
connection that has died in the pool. Tested in tests/chassis/test_sql.py.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import asyncpg
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

_PARAMETER: Final = re.compile(r"(?<![:\w]):([a-z_][a-z0-9_]*)")
_BEGIN: Final = text("SELECT 1")


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
        self._names: list[str] = []
        self.sql = _PARAMETER.sub(self._numbered, sql)

    def _numbered(self, found: re.Match[str]) -> str:
        name = found[1]
        if name not in self._names:
            self._names.append(name)
        return f"${self._names.index(name) + 1}"

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
        return [given[name] for name in self._names]


async def _driver(connection: AsyncConnection) -> asyncpg.Connection:
    # The pool's proxy is at hand from the first statement on; asking for it through a greenlet costs as much as a
    # small statement does.
    proxy = connection.sync_connection
    driver = None if proxy is None else proxy.connection.driver_connection
    if driver is None or not driver.is_in_transaction():
        await connection.execute(_BEGIN)
        driver = (await connection.get_raw_connection()).driver_connection
    return driver
