"""What was answered lately, by route: counts of the last quarter of an hour, kept in memory.

Metrics grow for ever and leave rates to whoever scrapes them; the readiness board asks for a rate at once. Sixteen
buckets of a minute each hold one pair of numbers for each route, so that the memory has a bound.
Tested in tests/chassis/test_evidence.py.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

WINDOW_MINUTES: Final = 15
_SERVER_ERROR: Final = 500


@dataclass(slots=True)
class _Minute:
    number: int
    answers: int = 0
    errors: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Answered:
    """What was answered in the window, and how often with a fault of ours: in all and by `METHOD /route`."""

    answers: int
    server_errors: int
    by_route: dict[str, int]


class RecentAnswers:
    """Counts answers by the minute; `monotonic` gives seconds."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._minutes: deque[_Minute] = deque(maxlen=WINDOW_MINUTES + 1)

    def note(self, method: str, route: str, status: int) -> None:
        """Count one answer; one that was cut off has the status that it began with, or 0."""
        number = int(self._monotonic() // 60)
        minute = self._minutes[-1] if self._minutes else None
        if minute is None or minute.number != number:
            minute = _Minute(number)
            self._minutes.append(minute)
        minute.answers += 1
        if status >= _SERVER_ERROR:
            minute.errors[f"{method} {route}"] += 1

    def answered(self) -> Answered:
        """What was answered in the last 15 minutes, this one included."""
        oldest = int(self._monotonic() // 60) - WINDOW_MINUTES
        within = [minute for minute in self._minutes if minute.number > oldest]
        by_route = sum((minute.errors for minute in within), Counter[str]())
        return Answered(sum(minute.answers for minute in within), by_route.total(), dict(by_route))
