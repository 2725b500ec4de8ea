"""Group commit: the ingress' edge, where items that arrive together share one transaction.

`submit` returns when the commit has, and never before: what it answers for is durable. An idle edge commits at once; a
busy one gathers as many as came together last time, for `max_delay_seconds` at most, and while a commit is in flight
the next group grows: few large commits cost less than many small ones. Only behind a commit that takes unusually long
(`max_wait_behind_seconds`) does another begin beside it. An item
that PostgreSQL refuses fails alone: its group is halved until it stands by itself. A fault of the infrastructure is
told to everybody who waits, at once. A caller that hangs up changes nothing: its item is committed all the same.

What breaks the promise: a `write` that commits in parts (see `Write`), or keeps state outside of its transaction,
since a group may be written again.
Tested in tests/chassis/test_group_commit*.py against a real PostgreSQL that is stopped and killed.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

import asyncpg
import structlog
from sqlalchemy import text

from chassis.database import Database, Wake
from chassis.faults import Fault, classify
from chassis.telemetry import metrics
from chassis.web import OVERLOADED, Check, Problem

T = TypeVar("T")
R = TypeVar("R")
Write = Callable[[asyncpg.Connection, Sequence[T]], Awaitable[Sequence[R]]]
"""Writes items and returns one result for each, in order; the connection is asyncpg's own, in no transaction.

