"""What has the providers make the refunds that staff asked for."""

from __future__ import annotations

from typing import ClassVar

from chassis.database import Database
from chassis.schedule import Due, Open, Rows, Schedule

from payments.collection.domain import Policy
from payments.providers.refunding import Refunds
from payments.refunding import use_cases


class RefundCalls(Schedule):
    """Makes each call once over all processes, and again under the same key where nobody answered."""

    name: ClassVar[str] = "payments.refunds"
    rows = Rows("payments.refund_requests")

    def __init__(self, database: Database, refunds: Refunds, policy: Policy) -> None:
        super().__init__(database)
        self._refunds, self._policy = refunds, policy

    async def execute(self, due: Due, open_tx: Open) -> None:
        """Have one refund made."""
        await use_cases.make(open_tx, self._refunds, self._policy, due)

    async def close(self) -> None:
        """Let what is in flight end, then close the providers' clients."""
        await super().close()
        await self._refunds.aclose()
