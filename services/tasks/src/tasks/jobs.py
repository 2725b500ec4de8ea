"""Timers of the tasks service: blocks that were to last until an instant of business time."""

from __future__ import annotations

from typing import ClassVar, Final

from chassis.database import Database
from chassis.ids import new_id
from chassis.poller import Poller
from chassis.transaction import Cause

from tasks import use_cases
from tasks.rules import Rules

_POLL_SECONDS: Final = 1.0


class UntilWatch(Poller):
    """Ends blocks whose time has come, each once over all processes: their rows are locked while they end."""

    name: ClassVar[str] = "blocks until"
    idle_seconds = _POLL_SECONDS

    def __init__(self, database: Database, rules: Rules) -> None:
        super().__init__()
        self._database = database
        self._rules = rules

    async def step(self) -> int:
        """End one batch of them; returns how many there were."""
        async with self._database.transaction() as tx:
            return await use_cases.end_blocks_until_now(tx.automatically(Cause(new_id())), self._rules)
