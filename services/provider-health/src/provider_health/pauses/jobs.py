"""What time does to pauses: they run out by business time, and the heartbeat says by real time that they are kept."""

from __future__ import annotations

from datetime import timedelta
from typing import ClassVar, Final

from chassis.database import Database
from chassis.ids import new_id
from chassis.poller import Poller
from chassis.schedule import Due, Open, Rows, Schedule
from chassis.transaction import Cause

from provider_health.pauses import store, translate, use_cases

_LOOK_SECONDS: Final = 0.5


class Expiries(Schedule):
    """Ends each pause whose time is over."""

    name: ClassVar[str] = "pauses.expiries"
    rows = Rows("provider_health.automation_pauses")

    async def execute(self, due: Due, open_tx: Open) -> None:
        """End the pause; one that was extended meanwhile is due at its new end."""
        async with open_tx() as tx:
            await use_cases.expire(tx, due.key)
            standing = await store.load(tx.connection, due.key)
            still = standing is not None and standing.state == "active"
            await due.settle(tx, standing.expires_at if standing is not None and still else None)


class Heartbeat(Poller):
    """Tells the highest epoch every few seconds, once over all processes: they take turns by the head's row."""

    name: ClassVar[str] = "pauses.heartbeat"
    idle_seconds = _LOOK_SECONDS

    def __init__(self, database: Database, *, every_seconds: float) -> None:
        super().__init__()
        self._database = database
        self._every = timedelta(seconds=every_seconds)
        self.idle_seconds = min(_LOOK_SECONDS, every_seconds / 2)

    async def step(self) -> int:
        """Beat if it is time and nobody else does."""
        async with self._database.reading() as tx:
            if not await store.is_time_to_beat(tx.connection, self._every):
                return 0
        async with self._database.transaction() as tx:
            epoch = await store.beat(tx.connection, self._every)
            if epoch is not None:
                tx.automatically(Cause(new_id())).emit(translate.heartbeat(epoch))
        return 0
