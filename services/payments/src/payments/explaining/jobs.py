"""The look at payouts."""

from __future__ import annotations

from datetime import timedelta
from typing import ClassVar

from chassis.database import Database
from chassis.ids import new_id
from chassis.poller import Poller
from chassis.transaction import Cause

from payments.explaining import use_cases


class PayoutWatch(Poller):
    """Looks for the lines of payouts in the ledger; several processes take turns by the rows' locks."""

    name: ClassVar[str] = "payments.payouts"

    def __init__(self, database: Database, *, wait_seconds: float, poll_seconds: float) -> None:
        super().__init__()
        self.idle_seconds = poll_seconds
        self._database, self._wait = database, timedelta(seconds=wait_seconds)

    async def step(self) -> int:
        """Look at all that are not explained yet."""
        after: str | None = None
        while True:
            async with self._database.transaction() as tx:
                after = await use_cases.look(tx.automatically(Cause(new_id())), self._wait, after)
            if after is None:
                return 0
