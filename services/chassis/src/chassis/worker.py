"""A worker: runs batches of one kind of work for as long as there is any, then waits to be woken.

It promises to look again at once after `wake`, and after `poll_seconds` at the latest, so that work which another
process left behind is found too. What a batch does with failures is the batch runner's promise (chassis.batch).
Tested in tests/chassis/test_worker.py.
"""

from __future__ import annotations

import asyncio
from typing import Final, Generic, TypeVar

import structlog

from chassis.batch import AbandonedError, Done, Limits, Trouble, Work, run_batch
from chassis.database import Database, Wake
from chassis.web import Check

Item = TypeVar("Item")
log = structlog.get_logger()
_NOT_READY_AFTER_ATTEMPTS: Final = 3


class Worker(Generic[Item]):
    """One part of a service's process that works off what `work` claims."""

    def __init__(
        self,
        database: Database,
        work: Work[Item],
        *,
        limits: Limits | None = None,
        wake: Wake | None = None,
        poll_seconds: float = 1.0,
    ) -> None:
        self._database = database
        self._work = work
        self._limits = limits or Limits()
        self._wake = wake or Wake()
        self._poll_seconds = poll_seconds
        self._stopping = asyncio.Event()
        self._ended = asyncio.Event()
        self.trouble = Trouble()

    @property
    def name(self) -> str:
        return self._work.name

    async def run(self) -> None:
        """Work until `stop` is called; faults of the infrastructure are waited out."""
        try:
            while not self._stopping.is_set():
                done = await self._batch()
                if done.claimed == 0 or done.last:
                    await self._wake.wait(self._poll_seconds)
        except AbandonedError:
            log.info("worker.abandoned", worker=self.name)
        finally:
            self._ended.set()

    async def stop(self) -> None:
        """Commit the batch in flight, or give it up where it waits to be tried again."""
        self._stopping.set()
        self._wake.set()
        await self._ended.wait()

    async def drain(self) -> int:
        """Work until nothing is left to claim; returns how many items that were."""
        total = 0
        while (done := await self._batch()).claimed:
            total += done.claimed
        return total

    def check(self) -> Check:
        """Ready unless the work has failed several times in a row."""
        ok = self.trouble.attempts < _NOT_READY_AFTER_ATTEMPTS
        return Check(self.name, ok=ok, detail=None if ok else self.trouble.error)

    async def _batch(self) -> Done:
        return await run_batch(self._database, self._work, self._limits, trouble=self.trouble, abandon=self._stopping)
