"""What carries replays on: one chunk after the other, over all processes, and after any of them has died."""

from __future__ import annotations

from typing import ClassVar

from chassis.database import Database
from chassis.schedule import Due, Open, Rows, Schedule, ScheduleLimits

from payments.replays import use_cases
from payments.replays.use_cases import Means


class Replays(Schedule):
    """Carries every replay on that is due; a replay has one chunk under way at a time."""

    name: ClassVar[str] = "payments.replays"
    rows = Rows("payments.replays")

    def __init__(self, database: Database, means: Means, *, limits: ScheduleLimits | None = None) -> None:
        super().__init__(database, limits=limits or ScheduleLimits(at_once=2))
        self._means = means

    async def execute(self, due: Due, open_tx: Open) -> None:
        """Work off the next items of one replay."""
        await use_cases.advance(open_tx, self._means, due)
