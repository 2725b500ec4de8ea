"""The batch runner: claim, handle, emit and commit many items in one transaction, whatever one of them does.

It promises that every item that was claimed either has its effect and its events, or stands among the dead letters,
and that nothing in between survives:

- Poison: the batch runs again in a fresh transaction, in savepoints, halved until the item that fails is alone. That
  one is set aside in the transaction that commits the rest. Savepoints rather than a transaction for each half: the
  claim stays whole, so that nobody sees a batch half done, and a healthy batch pays nothing for them.
- A conflict (unique violation, serialisation failure, deadlock, lock timeout) means that another writer was faster:
  the whole transaction runs again after a short wait, and with fewer items when it meets conflicts again and again.
- An infrastructure fault says nothing about the items: wait, try again, for ever.

Only what `handle` does, the constraints that it deferred and the events that it emitted can make an item poison; an
error anywhere else is never held against one. A handler may therefore run several times for the same item: whatever
it does outside its transaction it does several times. Tested in tests/chassis/test_batch.py.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Generic, Protocol, TypeVar

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from chassis import outbox
from chassis.database import Database
from chassis.faults import Fault, classify
from chassis.sql import Statement
from chassis.telemetry import metrics
from chassis.transaction import Transaction

Item = TypeVar("Item")
log = structlog.get_logger()
_random: Final = random.SystemRandom()
_CHECK_NOW: Final = Statement("SET CONSTRAINTS ALL IMMEDIATE")
_CONFLICTS_BEFORE_FEWER_ITEMS: Final = 3


@dataclass(frozen=True, slots=True)
class Refused(Generic[Item]):
    """An item that is poison before anybody has handled it, for example because it cannot be read."""

    item: Item
    error: Exception


@dataclass(frozen=True, slots=True)
class Claimed(Generic[Item]):
    """What a transaction has claimed: `items` to handle, in this order, and `refused` to set aside at once.

    `last`: nothing was left to claim. Whoever adds more wakes the worker, so it need not look again at once.
    """

    items: Sequence[Item]
    refused: Sequence[Refused[Item]] = ()
    last: bool = False


class Work(Protocol[Item]):
    """What the batch runner runs; each method works in the transaction that it is given."""

    @property
    def name(self) -> str:
        """The name of this work in logs, metrics and dead letters."""

    async def claim(self, tx: Transaction, limit: int) -> Claimed[Item]:
        """Take at most `limit` items, so that nobody else handles them meanwhile."""

    async def handle(self, tx: Transaction, items: Sequence[Item]) -> None:
        """Do the work of all `items`, or raise; each item has its own cause (`tx.caused_by`, `tx.acting`)."""

    async def set_aside(self, tx: Transaction, item: Item, error: Exception) -> None:
        """Keep a poison item as a dead letter, and see to it that it is not claimed again."""


class BatchLostError(Exception):
    """What was claimed belongs to somebody else by now: nothing is committed, and trying again cannot help."""


class AbandonedError(Exception):
    """The batch was given up while it waited to be tried again; nothing is committed."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long to wait before another attempt: doubled each time up to a cap, shortened by chance."""

    first_seconds: float = 0.02
    cap_seconds: float = 5.0

    def seconds(self, attempt: int) -> float:
        """The wait after `attempt` failures, counted from 1."""
        most = min(self.cap_seconds, self.first_seconds * 2 ** min(attempt - 1, 30))
        return _random.uniform(most / 2, most)


@dataclass(slots=True)
class Trouble:
    """What a batch is struggling with at this moment; `attempts` is 0 when with nothing."""

    attempts: int = 0
    fault: Fault | None = None
    error: str | None = None

    def note(self, error: Exception, fault: Fault) -> None:
        self.attempts += 1
        self.fault, self.error = fault, describe(error)

    def clear(self) -> None:
        self.attempts, self.fault, self.error = 0, None, None


@dataclass(frozen=True, slots=True)
class Done:
    """What one committed batch did: items claimed, of them set aside, events emitted, attempts it took, any left."""

    claimed: int
    set_aside: int
    emitted: int
    attempts: int
    last: bool = False


@dataclass(frozen=True, slots=True)
class Limits:
    """How much one batch may take: items, seconds for one attempt, and the wait between attempts."""

    max_items: int = 500
    attempt_max_seconds: float = 60.0
    backoff: Backoff = field(default_factory=Backoff)


