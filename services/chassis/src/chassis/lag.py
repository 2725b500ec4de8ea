"""How far a consumer of this process is behind, as its metric tells it: of partitions that it reads, and of no others.

A partition that is not placed yet has no lag that anybody knows, and one that was given away is another member's to
tell of: neither has a series. Tested in tests/chassis/test_lag.py.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from itertools import islice
from typing import Final

from aiokafka import TopicPartition

from chassis.telemetry import metrics

_LOOKS_MAX: Final = 240


class LagGauge:
    """The lag of one consumer, partition by partition; one of each name in a process."""

    def __init__(self, consumer: str) -> None:
        self._consumer = consumer
        self._shown: set[TopicPartition] = set()

    def show(self, ends: Mapping[TopicPartition, int], placed: Mapping[TopicPartition, int]) -> int:
        """Show how far the next offset of each placed partition is from its end; returns the sum."""
        behind = {part: max(0, end - placed[part]) for part, end in ends.items() if part in placed}
        for part in self._shown - behind.keys():
            metrics.CONSUMER_LAG_RECORDS.remove(self._consumer, part.topic, str(part.partition))
        for part, records in behind.items():
            metrics.CONSUMER_LAG_RECORDS.labels(self._consumer, part.topic, part.partition).set(records)
        self._shown = set(behind)
        return sum(behind.values())

    def clear(self) -> None:
        """Show nothing any more."""
        self.show({}, {})


class Backlog:
    """How long the oldest unread record has been there, as exactly as it is looked at.

    Each look remembers the ends of that moment; it is over once every position has passed them. A consumer that keeps
    up under load is behind by one look at most, although its lag is never zero.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._looks: deque[tuple[float, Mapping[TopicPartition, int]]] = deque()

    def look(self, ends: Mapping[TopicPartition, int], placed: Mapping[TopicPartition, int]) -> float:
        """The age in seconds of the oldest ends that the next offsets of `placed` have not reached."""
        now = self._monotonic()
        self._looks.append((now, dict(ends)))
        while self._looks and all(placed.get(part, end) >= end for part, end in self._looks[0][1].items()):
            self._looks.popleft()
        if len(self._looks) > _LOOKS_MAX:  # the oldest counts; between the others half as many do
            self._looks = deque(islice(self._looks, 0, None, 2))
        return now - self._looks[0][0] if self._looks else 0.0
