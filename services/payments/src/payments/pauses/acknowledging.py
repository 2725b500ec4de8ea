"""Acknowledging pauses: this process has stopped what they stop, and no call of it is out.

At each new epoch the gate is taken exclusively first: every call that was begun under the old one has ended by then,
and every later one sees the new pauses. Repeated while the process lives; one that falls silent longer than the lease
is gone. A process that does not know the pauses acknowledges nothing, and does nothing either.
"""

from __future__ import annotations

import time
from typing import ClassVar, Final

from chassis.clock import real_now
from chassis.database import Database
from chassis.ids import new_id
from chassis.poller import Poller
from chassis.transaction import Cause, Draft
from contracts.envelope import Entity, Workflow
from contracts.events import AutomationPauseAcknowledged
from contracts.topics import own_topic

from payments.pauses.view import Pauses

EVERY_SECONDS: Final = 10.0
LEASE_SECONDS: Final = 30


class Acknowledgements(Poller):
    """Tells of each epoch once this process has stopped for it, and again every few seconds."""

    name: ClassVar[str] = "payments.pauses"
    idle_seconds = 0.0

    def __init__(self, database: Database, pauses: Pauses, *, instance: str) -> None:
        super().__init__()
        self._database = database
        self._pauses = pauses
        self._instance = instance
        self._told: tuple[int, float] | None = None

    async def step(self) -> int:
        """Wait for a change of the pauses, or until it is time to say so again."""
        if not self._due():
            await self._pauses.reader.changed.wait(1.0)
        if self._due():
            await self._acknowledge()
        return 1

    def _due(self) -> bool:
        if not self._pauses.reader.current:
            return False
        if self._told is None or self._told[0] != self._pauses.epoch:
            return True
        return time.monotonic() - self._told[1] >= EVERY_SECONDS

    async def _acknowledge(self) -> None:
        async with self._pauses.gate.exclusive():
            epoch, at = self._pauses.epoch, real_now()
        body = AutomationPauseAcknowledged(
            service=self._database.service,
            instance=self._instance,
            epoch=epoch,
            lease_seconds=LEASE_SECONDS,
            applied_at=at,
        )
        async with self._database.transaction() as tx:
            tx.automatically(Cause(new_id())).emit(
                Draft(
                    body,
                    Entity(type="automation_pause", id=self._instance),
                    Workflow(name="automation_pause", id=self._instance),
                    topic=own_topic(self._database.service),
                )
            )
        self._told = (epoch, time.monotonic())
