"""What makes retries happen: the schedule of due ones, and the release of held ones in steps."""

from __future__ import annotations

from typing import ClassVar, Final

from chassis.database import Database
from chassis.ids import new_id
from chassis.poller import Poller
from chassis.schedule import Due, Open, Rows, Schedule, ScheduleLimits
from chassis.transaction import Cause

from payments.pauses.view import Pauses
from payments.recovery import use_cases
from payments.recovery.use_cases import Means

_STEP_SECONDS: Final = 1.0


class Retries(Schedule):
    """Makes each due retry once, over all processes; none while it is not known what is paused."""

    name: ClassVar[str] = "payments.retries"
    rows = Rows("payments.payment_retries", key="payment_id")

    def __init__(self, database: Database, means: Means, *, limits: ScheduleLimits | None = None) -> None:
        super().__init__(database, limits=limits)
        self.means = means

    async def step(self) -> int:
        """Claim what is due; what is due while nobody knows the pauses stays due."""
        if self.means.pauses.blindness() is not None:
            return 0
        return await super().step()

    async def execute(self, due: Due, open_tx: Open) -> None:
        """Try to collect one payment."""
        await use_cases.attempt(open_tx, self.means, due)

    async def close(self) -> None:
        """Let what is in flight end, then close the providers' clients."""
        await super().close()
        await self.means.collector.aclose()


class Releases(Poller):
    """Releases held retries a few at a time, so that the end of a pause is no flood."""

    name: ClassVar[str] = "payments.releases"
    idle_seconds = _STEP_SECONDS

    def __init__(self, database: Database, pauses: Pauses, *, step_retries: int) -> None:
        super().__init__()
        self._database = database
        self._pauses = pauses
        self._step_retries = step_retries

    async def step(self) -> int:
        """Release one step's worth; the next one follows a moment later, however many wait."""
        if self._pauses.blindness() is None:
            async with self._database.transaction() as tx:
                await use_cases.release(tx.automatically(Cause(new_id())), self._pauses, limit=self._step_retries)
        return 0
