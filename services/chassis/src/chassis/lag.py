"""How far a consumer of this process is behind, as its metric tells it: of partitions that it reads, and of no others.

A partition that is not placed yet has no lag that anybody knows, and one that was given away is another member's to
tell of: neither has a series. Tested in tests/chassis/test_lag.py.
"""

from __future__ import annotations

from collections.abc import Mapping

from aiokafka import TopicPartition

from chassis.telemetry import metrics


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
