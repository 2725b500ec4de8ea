"""What becomes of a consumed record: recorded, duplicate, quarantined or technical. Every offset is one of them.

Nothing here reads or writes. A batch is settled against the ids that the log already holds; sequence numbers follow
the head without gaps, because whoever settles holds the head's lock.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final, NamedTuple


class Status(StrEnum):
    """How well an event's type is understood here; anything but `known` waits for a later version of us."""

    KNOWN = "known"
    UNKNOWN_TYPE = "unknown_type"
    UNKNOWN_VERSION = "unknown_version"
    UNREADABLE_BODY = "unreadable_body"


class Explanation(StrEnum):
    """Why offsets are missing although nothing was lost here."""

    RETENTION = "retention"
    COMPACTION = "compaction"


class Place(NamedTuple):
    """One partition of a topic; `incarnation` counts how often it was found made anew."""

    topic: str
    partition: int
    incarnation: int


class Pointer(NamedTuple):
    """Where a record stands in Kafka: the replay pointer."""

    place: Place
    offset: int


class Entry(NamedTuple):
    """One event as the log keeps it; `value` are its exact bytes, which alone decide all that comes after them."""

    pointer: Pointer
    sha256: bytes
    status: Status
    sentence: str
    value: bytes
    event_id: str
    source: str
    action: str
    version: int
    actor_kind: str
    actor_id: str
    actor_name: str
    entity_type: str
    entity_id: str
    workflow_name: str
    workflow_id: str
    occurred_at: datetime
    reason: str | None


TOLD: Final = Entry._fields[Entry._fields.index("value") + 1 :]
"""The columns of the log that an event's exact bytes decide."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A record that cannot be kept as an event, whole in quarantine; with a dead letter where there is a way back."""

    pointer: Pointer
    detail: str
    key: bytes | None
    value: bytes | None
    dead_letter_id: str | None = None


@dataclass(frozen=True, slots=True)
class Technical:
    """A heartbeat or acknowledgement: counted, not recorded."""

    pointer: Pointer


@dataclass(frozen=True, slots=True)
class Gap:
    """Offsets `first` up to, not including, `end` that Kafka does not hold; without an explanation nobody knows why."""

    place: Place
    first: int
    end: int
    explanation: Explanation | None


@dataclass(frozen=True, slots=True)
class Recorded:
    """An entry with its place in the log."""

    seq: int
    entry: Entry


@dataclass(frozen=True, slots=True)
class Tally:
    """How the offsets of one partition are accounted for; counts of offsets."""

    recorded: int = 0
    duplicate: int = 0
    quarantined: int = 0
    technical: int = 0
    explained_gap: int = 0
    unexplained_gap: int = 0

    @property
    def total(self) -> int:
        return (
            self.recorded
            + self.duplicate
            + self.quarantined
            + self.technical
            + self.explained_gap
            + self.unexplained_gap
        )


@dataclass(frozen=True, slots=True)
class ReviewState:
    """How a record was reviewed last: not_needed, awaiting, approved or flagged; `why` it is sensitive."""

    state: str
    why: str | None
    reason: str | None = None
    by_id: str | None = None
    by_name: str | None = None
    at: datetime | None = None


@dataclass(slots=True)
class Settled:
    """What a batch adds to the log."""

    recorded: list[Recorded] = field(default_factory=list)
    duplicates: list[Entry] = field(default_factory=list)
    conflicts: list[Entry] = field(default_factory=list)
    unreadable: list[Unreadable] = field(default_factory=list)
    technical: list[Technical] = field(default_factory=list)


def settle(
    records: Sequence[Entry | Unreadable | Technical], known: Mapping[tuple[str, str], bytes], *, last_seq: int
) -> Settled:
    """Give each record its outcome; `known` maps (source, id) of what the log holds to the sha256 of its bytes."""
    settled = Settled()
    seen = dict(known)
    for record in records:
        match record:
            case Technical():
                settled.technical.append(record)
            case Unreadable():
                settled.unreadable.append(record)
            case Entry():
                identity = (record.source, record.event_id)
                standing = seen.get(identity)
                if standing is None:
                    seen[identity] = record.sha256
                    last_seq += 1
                    settled.recorded.append(Recorded(last_seq, record))
                elif standing == record.sha256:
                    settled.duplicates.append(record)
                else:
                    settled.conflicts.append(record)
    return settled


def tallies(settled: Settled, gaps: Iterable[Gap]) -> dict[Place, Tally]:
    """How many offsets of each partition had which outcome. An event not understood counts as quarantined."""
    counted: defaultdict[Place, Counter[str]] = defaultdict(Counter)
    for item in settled.recorded:
        counted[item.entry.pointer.place]["recorded" if item.entry.status is Status.KNOWN else "quarantined"] += 1
    for outcome, records in (
        ("duplicate", settled.duplicates),
        ("quarantined", settled.conflicts),
        ("quarantined", settled.unreadable),
        ("technical", settled.technical),
    ):
        for record in records:
            counted[record.pointer.place][outcome] += 1
    for gap in gaps:
        counted[gap.place]["unexplained_gap" if gap.explanation is None else "explained_gap"] += gap.end - gap.first
    return {place: Tally(**outcomes) for place, outcomes in counted.items()}


def first_offsets(records: Iterable[Entry | Unreadable | Technical], gaps: Iterable[Gap]) -> dict[Place, int]:
    """Where the part of each partition begins in a batch."""
    first: dict[Place, int] = {}
    for place, offset in (*(record.pointer for record in records), *((gap.place, gap.first) for gap in gaps)):
        if offset < first.get(place, offset + 1):
            first[place] = offset
    return first


def seal(seq: int, recorded_at: datetime, status: str, pointer: Pointer, sentence: str, sha256: bytes) -> bytes:
    """The sha256 of what a row says beyond its event's own bytes, and of these: no column changes unnoticed."""
    (topic, partition, incarnation), offset = pointer
    words = f"{seq}|{recorded_at.isoformat()}|{status}|{topic}|{partition}|{incarnation}|{offset}|{sentence}|"
    return hashlib.sha256(words.encode() + sha256).digest()
