"""The watch over the outbox: measures it for the metrics, and says what is beyond its limits.

An alarm is logged when it begins and when it is over, and stands in the readiness detail meanwhile. It does not make
the process unready: an outbox that grows is what lets the ingress accept while Kafka is away, and whether the relay
can work is the relay's own check. Measuring takes a twentieth of the time at most, however much waits.
Tested in tests/chassis/test_outbox_watch.py.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Final

import structlog

from chassis import outbox
from chassis.database import Database
from chassis.outbox import OutboxState
from chassis.poller import Poller
from chassis.settings import Settings
from chassis.telemetry import metrics
from chassis.web import Check

log = structlog.get_logger()
_MEASURE_SECONDS: Final = 5.0
_PAUSE_SHARE: Final = 20


@dataclass(frozen=True, slots=True)
class OutboxLimits:
    """What an outbox may hold before it is an alarm; a parked key always is one."""

    rows: int
    age_seconds: float
    table_bytes: int

    def exceeded(self, state: OutboxState) -> dict[str, str]:
        """What is beyond its limit, in words, by its name."""
        return dict(self._exceeded(state))

    def _exceeded(self, state: OutboxState) -> Iterator[tuple[str, str]]:
        if state.depth > self.rows:
            yield "rows", f"{state.depth} events wait, {self.rows} may"
        if state.oldest_age_seconds > self.age_seconds:
            yield "age", f"the oldest waits for {state.oldest_age_seconds:.0f} s, {self.age_seconds:g} s may pass"
        if state.table_bytes > self.table_bytes:
            yield "table", f"the table has {state.table_bytes} bytes, {self.table_bytes} are allowed"
        if state.parked_keys:
            yield "parked", f"{state.parked_keys} keys are parked with {state.parked_rows} events"


class OutboxWatch(Poller):
    """Watches one service's outbox."""

    name: ClassVar[str] = "outbox"
    idle_seconds = _MEASURE_SECONDS

    def __init__(self, database: Database, limits: OutboxLimits) -> None:
        super().__init__()
        self._database = database
        self._limits = limits
        self._exceeded: dict[str, str] = {}

    @classmethod
    def of(cls, database: Database, settings: Settings) -> OutboxWatch:
        limits = OutboxLimits(
            settings.outbox_alarm_rows, settings.outbox_alarm_age_seconds, settings.outbox_alarm_table_bytes
        )
        return cls(database, limits)

    async def step(self) -> bool:
        """Measure once, set the gauges and say what has changed."""
        started = time.monotonic()
        async with self._database.reading() as tx:
            state = await outbox.measure(tx.connection, self._database.schema)
        self.idle_seconds = max(_MEASURE_SECONDS, _PAUSE_SHARE * (time.monotonic() - started))
        metrics.OUTBOX_ROWS.set(state.depth)
        metrics.OUTBOX_OLDEST_AGE_SECONDS.set(state.oldest_age_seconds)
        metrics.OUTBOX_TABLE_BYTES.set(state.table_bytes)
        metrics.OUTBOX_PARKED_KEYS.set(state.parked_keys)
        self._tell(self._limits.exceeded(state))
        return False

    def check(self) -> Check:
        """Ready while the outbox can be measured; the detail says what is beyond its limit."""
        found = super().check()
        return Check(self.name, found.ok, found.detail or "; ".join(self._exceeded.values()) or None)

    def _tell(self, exceeded: dict[str, str]) -> None:
        for name in exceeded.keys() - self._exceeded.keys():
            log.error("outbox.alarm", service=self._database.service, limit=name, words=exceeded[name])
        for name in self._exceeded.keys() - exceeded.keys():
            log.info("outbox.alarm_over", service=self._database.service, limit=name)
        self._exceeded = exceeded
