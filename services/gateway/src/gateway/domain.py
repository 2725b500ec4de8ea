"""What the door has to tell of whom it turned away: counted per caller, operation, cause and minute.

The first refusal of somebody with a name is told at once, further ones of the same minute when it is over; those of
callers without a name only then. There is a limit to how many different ones are kept: beyond it they are counted
under one heading, so that a flood costs no memory and is told all the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

DIFFERENT_MAX: Final = 2_000
MINUTE: Final = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Who:
    """A caller: `kind` of actor, id and name. Nobody in particular is one caller."""

    kind: str
    id: str
    name: str


NOBODY: Final = Who("consumer", "anonymous", "Somebody without a name")
MANY: Final = Who("consumer", "many", "Many different callers")


@dataclass(frozen=True, slots=True)
class Refused:
    """One refused request."""

    who: Who
    operation: str
    route: str
    cause: str
    reason: str
    at: datetime
    request_id: str
    traceparent: str | None = None

    @property
    def minute(self) -> datetime:
        return self.at.replace(second=0, microsecond=0)


@dataclass(frozen=True, slots=True)
class Told:
    """What is to be told: so many refusals of one caller, operation and cause; `first` stands for them."""

    first: Refused
    count: int


Key = tuple[Who, str, str, datetime]


@dataclass(slots=True)
class Refusals:
    """What has been refused and not been told yet."""

    waiting: dict[Key, Told] = field(default_factory=dict)
    told_of: set[Key] = field(default_factory=set)

    def note(self, refused: Refused) -> bool:
        """Count a refusal; True when it is to be told at once."""
        key = (refused.who, refused.route, refused.cause, refused.minute)
        if key not in self.waiting and len(self.waiting) >= DIFFERENT_MAX:
            refused = replace(refused, who=MANY, operation="do many things", route="*")
            key = (refused.who, refused.route, refused.cause, refused.minute)
        before = self.waiting.get(key)
        self.waiting[key] = Told(refused, 1) if before is None else Told(before.first, before.count + 1)
        return self._is_due_at_once(key)

    def due(self, now: datetime, *, ending: bool = False) -> Mapping[Key, Told]:
        """What is to be told now: what may not wait, and every minute that is over; everything when `ending`."""
        return {
            key: told
            for key, told in self.waiting.items()
            if ending or key[3] + MINUTE <= now or self._is_due_at_once(key)
        }

    def told(self, done: Mapping[Key, Told], now: datetime) -> None:
        """Forget what has been told; what was counted meanwhile stays."""
        for key, told in done.items():
            left = self.waiting[key].count - told.count
            if left:
                self.waiting[key] = Told(self.waiting[key].first, left)
            else:
                del self.waiting[key]
            self.told_of.add(key)
        self.told_of = {key for key in self.told_of if key[3] + MINUTE > now}

    def _is_due_at_once(self, key: Key) -> bool:
        return key[0] not in {NOBODY, MANY} and key not in self.told_of
