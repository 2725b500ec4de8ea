"""The pauses as this process knows them: kept up to date by the state reader, asked before each call.

A record that cannot be read makes this process blind until the topic is read anew: it may have been a pause.
"""

from __future__ import annotations

from datetime import timedelta

import structlog
from chassis.batch import describe
from chassis.clock import BusinessClock, real_now
from chassis.gate import Gate
from chassis.kafka import KafkaSettings
from chassis.state_reader import StateReader, StateRecord
from contracts.topics import AUTOMATION_PAUSES

from payments.pauses import domain
from payments.pauses.domain import Blind, Known, Verdict
from payments.pauses.translate import UnreadableEventError, applied

log = structlog.get_logger()
COLLECTION = "collection"
REPLAYS = "replays"


class Pauses:
    """One process' pauses, with the gate around the calls that they stop."""

    def __init__(self, kafka: KafkaSettings, clock: BusinessClock, *, heartbeat_limit_seconds: float) -> None:
        self.gate = Gate()
        self.reader = StateReader(AUTOMATION_PAUSES, kafka, self)
        self._clock = clock
        self._limit = timedelta(seconds=heartbeat_limit_seconds)
        self._known = Known({})
        self._unreadable: str | None = None

    def clear(self) -> None:
        """Forget everything: it is about to be read again."""
        self._known, self._unreadable = Known({}), None

    def apply(self, record: StateRecord) -> None:
        """Take one record in."""
        try:
            self._known = applied(self._known, record.key, record.value, record.at)
        except UnreadableEventError as error:
            self._unreadable = describe(error)
            log.error("pauses.unreadable", key=record.key, error=self._unreadable)

    @property
    def epoch(self) -> int:
        """The highest epoch that has been applied."""
        return self._known.epoch

    def blindness(self) -> Blind | None:
        """Why no money may move, whatever is paused; None when the pauses are known."""
        if self._unreadable is not None:
            return Blind("a pause could not be read")
        return domain.blindness(
            self._known, current=self.reader.current, real_now=real_now(), heartbeat_limit=self._limit
        )

    def verdict(self, provider: str, account: str, action: str, *, by_staff: bool = False) -> Verdict:
        """Whether this action may be done now."""
        if self._unreadable is not None:
            return Blind("a pause could not be read")
        return domain.verdict(
            self._known,
            provider=provider,
            account=account,
            action=action,
            by_staff=by_staff,
            current=self.reader.current,
            now=self._clock.now(),
            real_now=real_now(),
            heartbeat_limit=self._limit,
        )
