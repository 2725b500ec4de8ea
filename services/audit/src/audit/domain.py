"""What becomes of a consumed record: recorded, duplicate, quarantined or technical. Every offset is one of them.

Nothing here reads or writes. A batch is settled against the ids that the log already holds; sequence numbers follow
the head without gaps, because whoever settles holds the head's lock.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum


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


@dataclass(frozen=True, slots=True)
class Place:
    """One partition of a topic; `incarnation` counts how often it was found made anew."""

    topic: str
    partition: int
    incarnation: int


@dataclass(frozen=True, slots=True)
class Pointer:
    """Where a record stands in Kafka: the replay pointer."""

    place: Place
    offset: int


@dataclass(frozen=True, slots=True)
class Entry:
    """One event as the log keeps it; `value` are its exact bytes."""

    pointer: Pointer
    source: str
    event_id: str
    sha256: bytes
    value: bytes
    action: str
    version: int
    status: Status
    actor_kind: str
    actor_id: str
    actor_name: str
    entity_type: str
    entity_id: str
    workflow_name: str
    workflow_id: str
    occurred_at: datetime
    reason: str | None
    sentence: str


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A record that is no event of ours, kept whole in quarantine."""

    pointer: Pointer
    detail: str
    key: bytes | None
    value: bytes | None


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
            case Entry(source=source, event_id=event_id, sha256=sha256):
                standing = seen.setdefault((source, event_id), sha256)
                if (source, event_id) not in known and standing is sha256:
                    last_seq += 1
                    settled.recorded.append(Recorded(last_seq, record))
                elif standing == sha256:
                    settled.duplicates.append(record)
                else:
                    settled.conflicts.append(record)
    return settled


def tallies(settled: Settled, gaps: Iterable[Gap]) -> dict[Place, Tally]:
    """How many offsets of each partition had which outcome. An event not understood counts as quarantined."""
    counted: dict[Place, Tally] = {}

    def count(place: Place, **by: int) -> None:
        tally = counted.get(place, Tally())
        counted[place] = replace(tally, **{name: getattr(tally, name) + number for name, number in by.items()})

    for item in settled.recorded:
        understood = item.entry.status is Status.KNOWN
        count(item.entry.pointer.place, **{"recorded" if understood else "quarantined": 1})
    for duplicate in settled.duplicates:
        count(duplicate.pointer.place, duplicate=1)
    for conflict in settled.conflicts:
        count(conflict.pointer.place, quarantined=1)
    for unreadable in settled.unreadable:
        count(unreadable.pointer.place, quarantined=1)
    for technical in settled.technical:
        count(technical.pointer.place, technical=1)
    for gap in gaps:
        number = gap.end - gap.first
        count(gap.place, **{"unexplained_gap" if gap.explanation is None else "explained_gap": number})
    return counted
