"""Which automation is paused: what has been read of the pauses, and what follows for one action.

Fail closed: where it is not known whether an action is paused, it may not be done. Expiry is business time by this
process' own clock, so a pause whose keeper is dead ends all the same; how old the last heartbeat is, is real time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

Mode = Literal["hold", "shadow", "reject"]
EVERY = "all"


@dataclass(frozen=True, slots=True)
class Pause:
    """A pause that was set and not released. `provider` and `account` None: every one; `action` may be `all`."""

    id: str
    provider: str | None
    account: str | None
    action: str
    mode: str
    reason: str
    expires_at: datetime
    binds_staff: bool = False

    def stops(self, provider: str, account: str, action: str) -> bool:
        """Whether this pause is about such an action."""
        return self.provider in (None, provider) and self.account in (None, account) and self.action in (EVERY, action)


@dataclass(frozen=True, slots=True)
class Known:
    """What a process has read: pauses by their scope, the highest epoch applied, and the newest heartbeat."""

    pauses: Mapping[str, Pause]
    epoch: int = 0
    heartbeat_epoch: int | None = None
    heartbeat_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Open:
    """Nothing stops the action."""


@dataclass(frozen=True, slots=True)
class Paused:
    """A pause stops it."""

    by: Pause

    @property
    def words(self) -> str:
        return f"paused: {self.by.reason}"


@dataclass(frozen=True, slots=True)
class Blind:
    """Nobody can say whether it is paused."""

    why: str

    @property
    def words(self) -> str:
        return f"whether it is paused is not known: {self.why}"


Verdict = Open | Paused | Blind


def verdict(
    known: Known,
    *,
    provider: str,
    account: str,
    action: str,
    by_staff: bool,
    current: bool,
    now: datetime,
    real_now: datetime,
    heartbeat_limit: timedelta,
) -> Verdict:
    """Whether one action that moves money may be done. `now` is business time, `real_now` real."""
    blind = blindness(known, current=current, real_now=real_now, heartbeat_limit=heartbeat_limit)
    if blind is not None:
        return blind
    for pause in sorted(known.pauses.values(), key=lambda each: each.id):
        bound = pause.binds_staff or not by_staff
        if bound and pause.expires_at > now and pause.stops(provider, account, action):
            return Paused(pause)
    return Open()


def blindness(known: Known, *, current: bool, real_now: datetime, heartbeat_limit: timedelta) -> Blind | None:
    """Why what is known cannot be trusted, or None."""
    if not current:
        return Blind("the pauses are not read to their end")
    if known.heartbeat_at is None or known.heartbeat_epoch is None:
        return Blind("no heartbeat of the service that keeps the pauses was ever heard")
    if real_now - known.heartbeat_at > heartbeat_limit:
        return Blind(f"the service that keeps the pauses is silent since {known.heartbeat_at:%H:%M:%S}")
    if known.epoch < known.heartbeat_epoch:
        return Blind(f"epoch {known.heartbeat_epoch} is announced, {known.epoch} is applied")
    return None