It commits all of them or none: by one statement, which is a transaction by itself and saves two of three round trips,
or by `connection.transaction()` around several.
"""
log = structlog.get_logger()
_CONFLICT_ATTEMPTS: Final = 5
_BACK_OFF_SECONDS: Final = 0.005
_ASK_EVERY_SECONDS: Final = 0.5
_ASK: Final = text("SELECT 1")


class OverloadedError(Problem):
    """More is waiting than the queue takes; the sender is to come back later."""

    def __init__(self, name: str, items: int, size_bytes: int) -> None:
        super().__init__(OVERLOADED, f"{items} items of {size_bytes} bytes wait already. Try again.")
        self.name = name
        self.items = items
        self.size_bytes = size_bytes


class StoppedError(ConnectionError):
    """The process is ending and takes nothing any more."""


@dataclass(frozen=True, slots=True)
class GroupLimits:
    """How large a group, a queue and a wait may be."""

    max_items: int = 500
    max_bytes: int = 16 * 1_048_576
    max_delay_seconds: float = 0.003
    max_wait_behind_seconds: float = 0.015
    queue_max_items: int = 5_000
    queue_max_bytes: int = 64 * 1_048_576
    commits_in_flight: int = 2
    timeout_seconds: float = 8.0


@dataclass(slots=True)
class _Waiting(Generic[T, R]):
    item: T
    size_bytes: int
    arrived: float
    answer: asyncio.Future[R]

    def refuse(self, error: BaseException) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)

    def accept(self, result: R) -> None:
        if not self.answer.done():
            self.answer.set_result(result)


class GroupCommit(Generic[T, R]):
    """Writes items through `write`, group by group. A part of the service's process."""

    def __init__(
        self,
        database: Database,
        write: Write[T, R],
        *,
        name: str,
        size_of: Callable[[T], int],
        limits: GroupLimits | None = None,
    ) -> None:
        self.name = name
        self.committed = Wake()
        self._database = database
        self._write = write
        self._size_of = size_of
        self._limits = limits or GroupLimits()
        self._queue: deque[_Waiting[T, R]] = deque()
        self._queued_bytes = 0
        self._busy: set[asyncio.Task[None]] = set()
        self._soon: asyncio.Handle | None = None
        self._later: asyncio.TimerHandle | None = None
        self._due = 0.0
        self._company = 1  # how many are likely to come together: as many as last time
        self._stopping = False
        self._stopped = asyncio.Event()
        self._failure: str | None = None

    async def submit(self, item: T) -> R:
        """Commit `item` and return what `write` says of it.

        Raises OverloadedError, StoppedError, the fault of the infrastructure, or what `write` or PostgreSQL has
        against this very item.
        """
        size_bytes = self._size_of(item)
        self._admit(size_bytes)
        waiting: _Waiting[T, R] = _Waiting(
            item, size_bytes, time.monotonic(), asyncio.get_running_loop().create_future()
        )
        self._queue.append(waiting)
        self._queued_bytes += size_bytes
        self._look()
        return await waiting.answer

    def _admit(self, size_bytes: int) -> None:
        if self._stopping:
            raise StoppedError(f"{self.name} is stopping")
        limits = self._limits
        if len(self._queue) >= limits.queue_max_items or (
            self._queue and self._queued_bytes + size_bytes > limits.queue_max_bytes
        ):
            raise OverloadedError(self.name, len(self._queue), self._queued_bytes)

    def _look(self) -> None:
        """Start a commit now, or see to it that somebody looks again when it is time."""
        if not self._queue or len(self._busy) >= self._limits.commits_in_flight:
            return  # a commit that ends looks again
        if len(self._queue) >= (self._limits.max_items if self._busy else self._company):
            self._begin_soon()
        else:
            patience = self._limits.max_wait_behind_seconds if self._busy else self._limits.max_delay_seconds
            self._begin_at(self._queue[0].arrived + patience)

    def _begin_at(self, due: float) -> None:
        if self._soon is not None or (self._later is not None and self._due <= due):
            return
        if self._later is not None:
            self._later.cancel()
        self._due = due
        self._later = self._loop().call_later(due - time.monotonic(), self._begin)

    def _begin_soon(self) -> None:
        """Not this very moment: requests that came in the same turn of the loop belong together."""
        if self._soon is None:
            self._soon = self._loop().call_soon(self._begin)

    @staticmethod
    def _loop() -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()

    def _begin(self) -> None:
        for handle in (self._soon, self._later):
            if handle is not None:
                handle.cancel()
        self._soon = self._later = None
        if self._queue and len(self._busy) < self._limits.commits_in_flight:
            group = self._take()
            self._company = len(group)
            task = self._loop().create_task(self._work_off(group), name=f"{self.name} commit")
            self._busy.add(task)
            task.add_done_callback(self._ended)
        self._look()

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._busy.discard(task)
        if self._queue:
            self._look()
        elif self._stopping and not self._busy:
            self._stopped.set()

    def _take(self) -> list[_Waiting[T, R]]:
        group: list[_Waiting[T, R]] = []
        size_bytes = 0
        while self._queue and len(group) < self._limits.max_items:
            if group and size_bytes + self._queue[0].size_bytes > self._limits.max_bytes:
                break
            group.append(self._queue.popleft())
            size_bytes += group[-1].size_bytes
        self._queued_bytes -= size_bytes
        return group

    async def _work_off(self, group: Sequence[_Waiting[T, R]]) -> None:
        try:
            await self._commit(group)
        except BaseException as error:
            self._tell_everybody(group, error)
            if not isinstance(error, Exception):
                raise

    def _tell_everybody(self, group: Sequence[_Waiting[T, R]], error: BaseException) -> None:
        first, self._failure = self._failure is None, type(error).__name__
        everybody = [*group, *self._queue]
        self._queue.clear()
        self._queued_bytes = 0
        if first:  # one line for an outage, not one for each group that meets it
            log.error("group_commit.failed", group=self.name, waiting=len(everybody), exc_info=error)
        for waiting in everybody:
            waiting.refuse(error if isinstance(error, Exception) else StoppedError(f"{self.name} was cancelled"))

    async def _commit(self, group: Sequence[_Waiting[T, R]], attempt: int = 1) -> None:
        """Commit `group`, in parts if need be. Raises what concerns everybody; tells the rest to whom it concerns."""
        try:
            results = await self._written([waiting.item for waiting in group])
        except Exception as error:
            fault = classify(error)
            if fault is Fault.INFRASTRUCTURE:
                raise
            if fault is Fault.CONFLICT and attempt < _CONFLICT_ATTEMPTS:
                await asyncio.sleep(_BACK_OFF_SECONDS * attempt * (1 + random.random()))  # noqa: S311
                return await self._commit(group, attempt + 1)
            if len(group) == 1:
                return group[0].refuse(error)
            middle = len(group) // 2
            await self._commit(group[:middle], _CONFLICT_ATTEMPTS - 1)
            return await self._commit(group[middle:], _CONFLICT_ATTEMPTS - 1)
        self._failure = None
        self.committed.set()
        for waiting, result in zip(group, results, strict=True):
            waiting.accept(result)
        return None

    async def _written(self, items: Sequence[T]) -> Sequence[R]:
        started = time.perf_counter()
        async with self._database.engine.connect() as connection:
            raw = (await connection.get_raw_connection()).driver_connection
            assert raw is not None  # noqa: S101 - a connection that was just opened has its driver's
            # Cut off rather than cancelled: a server that has stopped answering would not answer the rollback either.
            limit = self._loop().call_later(self._limits.timeout_seconds, raw.terminate)
            try:
                # SQLAlchemy begins no transaction before its first statement, and there is none here.
                results = await self._write(raw, items)
            except Exception as error:
                if classify(error) is Fault.INFRASTRUCTURE:
                    await connection.invalidate()
                raise
            finally:
                limit.cancel()
        metrics.GROUP_COMMIT_ITEMS.labels(self.name).observe(len(items))
        metrics.GROUP_COMMIT_SECONDS.labels(self.name).observe(time.perf_counter() - started)
        return results

    async def run(self) -> None:
        """Return once `stop` was called and everything is answered; commits need nobody who runs them.

        After a failure this asks PostgreSQL itself: while the process says that it is not ready nobody may come whose
        commit would show that it could be.
        """
        while not self._stopped.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_ASK_EVERY_SECONDS):
                    await self._stopped.wait()
            if self._failure is not None and not self._busy:
                await self._ask()

    async def _ask(self) -> None:
        try:
            async with self._database.engine.connect() as connection:
                await connection.execute(_ASK)
        except Exception as error:
            self._failure = type(error).__name__
        else:
            self._failure = None

    async def stop(self) -> None:
        """Take nothing more, and wait until all that was taken is answered."""
        self._stopping = True
        if not self._queue and not self._busy:
            self._stopped.set()
        await self._stopped.wait()

    @property
    def waiting(self) -> int:
        """How many items wait for a commit to begin."""
        return len(self._queue)

    def check(self) -> Check:
        """Whether the last commit went well, or the next one would, and the queue has room."""
        waiting = self.waiting
        metrics.GROUP_COMMIT_WAITING.labels(self.name).set(waiting)
        room = waiting < self._limits.queue_max_items and self._queued_bytes < self._limits.queue_max_bytes
        detail = f"the last commit failed ({self._failure})" if self._failure else f"{waiting} items wait"
        return Check(self.name, ok=room and self._failure is None, detail=detail)
