"""The look at what is parked."""

from __future__ import annotations

from datetime import timedelta
from typing import ClassVar
from zoneinfo import ZoneInfo

from chassis.database import Database
from chassis.ids import new_id
from chassis.poller import Poller
from chassis.transaction import Cause

from payments.parking import use_cases


class ParkedWatch(Poller):
    """Asks people about what stays parked; several processes take turns by the rows' locks."""

    name: ClassVar[str] = "payments.parked"

    def __init__(self, database: Database, zone: ZoneInfo, *, wait_seconds: float, poll_seconds: float) -> None:
        super().__init__()
        self.idle_seconds = poll_seconds
        self._database, self._zone, self._wait = database, zone, timedelta(seconds=wait_seconds)

    async def step(self) -> int:
        """Look once."""
        async with self._database.transaction() as tx:
            return await use_cases.look(tx.automatically(Cause(new_id())), self._zone, self._wait)
