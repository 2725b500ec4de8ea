"""Replays: which events may be replayed, and what becomes of one.

A *safe* event only adds to the set of facts: replaying it does what its first delivery would have done, once, or
nothing. A *guarded* one can lead to an attempt to collect, so its precondition would have to be looked at again. An
*unsafe* one tells of money that goes back, or is of a type that nobody has looked at.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, Literal

ReplayState = Literal["requested", "running", "completed", "cancelled", "refused"]
ItemOutcome = Literal["replayed", "unchanged", "refused", "failed"]
ReplayClass = Literal["safe", "guarded", "unsafe"]

EVENTS_MAX: Final = 10_000
"""How many events one replay may have."""
_SAFE: Final = frozenset(
    {
        "charge.succeeded",
        "charge.pending",
        "payment_intent.processing",
        "payment_intent.succeeded",
        "invoice.finalized",
        "invoice.paid",
        "invoice_payment.paid",
        "payments.created",
        "payments.submitted",
        "payments.confirmed",
        "payments.paid_out",
    }
)
_GUARDED: Final = frozenset(
    {
        "charge.failed",
        "payment_intent.payment_failed",
        "invoice.payment_failed",
        "payments.failed",
        "payments.late_failure_settled",
        "payments.charged_back",
    }
)
_REFUSED: Final[Mapping[ReplayClass, str]] = {
    "guarded": "guarded: it can lead to another attempt to collect, and only safe events are replayed",
    "unsafe": "unsafe: events of this type are not known to be without effects of their own",
}


def class_of(event_type: str) -> ReplayClass:
    """The class of a provider's event type; one that is not listed is unsafe."""
    if event_type in _SAFE:
        return "safe"
    return "guarded" if event_type in _GUARDED else "unsafe"


def refusal(event_type: str) -> str | None:
    """Why an event of this type is not replayed, or None."""
    return _REFUSED.get(class_of(event_type))


@dataclass(frozen=True, slots=True)
class Filter:
    """Which provider events: all of these hold; what is None or empty asks for nothing."""

    provider: str | None = None
    received_from: datetime | None = None
    received_until: datetime | None = None
    types: tuple[str, ...] = ()
    delivery_state: str | None = None


@dataclass(frozen=True, slots=True)
class Counts:
    """How many events were found, and what became of those that were worked off."""

    matched: int
    replayed: int = 0
    unchanged: int = 0
    refused: int = 0
    failed: int = 0

    @property
    def done(self) -> int:
        return self.replayed + self.unchanged + self.refused + self.failed

    def plus(self, outcome: ItemOutcome) -> Counts:
        """One more of this outcome."""
        match outcome:
            case "replayed":
                return replace(self, replayed=self.replayed + 1)
            case "unchanged":
                return replace(self, unchanged=self.unchanged + 1)
            case "refused":
                return replace(self, refused=self.refused + 1)
            case "failed":
                return replace(self, failed=self.failed + 1)


@dataclass(frozen=True, slots=True)
class Replay:
    """One replay. A dry run does the same work, item by item, and keeps nothing of it except what it counted."""

    id: str
    state: ReplayState
    filter: Filter
    purpose: str
    incident_id: str | None
    dry_run: bool
    rate_per_second: int
    counts: Counts
    requested_at: datetime
    ended_at: datetime | None = None
    version: int = 1

    @property
    def over(self) -> bool:
        return self.state not in ("requested", "running")


class ReplayOverError(Exception):
    """The replay has ended: there is nothing to cancel."""

    def __init__(self, replay: Replay) -> None:
        super().__init__(f"The replay {replay.id} is {replay.state}")
        self.replay = replay


class TooManyEventsError(Exception):
    """The filter matches more events than one replay may have."""

    limit = EVENTS_MAX

    def __init__(self) -> None:
        super().__init__(f"The filter matches more than {self.limit} events: narrow it, and replay in parts")


def started(replay: Replay) -> Replay:
    """The replay once its first item is worked off."""
    return replace(replay, state="running", version=replay.version + 1)


def counted(replay: Replay, counts: Counts) -> Replay:
    """The replay after some more items."""
    return replace(replay, counts=counts, version=replay.version + 1)


def completed(replay: Replay, *, now: datetime) -> Replay:
    """The replay once no item is left."""
    return replace(replay, state="completed", ended_at=now, version=replay.version + 1)


def cancelled(replay: Replay, *, now: datetime) -> Replay:
    """The replay once somebody has cancelled it; what is done stays done. Raises ReplayOverError."""
    if replay.over:
        raise ReplayOverError(replay)
    return replace(replay, state="cancelled", ended_at=now, version=replay.version + 1)
