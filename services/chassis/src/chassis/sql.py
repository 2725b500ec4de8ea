"""Statements for hot paths: SQL with named parameters, run by the driver itself.

SQLAlchemy owns the connection and its transaction; a `Statement` borrows the driver's connection from it. That saves
two thirds of what a small statement costs in this process. SQLAlchemy begins a transaction with its own first
statement; where ours is the first, its adapter is told to begin, because the driver alone would commit each statement
by itself. That leans on the adapter's internals: SQLAlchemy is pinned to the very version. A connection that turns
out to be dead is taken out of the pool. Tested in tests/chassis/test_sql.py.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
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
