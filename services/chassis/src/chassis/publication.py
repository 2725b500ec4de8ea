"""Publication: the rows of one round on their way to Kafka, every key in its order.

Rows of one partition form a lane. A lane has one batch under way at a time and hands over the next only when the last
is acknowledged, so nothing ever follows an event that failed, not even in the buffer of a producer that was given up:
whatever arrives late is a batch that was next in its lane anyway, which makes duplicates and never another order.
Lanes run side by side, and a round's batches share one request to each broker.

A batch that is refused for one of its records is not taken apart here: in the rounds to come its lane is narrow, an
eighth as wide with every refusal, until the record is alone. That one's key is then to be parked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import orjson
from aiokafka.errors import KafkaError

from chassis.kafka import Producer, Trouble, partition_for, trouble_of

Lane = tuple[str, int]
"""A topic, without its prefix, and a partition of it."""
Row = Mapping[str, Any]
"""id, topic, key, value and headers, as PostgreSQL gave them."""

CONTENT_TYPE: Final = ("content-type", b"application/cloudevents+json")
_HEADERS: Final = [CONTENT_TYPE]
_WIDEN_AFTER_BATCHES: Final = 8
_WIDE_RECORDS: Final = 1_000


@dataclass(frozen=True, slots=True)
class Refusal:
    """A row that its topic will never take."""

    row: Row
    reason: str


@dataclass(slots=True)
class Published:
    """What became of a round's rows: those that are acknowledged, refused, and what went wrong otherwise."""

    acknowledged: list[int] = field(default_factory=list)
    by_topic: dict[str, int] = field(default_factory=dict)
    refusals: list[Refusal] = field(default_factory=list)
    topic_errors: dict[str, str] = field(default_factory=dict)
    broker_error: str | None = None
    timed_out: bool = False
    spent: bool = False
    """The producer has a batch that failed or may still be under way: it must not be used again."""


@dataclass(slots=True)
class Width:
    """How many records a lane may have in one batch while it looks for the one that is refused."""

    max_records: int
    accepted: int = 0


class Widths:
    """The lanes that are narrow at the moment."""

    def __init__(self) -> None:
        self._narrow: dict[Lane, Width] = {}

    def of(self, lane: Lane) -> int | None:
        width = self._narrow.get(lane)
        return None if width is None else width.max_records

    def refused(self, lane: Lane, records: int) -> None:
        """A batch of so many records, more than one, was refused."""
        # Each refusal costs a producer, a small batch only a request: narrow fast, and send some more of them.
        self._narrow[lane] = Width(max(1, records // 8))

    def found(self, lane: Lane) -> None:
        """The record that was refused is known."""
        self._narrow.pop(lane, None)

    def accepted(self, lane: Lane) -> None:
        """Widen again, by and by: what was refused may have been the batch's size and no record at all."""
        width = self._narrow.get(lane)
        if width is not None:
            width.accepted += 1
            if width.accepted % _WIDEN_AFTER_BATCHES == 0:
                width.max_records *= 2
            if width.max_records >= _WIDE_RECORDS:
                del self._narrow[lane]


async def publish(producer: Producer, rows: Iterable[Row], widths: Widths, *, timeout_seconds: float) -> Published:
    """Send `rows`, given in id order; returns when every lane has ended, or with `timed_out` when time is up."""
    published = Published()
    try:
        async with asyncio.timeout(timeout_seconds), asyncio.TaskGroup() as sending:
            for lane, own in (await _lanes(producer, rows, published)).items():
                sending.create_task(_send(producer, lane, own, widths, published))
    except TimeoutError:
        published.timed_out = published.spent = True
        published.broker_error = f"no acknowledgement within {timeout_seconds:.1f} s"
    return published


async def _lanes(producer: Producer, rows: Iterable[Row], published: Published) -> dict[Lane, list[Row]]:
    lanes: dict[Lane, list[Row]] = {}
    known: dict[str, Sequence[int]] = {}
    for row in rows:
        topic = row["topic"]
        partitions = known.get(topic)
        if partitions is None:
            known[topic] = partitions = await _partitions(producer, topic, published)
        if partitions:
            lane = (topic, partition_for(row["key"].encode(), partitions))
            lanes.setdefault(lane, []).append(row)
    return lanes


async def _partitions(producer: Producer, topic: str, published: Published) -> Sequence[int]:
    try:
        return await producer.partitions_of(topic)
    except KafkaError as error:
        if trouble_of(error) is Trouble.TOPIC:
            published.topic_errors[topic] = _said(error)
        else:
            published.broker_error, published.spent = _said(error), True
        return ()


async def _send(producer: Producer, lane: Lane, rows: list[Row], widths: Widths, published: Published) -> None:
    """Send one lane's rows, batch after batch, up to the first that fails."""
    topic, partition = lane
    sent = 0
    while sent < len(rows):
        batch = producer.batch()
        end = _fill(batch, rows, sent, widths.of(lane))
        if end == sent:
            published.refusals.append(Refusal(rows[sent], "headers must be an object of strings"))
            return
        try:
            await (await producer.submit(batch, topic, partition))
        except Exception as error:
            published.spent = True
            _judge(error, lane, rows[sent:end], widths, published)
            return
        published.acknowledged += [row["id"] for row in rows[sent:end]]
        published.by_topic[topic] = published.by_topic.get(topic, 0) + end - sent
        widths.accepted(lane)
        sent = end


def _fill(batch: Any, rows: list[Row], start: int, max_records: int | None) -> int:
    """Put as many rows into `batch` as it takes; returns the place of the first that is left."""
    stop = len(rows) if max_records is None else min(len(rows), start + max_records)
    for place in range(start, stop):
        row = rows[place]
        try:
            headers = _HEADERS if row["headers"] is None else _headers(row["headers"])
        except (AttributeError, TypeError, ValueError):
            return place
        if batch.append(timestamp=None, key=row["key"].encode(), value=row["value"], headers=headers) is None:
            return place
    return stop


def _headers(stored: str) -> list[tuple[str, bytes]]:
    return [CONTENT_TYPE, *((name, value.encode()) for name, value in orjson.loads(stored).items())]


def _judge(error: Exception, lane: Lane, rows: list[Row], widths: Widths, published: Published) -> None:
    trouble = trouble_of(error)
    if trouble is Trouble.BROKER:
        published.broker_error = _said(error)
    elif trouble is Trouble.TOPIC:
        published.topic_errors[lane[0]] = _said(error)
    elif len(rows) > 1:
        widths.refused(lane, len(rows))
    else:
        widths.found(lane)
        published.refusals.append(Refusal(rows[0], _said(error)))


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
