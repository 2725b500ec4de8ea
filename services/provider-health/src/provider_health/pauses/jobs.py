"""What time does to pauses: they run out by business time, and the heartbeat says by real time that they are kept."""

from __future__ import annotations

from datetime import timedelta
from typing import ClassVar, Final

from chassis.database import Database
from chassis.ids import new_id
from chassis.poller import Poller
from chassis.schedule import Due, Open, Rows, Schedule, ScheduleLimits
from chassis.transaction import Cause

from provider_health.incidents.reactions import Policy, pause_comes_to_its_end
from provider_health.pauses import store, translate
from provider_health.pauses.domain import due_next

_LOOK_SECONDS: Final = 0.5
_FORGET_SECONDS: Final = 3_600.0
STOPS_KEPT: Final = timedelta(days=90)
"""How long it is known who stopped when, by real time; the pauses and their changes are kept for ever."""


class Expiries(Schedule):
    """Ends each pause whose time is over, and lets those of the policy go on that are still needed."""

    name: ClassVar[str] = "pauses.expiries"
    rows = Rows("provider_health.automation_pauses")

    def __init__(self, database: Database, policy: Policy, *, limits: ScheduleLimits) -> None:
        super().__init__(database, limits=limits)
        self._policy = policy

    async def execute(self, due: Due, open_tx: Open) -> None:
        """Decide about the pause; one that goes on is due before its new end."""
        async with open_tx() as tx:
            await pause_comes_to_its_end(tx, due.key, self._policy)
            standing = await store.load(tx.connection, due.key)
            await due.settle(tx, None if standing is None else due_next(standing, now=tx.now))


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


class OldStops(Poller):
    """Forgets who stopped when, once that is long past; several processes may do so at once."""

    name: ClassVar[str] = "pauses.old_stops"
    idle_seconds = _FORGET_SECONDS

    def __init__(self, database: Database) -> None:
        super().__init__()
        self._database = database

    async def step(self) -> int:
        """Forget what is old enough."""
        async with self._database.transaction() as tx:
            await store.forget_stops(tx.connection, older_than=STOPS_KEPT)
        return 0
