"""PostgreSQL: the engine and the edge that opens and commits transactions.

Outside this package nothing commits. A transaction that ends without an error has its events in the outbox; one that
raises leaves nothing behind. After a commit that emitted, `committed` wakes whoever relays in this process at once;
relays elsewhere find the rows by polling, so that no NOTIFY serialises the commits.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Final

import orjson
from contracts.envelope import Actor
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from chassis import outbox
from chassis.clock import BusinessClock
from chassis.transaction import Cause, Transaction

BATCH_SETTINGS: Final[Mapping[str, str]] = {
    # The same statements again and again, each for some keys of tables that may have been empty when it was planned:
    # planned once and always by index, whatever the statistics of that moment said.
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
}
"""What the connections of batches set for themselves."""


def create_engine(
    url: str,
    *,
    application: str,
    pool_max_connections: int = 8,
    command_timeout_seconds: float = 30.0,
    search_path: str | None = None,
    server_settings: Mapping[str, str] | None = None,
) -> AsyncEngine:
    """An engine over asyncpg; a server whose host has died is given up after ten seconds, not after hours.

    `search_path` None leaves it as the role has it.
    """
    return create_async_engine(
        make_url(url).set(drivername="postgresql+asyncpg"),
        pool_size=pool_max_connections,
        max_overflow=0,
        pool_timeout=10,
        pool_pre_ping=False,
        # The same few connections over and over: their statements are prepared, their plans made.
        pool_use_lifo=True,
        hide_parameters=True,
        json_serializer=lambda value: orjson.dumps(value).decode(),
        json_deserializer=orjson.loads,
        connect_args={
            "timeout": 5,
            "command_timeout": command_timeout_seconds,
            "server_settings": {
                "application_name": application,
                "jit": "off",
                "tcp_user_timeout": "10000",
                "idle_in_transaction_session_timeout": "10000",
                "lock_timeout": "10000",
                **({} if search_path is None else {"search_path": search_path}),
                **(server_settings or {}),
            },
        },
    )


class Wake:
    """Wakes one waiter: a `set` between two waits is never lost, several are one."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def set(self) -> None:
        self._event.set()

    async def wait(self, timeout_seconds: float) -> bool:
        """Return True as soon as somebody has called `set`, False after `timeout_seconds`."""
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._event.wait()
        except TimeoutError:
            return False
        self._event.clear()
        return True


class Database:
    """One service's schema, reached through that service's role.

    `batches` are the connections of workers and consumers, made with BATCH_SETTINGS; None: the same as everybody's.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        *,
        service: str,
        schema: str,
        clock: BusinessClock,
        batches: AsyncEngine | None = None,
    ) -> None:
        self.engine = engine
        self.service = service
        self.schema = schema
        self.clock = clock
        self.committed = Wake()
        self._batches = batches or engine

    @asynccontextmanager
    async def transaction(
        self, *, actor: Actor | None = None, cause: Cause | None = None
    ) -> AsyncIterator[Transaction]:
        """Open a transaction, and commit it with its events when the block ends without an error."""
        async with self._transaction(self.engine, actor, cause) as tx:
            yield tx

    @asynccontextmanager
    async def batch(self) -> AsyncIterator[Transaction]:
        """The same for a batch, which has a cause for each of its items and none for all."""
        async with self._transaction(self._batches, None, None) as tx:
            yield tx

    @asynccontextmanager
    async def _transaction(
        self, engine: AsyncEngine, actor: Actor | None, cause: Cause | None
    ) -> AsyncIterator[Transaction]:
        async with engine.begin() as connection:
            tx = Transaction(self.service, connection, self.clock.now(), actor, cause)
            yield tx
            await outbox.insert(connection, self.schema, tx.outgoing)
        if tx.outgoing:
            self.committed.set()

    @asynccontextmanager
    async def reading(self, *, actor: Actor | None = None, cause: Cause | None = None) -> AsyncIterator[Transaction]:
        """Open a transaction that PostgreSQL itself keeps from writing; one snapshot for all of its reads."""
        async with self.engine.connect() as connection:
            await connection.execution_options(postgresql_readonly=True, isolation_level="REPEATABLE READ")
            yield Transaction(self.service, connection, self.clock.now(), actor, cause)

    async def close(self) -> None:
        """Close every connection."""
        for engine in {self.engine, self._batches}:
            await engine.dispose()
