"""A schedule: rows of a service's own table that fall due, each executed once over all processes and restarts.

For work that calls somebody else between two transactions; work that needs one transaction alone is a `Worker`'s. A
due row is claimed by a lease in a transaction of its own, executed, and settled in the transaction that records the
result. It promises:

- While a lease lasts nobody else executes the row (`FOR UPDATE SKIP LOCKED`), and what an executor that has lost its
  lease would still record is refused: `settle` compares the lease's token and raises LeaseLostError.
- A process that dies, or an execution that fails, leaves a row that is due again: after the lease, or after a back-off
  that grows with each claim that was not settled. Nothing gives up; `claims` says how often it was begun.
- Due is business time: a jump of the clock makes each overdue row due once, because the next time is chosen when the
  row is settled. Leases are real time, by the database's clock, which all processes share.

A call that was made and not recorded is made again: give it an idempotency key that was stored before.
Tested in tests/chassis/test_schedule.py.
"""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar, Final

import structlog
from sqlalchemy import Column, DateTime, Integer, Text

from chassis.batch import Backoff, describe
from chassis.database import Database
from chassis.faults import Fault, classify
from chassis.ids import new_id
from chassis.poller import Poller
from chassis.sql import Statement
from chassis.telemetry import metrics, traces
from chassis.transaction import Cause, Transaction

log = structlog.get_logger()
Open = Callable[[], AbstractAsyncContextManager[Transaction]]
"""Opens a transaction of one execution: all of them act as this service and share one correlation id."""


def lease_columns() -> Sequence[Column[Any]]:
    """What a table needs beside its `due` column (null: not due); its role needs SELECT and UPDATE."""
    return (
        Column("lease_token", Text),
        Column("leased_until", DateTime(timezone=True)),
        Column("claims", Integer, nullable=False, server_default="0"),
    )


class LeaseLostError(Exception):
    """Somebody else executes this row by now: what was done for it must not be recorded."""

    def __init__(self, table: str, key: object) -> None:
        super().__init__(f"the lease of {table} {key} is somebody else's by now")
        self.table = table
        self.key = key


@dataclass(frozen=True, slots=True)
class Rows:
    """Which rows a schedule works: a `table` with its schema, its primary `key`, and the column that is `due`."""

    table: str
    key: str = "id"
    due: str = "due_at"


@dataclass(frozen=True, slots=True)
class Due:
    """A row whose turn it is, leased to this process; `claims` counts how often it was begun since it last settled."""

    key: Any
    due_at: datetime
    claims: int
    token: str
    _rows: Rows
    _settle: Statement

    async def settle(self, tx: Transaction, next_at: datetime | None) -> None:
        """End the execution in the transaction that records it; the row is due again at `next_at`, or never.

        Raises LeaseLostError, so that nothing of that transaction is kept.
        """
        given = {"key": self.key, "token": self.token, "next": next_at}
        if not await self._settle.all(tx.connection, given):
            raise LeaseLostError(self._rows.table, self.key)


@dataclass(frozen=True, slots=True)
class ScheduleLimits:
    """How much a schedule takes: executions at once in this process, seconds of one, and how long a lease outlives it.

    `poll_seconds` is how long a row that fell due may wait when nobody wakes the schedule.
    """

    at_once: int = 8
    execution_max_seconds: float = 30.0
    lease_margin_seconds: float = 10.0
    poll_seconds: float = 1.0
    backoff: Backoff = field(default_factory=lambda: Backoff(first_seconds=1.0, cap_seconds=300.0))

    @property
    def lease_seconds(self) -> float:
        return self.execution_max_seconds + self.lease_margin_seconds


