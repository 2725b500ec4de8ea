"""A poller: does one step after the other for as long as the process lives.

It promises to wait out conflicts and faults of the infrastructure, to end the process on anything else, and that
`stop` returns once the step in flight has ended. Tested in tests/chassis/test_poller.py.
"""

from __future__ import annotations

import asyncio
import contextlib
from abc import ABC, abstractmethod
from typing import ClassVar, Final

import structlog

from chassis.batch import Backoff, describe
from chassis.database import Wake
from chassis.faults import Fault, classify
from chassis.web import Check

log = structlog.get_logger()
_BACKOFF: Final = Backoff(first_seconds=0.1)


class Poller(ABC):
    """One part of a service's process; what it does is its `step`."""

    name: ClassVar[str]
    idle_seconds: float
    """How long to wait, after a step that found nothing, before the next one; `wake` cuts it short."""

    def __init__(self, *, unready: str | None = None) -> None:
        """`unready` says why this part is not ready before its first step has succeeded; None: it is ready at once."""
        self.wake = Wake()
        self._trouble = unready
        self._stopping = asyncio.Event()
        self._ended = asyncio.Event()
        self._ended.set()

    @abstractmethod
    async def step(self) -> int:
        """Do what is due; returns 0 when there was nothing, else more may be and the next step follows at once."""

    async def close(self) -> None:  # noqa: B027 - most have nothing to give back
        """Give back what this part holds, after its last step."""

    async def run(self) -> None:
        """Step until stopped. Raises what is neither a conflict nor a fault of the infrastructure."""
        self._ended.clear()
        failures = 0
        try:
            while not self._stopping.is_set():
                try:
                    found = await self.step()
                except Exception as error:
                    if classify(error) is Fault.POISON:
                        raise
                    failures += 1
                    self._note(describe(error))
                    await self._back_off(failures)
                else:
                    failures = 0
                    self._note(None)
                    if not found:
                        await self.wake.wait(self.idle_seconds)
        finally:
            try:
                await self.close()
            finally:
                self._ended.set()

    async def stop(self) -> None:
        """Let the step in flight end."""
        self._stopping.set()
        self.wake.set()
        await self._ended.wait()

    def check(self) -> Check:
        """Whether the newest step succeeded."""
        return Check(self.name, self._trouble is None, self._trouble)

    def _note(self, trouble: str | None) -> None:
        if trouble is not None and trouble != self._trouble:
            log.warning("poller.waiting", part=self.name, error=trouble)
        self._trouble = trouble

    async def _back_off(self, failures: int) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_BACKOFF.seconds(failures)):
                await self._stopping.wait()
