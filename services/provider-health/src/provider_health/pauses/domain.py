"""What may happen to a pause of automation: it is set, extended, released or runs out, and never lasts for ever.

A pause binds until `expires_at`, at most a day after somebody last said so. One that the policy has set is lifted or
extended by the policy alone, and no longer once a person has extended it: they have taken it over.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, Literal

Mode = Literal["hold", "shadow", "reject"]
Action = Literal["collection", "notices", "replays", "all"]
PauseStatus = Literal["active", "released", "expired"]

LONGEST: Final = timedelta(hours=24)
LOOKED_AT_BEFORE: Final = timedelta(minutes=5)
"""How long before its end the policy looks whether a pause of its own has to go on: there must be no gap between."""
_ACTIONS: Final = {"collection": "collection", "notices": "notices", "replays": "replays", "all": "everything"}


@dataclass(frozen=True, slots=True)
class Scope:
    """What a pause stops; None is every provider, every account."""

    provider: str | None
    account: str | None
    action: Action

    @property
    def text(self) -> str:
        """The scope as the key of its records."""
        return "/".join((self.provider or "*", self.account or "*", self.action))

    def words(self, name: str | None) -> str:
        """The scope as an owner says it; `name` is the provider's."""
        account = f", account {self.account}" if self.account else ""
        return f"{_ACTIONS[self.action]} at {name or 'every provider'}{account}"


@dataclass(frozen=True, slots=True)
class Who:
    """Who set or changed a pause."""

    kind: str
    id: str
    name: str


@dataclass(frozen=True, slots=True)
class Pause:
    """A pause as it stands; `anchored_at` is when somebody last said how long it lasts."""

    id: str
    scope: Scope
    mode: Mode
    state: PauseStatus
    reason: str
    who: Who
    epoch: int
    set_at: datetime
    anchored_at: datetime
    expires_at: datetime
    incident_id: str | None = None
    binds_staff: bool = False
    by_policy: bool = False
    ended_at: datetime | None = None
    version: int = 1


class TooLongError(Exception):
    """A pause may not last that long without somebody saying so again."""

    def __init__(self, wanted: timedelta) -> None:
        super().__init__(f"a pause lasts for more than nothing and at most 24 hours, not {wanted}")


class EndedError(Exception):
    """The pause is over: nothing can be done about it any more."""

    def __init__(self, pause: Pause) -> None:
        super().__init__(f"the pause {pause.id} was {pause.state} already")
        self.id = pause.id
        self.state = pause.state


class AlreadyPausedError(Exception):
    """This scope is paused already; there is one pause for each."""

    def __init__(self, scope: str, pause_id: str) -> None:
        super().__init__(f"{scope} is paused already, by {pause_id}")
        self.scope = scope
        self.id = pause_id


def until(now: datetime, lasts: timedelta) -> datetime:
    """Return when a pause ends that begins, or is extended, now. Raises TooLongError."""
    if not timedelta() < lasts <= LONGEST:
        raise TooLongError(lasts)
    return now + lasts


def extended(pause: Pause, lasts: timedelta, *, by_policy: bool, now: datetime) -> Pause:
    """Return the pause with a new end; a person who extends it takes it over. Raises EndedError and TooLongError."""
    if pause.state != "active":
        raise EndedError(pause)
    return replace(pause, anchored_at=now, expires_at=until(now, lasts), by_policy=pause.by_policy and by_policy)


def due_next(pause: Pause, *, now: datetime) -> datetime | None:
    """Return when there is something to decide about a pause: shortly before its end, at its end, or never again."""
    if pause.state != "active":
        return None
    before = pause.expires_at - LOOKED_AT_BEFORE
    return before if pause.by_policy and before > now else pause.expires_at


def ended(pause: Pause, state: PauseStatus, *, now: datetime) -> Pause:
    """Return the pause released or expired. Raises EndedError."""
    if pause.state != "active":
        raise EndedError(pause)
    return replace(pause, state=state, ended_at=now)


@dataclass(frozen=True, slots=True)
class Stop:
    """An instance that has, or has not, applied a pause: `applied_at` is real time; None: not yet."""

    service: str
    instance: str
    epoch: int
    applied_at: datetime | None
    live: bool


@dataclass(frozen=True, slots=True)
class Stopped:
    """How far a pause has reached: instances that live and have stopped, and how long the slowest took."""

    stopped: int
    of: int
    seconds: float | None

    @property
    def words(self) -> str:
        after = "" if self.seconds is None else f" in {self.seconds:.1f} s"
        return f"{self.stopped} of {self.of} stopped{after}"


def reached(stops: Sequence[Stop], *, changed_at: datetime) -> Stopped:
    """Return how far a pause has reached, of what lives now."""
    live = [each for each in stops if each.live]
    times = [each.applied_at for each in live if each.applied_at is not None]
    slowest = max((at - changed_at).total_seconds() for at in times) if times else None
    return Stopped(len(times), len(live), None if slowest is None else max(0.0, round(slowest, 3)))