class Schedule(Poller):
    """One part of a service's process: a subclass says which `rows`, and how one of them is executed."""

    rows: ClassVar[Rows]

    def __init__(self, database: Database, *, limits: ScheduleLimits | None = None) -> None:
        super().__init__()
        self._database = database
        self._limits = limits or ScheduleLimits()
        self.idle_seconds = self._limits.poll_seconds
        self._in_flight: set[asyncio.Task[None]] = set()
        self._claiming = asyncio.Lock()
        self._claim, self._settle, self._postpone = _statements(self.rows)

    @abstractmethod
    async def execute(self, due: Due, open_tx: Open) -> None:
        """Do what is due, and settle it in the last transaction; raising leaves it to another attempt."""

    async def step(self) -> int:
        """Claim what is due and start it; returns how many rows that were."""
        async with self._claiming:  # so that whoever drains sees in flight what the running part has just claimed
            free = self._limits.at_once - len(self._in_flight)
            found = await self._claimed(free) if free > 0 else []
            for due in found:
                task = asyncio.create_task(self._executed(due), name=f"{self.name} {due.key}")
                self._in_flight.add(task)
                task.add_done_callback(self._ended_one)
        return len(found)

    async def close(self) -> None:
        """Let what is in flight end; each execution is bounded."""
        await asyncio.gather(*self._in_flight, return_exceptions=True)

    async def drain(self) -> int:
        """Execute until nothing is due; returns how many rows were claimed here."""
        total = 0
        while True:
            found = await self.step()
            total += found
            if self._in_flight:
                await asyncio.wait(set(self._in_flight))
            elif not found:
                return total

    def _ended_one(self, task: asyncio.Task[None]) -> None:
        if len(self._in_flight) >= self._limits.at_once:
            self.wake.set()
        self._in_flight.discard(task)

    async def _claimed(self, limit: int) -> Sequence[Due]:
        given = {"limit": limit, "lease": self._limits.lease_seconds}
        async with self._database.transaction() as tx:
            rows = await self._claim.all(tx.connection, {**given, "now": tx.now})
        return [Due(row.key, row.due, row.claims, row.lease_token, self.rows, self._settle) for row in rows]

    async def _executed(self, due: Due) -> None:
        """Execute one row, whatever becomes of it."""
        cause = Cause(correlation_id=new_id())

        @asynccontextmanager
        async def open_tx() -> AsyncIterator[Transaction]:
            async with self._database.transaction() as tx:
                yield tx.automatically(cause)

        try:
            with traces.span(f"{self.name} execution"):
                async with asyncio.timeout(self._limits.execution_max_seconds):
                    await self.execute(due, open_tx)
        except LeaseLostError as error:
            metrics.EXECUTIONS.labels(self.name, "lost").inc()
            log.warning("schedule.lost", schedule=self.name, key=str(due.key), error=describe(error))
        except Exception as error:
            metrics.EXECUTIONS.labels(self.name, "failed").inc()
            await self._failed(due, error)
        else:
            metrics.EXECUTIONS.labels(self.name, "done").inc()

    async def _failed(self, due: Due, error: Exception) -> None:
        """Leave the row to a later attempt. Where even that cannot be said, the lease says it by running out."""
        wait = self._limits.backoff.seconds(due.claims)
        told = {"schedule": self.name, "key": str(due.key), "claims": due.claims, "wait_seconds": round(wait, 1)}
        if classify(error) is Fault.POISON:
            log.error("schedule.failed", **told, exc_info=error)
        else:
            log.warning("schedule.failed", **told, error=describe(error))
        try:
            async with self._database.transaction() as tx:
                await self._postpone.all(tx.connection, {"key": due.key, "token": due.token, "wait": wait})
        except Exception as second:
            if classify(second) is Fault.POISON:
                raise
            log.warning("schedule.not_postponed", schedule=self.name, key=str(due.key), error=describe(second))


_NOBODY_HOLDS: Final = "(leased_until IS NULL OR leased_until <= clock_timestamp())"


def _statements(rows: Rows) -> tuple[Statement, Statement, Statement]:
    """To claim due rows, to settle one and to postpone one that failed."""
    table, key, due = rows.table, rows.key, rows.due
    claim = f"""
        UPDATE {table} AS held
        SET lease_token = gen_random_uuid()::text, claims = held.claims + 1,
            leased_until = clock_timestamp() + make_interval(secs => CAST(:lease AS float8))
        FROM (
            SELECT {key} AS picked FROM {table} WHERE {due} <= :now AND {_NOBODY_HOLDS}
            ORDER BY {due} LIMIT :limit FOR UPDATE SKIP LOCKED
        ) AS these
        WHERE held.{key} = these.picked
        RETURNING held.{key} AS key, held.{due} AS due, held.claims, held.lease_token
        """
    settle = f"""
        UPDATE {table} SET {due} = :next, lease_token = NULL, leased_until = NULL, claims = 0
        WHERE {key} = :key AND lease_token = :token RETURNING {key}
        """
    postpone = f"""
        UPDATE {table}
        SET lease_token = NULL, leased_until = clock_timestamp() + make_interval(secs => CAST(:wait AS float8))
        WHERE {key} = :key AND lease_token = :token
        """
    return Statement(claim), Statement(settle), Statement(postpone)
