"""What every chapter of the story works with: the doors, business time, what has been seen, and the page to show it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final, TypeVar

from chassis import clock

from backbone.faults import LocalError, NotReadyError
from backbone.story.doors import Doors
from backbone.story.page import Page
from backbone.story.shown import Happened, Record, Sent
from backbone.waiting import Progress, wait_for

T = TypeVar("T")
SEEN_LIMIT_SECONDS: Final = 90.0
_CLOCK_LIMIT_SECONDS: Final = 20.0
_FLUSH_LIMIT_SECONDS: Final = 90.0
_FLUSH_TURN_SECONDS: Final = 0.5
_REFUSALS_MAX: Final = 3


@dataclass(slots=True)
class Cast:
    """Who and what the story is about, by the ids of the providers and by ours. Filled in as it goes."""

    stripe_customer: str = ""
    gocardless_customer: str = ""
    mandate: str = ""
    invoice: str = ""
    intent: str = ""
    debit: str = ""
    grading_customer: str = ""
    grading_mandate: str = ""
    grading: str = ""
    payouts: list[str] = field(default_factory=list)
    hold: str = ""
    trial: str = ""
    pickup: str = ""
    comp_board: str = ""
    call: str = ""
    incident: str = ""
    pause: str = ""
    prevention: str = ""
    replay: str = ""


@dataclass(slots=True)
class Stage:
    """One performance of the story."""

    doors: Doors
    page: Page
    clock_file: Path
    progress: Progress
    cast: Cast = field(default_factory=Cast)
    deliveries: list[Sent] = field(default_factory=list)
    happened: list[Happened] = field(default_factory=list)
    records: dict[int, Record] = field(default_factory=dict)
    sent_before: int = 0
    recorded_before: int = 0

    def begin(self) -> None:
        """Note what there is already, so that only what this performance brings is shown and checked."""
        self.sent_before = self.doors.newest_delivery()
        self.recorded_before = self.doors.newest_record()

    def business_time(self) -> datetime:
        """The time that the providers and the services go by."""
        return datetime.fromisoformat(self.doors.control.get("/health")["business_time"])

    def advance(self, by: timedelta) -> None:
        """Move business time on for everybody, as `backbone clock advance` does, and let the providers' day pass."""
        reached = self.business_time() + by
        clock.write_offset(self.clock_file, clock.read_offset(self.clock_file) + by)
        wait_for(
            "the providers to see the later day",
            lambda: self.business_time() >= reached,
            limit_seconds=_CLOCK_LIMIT_SECONDS,
            progress=self.progress,
            log=self.doors.control.log,
        )
        self.doors.control.post("/advance")

    def advance_to(self, moment: datetime) -> None:
        """Move business time on to `moment`; nothing where that is past."""
        missing = moment - self.business_time()
        if missing > timedelta():
            self.advance(missing + timedelta(seconds=1))

    def until(self, what: str, look: Callable[[], T | None], holds: Callable[[T], bool] = bool) -> T:
        """Look until something is seen, and holds; returns it. Raises LocalError with what was seen last."""
        seen: list[T] = []

        def looked() -> bool:
            found = look()
            seen[:] = [] if found is None else [found]
            return found is not None and holds(found)

        try:
            wait_for(what, looked, limit_seconds=SEEN_LIMIT_SECONDS, progress=self.progress)
        except NotReadyError:
            raise LocalError(f"{what}: not within {SEEN_LIMIT_SECONDS:.0f} s; last seen: {seen!r}"[:800]) from None
        return seen[0]

    def expect(self, what: str, found: Any, wanted: Any) -> None:
        """Raise LocalError unless `found` is what the story says."""
        if found != wanted:
            raise LocalError(f"{what}: {wanted!r} was expected, {found!r} was found")

    def deliver(self) -> list[Sent]:
        """Have the providers deliver everything; returns, shows and keeps what is this story's."""
        self._flush()
        found: list[Sent] = []
        for one in self.doors.sent_after(self.sent_before):
            self.sent_before = max(self.sent_before, one.number)
            events = self._ours(one)
            if events:
                self.page.delivery(one)
                found.append(one)
                self.happened += () if one.forged else events
        self.deliveries += found
        return found

    def recorded(self) -> None:
        """Wait until the audit log tells of every event of the providers that was delivered."""
        wanted = {event.id for event in self.happened}

        def missing() -> set[str]:
            newest = max(self.records, default=self.recorded_before)
            self.records |= {record.seq: record for record in self.doors.records_after(newest)}
            return wanted - {record.provider_event for record in self.records.values() if record.provider_event}

        self.until("the audit log to tell of every event", missing, lambda found: not found)

    def _flush(self) -> None:
        """Wait until nothing is under way; one that is refused again and again is not waited for."""

        def delivered() -> bool:
            asked = self.doors.control.ask("POST", "/flush", json={"timeout_seconds": _FLUSH_TURN_SECONDS})
            for waiting in () if asked.is_success else asked.json()["items"]:
                self._give_up_on(waiting["event_types"], [attempt["status"] for attempt in waiting["attempts"]])
            return asked.is_success

        wait_for(
            "the providers to have everything delivered",
            delivered,
            limit_seconds=_FLUSH_LIMIT_SECONDS,
            progress=self.progress,
            log=self.doors.billing.log,
        )

    def _give_up_on(self, event_types: list[str], answers: list[int | None]) -> None:
        refused = [answer for answer in answers if answer is not None and 400 <= answer < 500]
        if len(refused) >= _REFUSALS_MAX:
            told = ", ".join(map(str, refused))
            raise LocalError(f"{', '.join(event_types)} should have been accepted; payments answered {told}")

    def _ours(self, sent: Sent) -> tuple[Happened, ...]:
        """The events of a delivery that are this story's: others may play with the same simulator."""
        cast = self.cast
        names = {cast.stripe_customer, cast.invoice, cast.intent, cast.gocardless_customer, cast.mandate, cast.debit}
        names |= {cast.grading_customer, cast.grading_mandate, cast.grading, *cast.payouts}
        return sent.events if any(name in sent.body for name in names - {""}) else ()