@dataclass(slots=True)
class _Plan:
    """How the next attempt goes about it, and how many items the last one had claimed."""

    max_items: int
    isolate: bool = False
    conflicts: int = 0
    claimed: int = 0
    last: bool = False

    def take_fewer(self) -> None:
        self.max_items = max(1, min(self.max_items, self.claimed or self.max_items) // 2)


class _PoisonedError(Exception):
    """The batch holds at least one item that cannot be handled."""


async def run_batch(
    database: Database,
    work: Work[Item],
    limits: Limits,
    *,
    trouble: Trouble | None = None,
    abandon: asyncio.Event | None = None,
) -> Done:
    """Run one batch until it is committed.

    Raises AbandonedError when `abandon` is set while it would have to wait or run again, and BatchLostError when the
    work says so; `trouble` tells meanwhile what it struggles with.
    """
    trouble, abandon = trouble or Trouble(), abandon or asyncio.Event()
    started = time.monotonic()
    plan, attempts = _Plan(limits.max_items), 0
    while True:
        attempts += 1
        try:
            async with asyncio.timeout(limits.attempt_max_seconds):
                set_aside, emitted = await _attempt(database, work, plan)
        except BatchLostError:
            raise
        except _PoisonedError as error:
            plan.isolate = True
            metrics.BATCHES.labels(work.name, "split").inc()
            log.warning("batch.poisoned", work=work.name, error=describe(error.__cause__ or error))
        except Exception as error:
            # Whatever failed here failed outside the handling of an item, or is no item's fault.
            fault = Fault.CONFLICT if classify(error) is Fault.CONFLICT else Fault.INFRASTRUCTURE
            trouble.note(error, fault)
            metrics.BATCHES.labels(work.name, fault.value).inc()
            plan.conflicts += fault is Fault.CONFLICT
            if plan.conflicts >= _CONFLICTS_BEFORE_FEWER_ITEMS or isinstance(error, TimeoutError):
                plan.take_fewer()
            log.warning("batch.failed", work=work.name, fault=fault.value, attempt=attempts, error=describe(error))
            await _pause(limits.backoff.seconds(trouble.attempts), abandon)
        else:
            trouble.clear()
            if plan.claimed:
                metrics.BATCHES.labels(work.name, "committed").inc()
                metrics.BATCH_ITEMS.labels(work.name).observe(plan.claimed)
                metrics.BATCH_SECONDS.labels(work.name).observe(time.monotonic() - started)
            return Done(plan.claimed, set_aside, emitted, attempts, plan.last)
        if abandon.is_set():
            raise AbandonedError(work.name)


async def _attempt(database: Database, work: Work[Item], plan: _Plan) -> tuple[int, int]:
    """One transaction; returns how many items were set aside, and how many events were emitted."""
    flushed = plan.claimed = 0
    blaming = False
    try:
        async with database.batch() as tx:
            claimed = await work.claim(tx, plan.max_items)
            plan.claimed, plan.last = len(claimed.items) + len(claimed.refused), claimed.last
            set_aside = len(claimed.refused)
            for refused in claimed.refused:
                await work.set_aside(tx, refused.item, refused.error)
            if plan.isolate and claimed.items:
                poisoned, flushed = await _isolate(tx, database.schema, work, claimed.items)
                set_aside += poisoned
                await _CHECK_NOW.all(tx.connection)
            elif claimed.items:
                # A batch that is expected to be healthy has no savepoints, and its deferred constraints are checked
                # by its commit: what it breaks there, or in the outbox, is an item's fault too.
                blaming = True
                await work.handle(tx, claimed.items)
                if not tx.outgoing:
                    # Where a handler swallowed an error, the commit would roll back and say nothing.
                    await _CHECK_NOW.all(tx.connection)
            left = len(tx.outgoing)
    except Exception as error:
        if blaming and classify(error) is Fault.POISON and not isinstance(error, BatchLostError):
            raise _PoisonedError(work.name) from error
        raise
    if flushed:
        database.committed.set()
    return set_aside, flushed + left


async def _isolate(tx: Transaction, schema: str, work: Work[Item], items: Sequence[Item]) -> tuple[int, int]:
    """Handle what can be handled and set aside what cannot; returns how many were set aside, and events emitted.

    The left half goes first, so that the items of one key keep their order.
    """
    middle = len(items) // 2
    set_aside = flushed = 0
    for part in (items,) if len(items) == 1 else (items[:middle], items[middle:]):
        mark, emitted = len(tx.outgoing), 0

        async def handle(part: Sequence[Item] = part, mark: int = mark) -> None:
            nonlocal emitted
            await work.handle(tx, part)
            await check_deferred(tx.connection)
            emitted = await _flush(tx, schema, mark)

        error = await sandboxed(tx, handle)
        if error is None:
            flushed += emitted
        elif len(part) == 1:
            await work.set_aside(tx, part[0], error)
            set_aside += 1
        else:
            below = await _isolate(tx, schema, work, part)
            set_aside, flushed = set_aside + below[0], flushed + below[1]
    return set_aside, flushed


async def sandboxed(tx: Transaction, run: Callable[[], Awaitable[None]]) -> Exception | None:
    """Run `run` in a savepoint; poison is rolled back with its events and returned, other faults are raised."""
    mark = len(tx.outgoing)
    savepoint = await tx.connection.begin_nested()
    try:
        await run()
    except Exception as error:
        if classify(error) is not Fault.POISON or isinstance(error, BatchLostError):
            raise
        await savepoint.rollback()
        del tx.outgoing[mark:]
        return error
    await savepoint.commit()
    return None


async def check_deferred(connection: AsyncConnection) -> None:
    """Check every deferred constraint now, and leave each in its own mode."""
    # Rolling the savepoint back is what restores each constraint's own mode, and lets it be checked again.
    savepoint = await connection.begin_nested()
    try:
        await _CHECK_NOW.all(connection)
    finally:
        await savepoint.rollback()


async def _flush(tx: Transaction, schema: str, mark: int) -> int:
    """Write the events emitted since `mark` now, so that one that cannot be stored is blamed on its item."""
    emitted = tx.outgoing[mark:]
    await outbox.insert(tx.connection, schema, emitted)
    del tx.outgoing[mark:]
    return len(emitted)


async def _pause(seconds: float, abandon: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(seconds):
            await abandon.wait()
    except TimeoutError:
        return


def describe(error: BaseException) -> str:
    """An error in one line of bounded length; SQL and parameters, which may be anybody's data, are left out."""
    original = getattr(error, "orig", None) or error
    cause = original.__cause__ or original
    line = " ".join(str(cause).split())[:500]
    return f"{type(cause).__name__}: {line}" if line else type(cause).__name__
