"""Placement: where the reading of a partition starts, and whether what arrives is what should come next.

The stored position alone is not trusted: a topic may have been made anew, or a broker restored from a backup, and the
same offset then means another event. So reading starts one record earlier, at the *witness*, the last record that was
processed; where that is another or gone, reading starts again at the earliest record, the inbox dedupes, and an alarm
says so. After that every record must follow the one before it; what does not is placed again before it is believed,
because records that were fetched before a rebalance can still arrive after it.
Tested in tests/chassis/test_consumer_placement.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from chassis.consumer import Gap, Record
from chassis.positions import Position


class Alarm(Enum):
    """Why reading did not simply go on from the stored position."""

    ANOTHER_RECORD = "the record before the stored position is another than the one that was processed"
    RECORD_GONE = "the record before the stored position is gone"
    TOPIC_SHORTER = "the topic ends before the stored position"
    RECORDS_LOST = "the topic has dropped records before they were read"


@dataclass(frozen=True, slots=True)
class Watermarks:
    """The earliest offset that a partition still holds, and the one that its next record will have."""

    earliest: int
    end: int


class Verdict(Enum):
    """What to do after looking at the records that arrived."""

    GO_ON = "go on"
    PLACE_AGAIN = "place again"
    START_AGAIN = "start again at the earliest record"


@dataclass(slots=True)
class Place:
    """One assigned partition: `known` is what PostgreSQL holds, `next_offset` the record that should come next."""

    known: Position | None
    next_offset: int
    seek_to: int
    earliest: int
    witness: str | None
    compacted: bool
    doubts: int
    alarm: Alarm | None = None
    restarted_from: int | None = None
    settled: bool = False

    def take(self, records: Sequence[Record]) -> tuple[Verdict, Sequence[Record]]:
        """Which of the records that arrived, in their order, are to be processed; gaps are marked on them.

        `known` and `next_offset` stay as they are until a batch is committed: `move` tells of that.
        """
        if not self.settled:
            verdict, records = self._settle(records)
            if verdict is not Verdict.GO_ON or not records:
                return verdict, ()
        elif records[0].offset < self.next_offset or (records[0].offset > self.next_offset and self.doubts == 0):
            return Verdict.PLACE_AGAIN, ()  # the topic was cut or made anew while it was read, or records went astray
        expected = self.next_offset
        for record in records:
            if record.offset != expected or self.restarted_from is not None:
                record.gap = self._gap(expected, record.offset)
            expected = record.offset + 1
        return Verdict.GO_ON, records

    def move(self, to: Position) -> None:
        """A batch up to `to` was committed."""
        self.known, self.next_offset, self.doubts = to, to.next_offset, 0

    def _settle(self, records: Sequence[Record]) -> tuple[Verdict, Sequence[Record]]:
        """Judge the first records after a placement; they must begin where reading was told to begin."""
        first = records[0]
        if first.offset != self.seek_to and self.doubts == 0:
            return Verdict.PLACE_AGAIN, ()
        if self.witness is not None:
            if first.offset == self.seek_to:
                first.decode()
                if first.identity != self.witness:
                    self.alarm = Alarm.ANOTHER_RECORD
                    return Verdict.START_AGAIN, ()
                records = records[1:]
            elif first.offset < self.next_offset or not self.compacted:
                self.alarm = Alarm.RECORD_GONE
                return Verdict.START_AGAIN, ()
        elif first.offset < self.next_offset:
            return Verdict.PLACE_AGAIN, ()
        self.settled = True
        return Verdict.GO_ON, records

    def _gap(self, expected: int, found: int) -> Gap:
        if self.restarted_from is not None:
            previous, self.restarted_from = self.restarted_from, None
            return Gap("restart", expected, found - 1, earliest=self.earliest, previous=previous)
        if found <= self.earliest:
            return Gap("retention", expected, found - 1, earliest=self.earliest)
        return Gap("missing", expected, found - 1)


def place(known: Position | None, marks: Watermarks, *, compacted: bool, doubts: int) -> Place:
    """Where to start, given the stored position and what the topic holds now.

    `doubts` counts how often this partition was placed without success just before.
    """
    next_offset = 0 if known is None else known.next_offset
    made = Place(known, next_offset, next_offset, marks.earliest, None, compacted, doubts)
    if next_offset > marks.end:
        made.alarm = Alarm.TOPIC_SHORTER
        return start_again(made, marks.earliest)
    if marks.earliest > next_offset:
        made.seek_to = marks.earliest
        made.alarm = None if known is None or compacted else Alarm.RECORDS_LOST
    elif known is not None and known.last_event_id is not None and marks.earliest < next_offset:
        made.seek_to, made.witness = next_offset - 1, known.last_event_id
    return made


def start_again(place: Place, earliest: int) -> Place:
    """The same partition, read from its earliest record on."""
    return Place(
        known=place.known,
        next_offset=earliest,
        seek_to=earliest,
        earliest=earliest,
        witness=None,
        compacted=place.compacted,
        doubts=place.doubts,
        alarm=place.alarm,
        restarted_from=place.next_offset,
    )
