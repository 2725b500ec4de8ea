"""Sealing what has been posted, a moment behind: nobody who posts waits for it."""

from __future__ import annotations

from typing import ClassVar

from chassis.database import Database
from chassis.poller import Poller

from payments.ledger import seals


class Sealer(Poller):
    """Seals journals in the order in which they appear; processes take turns by the head's row."""

    name: ClassVar[str] = "ledger.sealer"
    idle_seconds = 1.0

    def __init__(self, database: Database) -> None:
        super().__init__()
        self._database = database

    async def step(self) -> bool:
        """Seal the next journals; False once there are no more: a moment of business is sealed in one go."""
        async with self._database.reading() as tx:
            if not await seals.behind(tx.connection):
                return False
        async with self._database.transaction() as tx:
            return await seals.seal(tx.connection) >= seals.STEP_JOURNALS
