"""The timer of holds: each begins and ends once, when the business clock has reached it."""

from __future__ import annotations

from typing import ClassVar, Final

from chassis.database import Database
from chassis.poller import Poller

from payments.holds import use_cases

_AT_ONCE: Final = 100


class HoldTimer(Poller):
    """Looks for holds that are to begin or end; several processes take turns by the rows' locks."""

    name: ClassVar[str] = "payments.holds"
    idle_seconds = 1.0

    def __init__(self, database: Database) -> None:
        super().__init__()
        self._database = database

    async def step(self) -> int:
        """Begin and end what is due."""
        async with self._database.transaction() as tx:
            return await use_cases.turn(tx, limit=_AT_ONCE)
