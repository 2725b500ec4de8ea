"""The pruner of idempotency keys: forgets those that are older than the setting says, by real time.

Several processes may prune at once: each row goes once. Tested in tests/chassis/test_idempotency.py.
"""

from __future__ import annotations

from datetime import timedelta
from typing import ClassVar, Final

from chassis import idempotency
from chassis.database import Database
from chassis.poller import Poller

_PRUNE_SECONDS: Final = 600.0


class KeyPruner(Poller):
    """Prunes the keys of one service."""

    name: ClassVar[str] = "idempotency keys"
    idle_seconds = _PRUNE_SECONDS

    def __init__(self, database: Database, *, retention_hours: int) -> None:
        super().__init__()
        self._database = database
        self._age = timedelta(hours=retention_hours)

    async def step(self) -> int:
        """Forget one batch; more may be left while it was full."""
        async with self._database.transaction() as tx:
            rows = await idempotency.prune(tx.connection, self._database.schema, older_than=self._age)
        return int(rows >= idempotency.PRUNE_MAX_ROWS)
