"""Holds: planned, then in force, then over. What may happen to one, and what happened.

All times are business time. Two holds of one kind on one member never overlap; holds of different kinds may.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

HoldKind = Literal["medical", "bereavement", "dispute"]
HoldState = Literal["planned", "in_force", "ended", "expired", "withdrawn"]
Ending = Literal["ended", "expired", "withdrawn"]


@dataclass(frozen=True, slots=True)
class Hold:
    """One hold; `ends_at` None: until somebody ends it."""

    id: str
    member_id: str
    member_name: str
    kind: HoldKind
    state: HoldState
    starts_at: datetime
    ends_at: datetime | None
    reason: str
    version: int = 1

    @property
    def condition(self) -> str:
        """The name by which others wait for its end."""
        return f"member_hold:{self.id}"

    @property
    def over(self) -> bool:
        return self.state not in ("planned", "in_force")


@dataclass(frozen=True, slots=True)
class HoldStarted:
    """The hold is in force."""


@dataclass(frozen=True, slots=True)
class HoldEnded:
    """The hold is over, at `at`."""

    how: Ending
    at: datetime


Change = HoldStarted | HoldEnded


class BadHoldError(ValueError):
    """The hold would be over before it begins, or is over by now."""


class OverlappingHoldError(Exception):
    """The member is, or will be, on hold of this kind in that time already."""

    def __init__(self, other: Hold) -> None:
        until = "until somebody ends it" if other.ends_at is None else f"until {other.ends_at:%Y-%m-%d %H:%M}"
        super().__init__(
            f"{other.member_name} is on {other.kind} hold {other.id} from {other.starts_at:%Y-%m-%d %H:%M} {until}"
        )
        self.other = other


class HoldOverError(Exception):
    """The hold is over already."""

    def __init__(self, hold: Hold) -> None:
        super().__init__(f"The hold {hold.id} is over: it was {hold.state}")
        self.hold = hold


def place(hold: Hold, others: Iterable[Hold], *, now: datetime) -> tuple[Change, ...]:
    """What follows from placing a planned `hold` beside the member's `others`; nothing while it lies ahead.

    Raises BadHoldError, and OverlappingHoldError for another of its kind.
    """
    if hold.ends_at is not None and (hold.ends_at <= hold.starts_at or hold.ends_at <= now):
        raise BadHoldError("A hold must end after it begins, and not before now")
    for other in others:
        if other.kind == hold.kind and not other.over and _overlap(hold, other):
            raise OverlappingHoldError(other)
    return tick(hold, now=now)


def _overlap(one: Hold, other: Hold) -> bool:
    return (one.ends_at is None or other.starts_at < one.ends_at) and (
        other.ends_at is None or one.starts_at < other.ends_at
    )


def end(hold: Hold, *, now: datetime) -> tuple[Change, ...]:
    """End a hold now; one that lies ahead is withdrawn. Raises HoldOverError."""
    match hold.state:
        case "planned":
            return (HoldEnded("withdrawn", now),)
        case "in_force":
            return (HoldEnded("ended", now),)
        case _:
            raise HoldOverError(hold)


def tick(hold: Hold, *, now: datetime) -> tuple[Change, ...]:
    """What time has done to the hold; when it has passed both ends, both."""
    changes: list[Change] = []
    if hold.state == "planned" and hold.starts_at <= now:
        changes.append(HoldStarted())
    begun = bool(changes) or hold.state == "in_force"
    if begun and hold.ends_at is not None and hold.ends_at <= now:
        changes.append(HoldEnded("expired", hold.ends_at))
    return tuple(changes)


def evolve(hold: Hold, change: Change) -> Hold:
    """The hold after a change."""
    match change:
        case HoldStarted():
            return replace(hold, state="in_force", version=hold.version + 1)
        case HoldEnded(how, at):
            ends_at = hold.ends_at if how == "expired" else max(at, hold.starts_at)
            return replace(hold, state=how, ends_at=ends_at, version=hold.version + 1)
