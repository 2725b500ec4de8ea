"""The look at what is long overdue, by business time."""

from __future__ import annotations

from typing import ClassVar

from chassis.database import Database
from chassis.ids import new_id
from chassis.poller import Poller
from chassis.transaction import Cause

from payments.collection.domain import Policy
from payments.reliefs import use_cases


class DebtReliefs(Poller):
    """Claims GST back of what has become long overdue; of several processes that look at once, one finds it so."""

    name: ClassVar[str] = "payments.debt_reliefs"

    def __init__(self, database: Database, policy: Policy, *, poll_seconds: float) -> None:
        super().__init__()
        self.idle_seconds = poll_seconds
        self._database, self._policy = database, policy

    async def step(self) -> int:
        """Look at every invoice that may be so, each in a transaction of its own."""
        after: str | None = None
        while self._policy.gst_registered and self._policy.basis == "accrual":
            async with self._database.reading() as tx:
                found = await use_cases.candidates(tx, self._policy, after)
            for invoice_id in found:
                async with self._database.transaction() as tx:
                    await use_cases.relieve(tx.automatically(Cause(new_id())), invoice_id, self._policy)
            if len(found) < use_cases.AT_ONCE:
                break
            after = found[-1]
        return 0
