"""From a message on the bus to an entry of the log, and from the log's rows to what a reader is shown.

What a row says follows from the event's exact bytes, so that verification can derive it again (`told`). Its
sentence and schema status are those of its day: a later version of us may word or understand the same bytes better.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import orjson
from chassis.consumer import Gap as MissingRecords
from chassis.consumer import Record
from contracts.envelope import Actor, Entity, RawEvent, Workflow, version_in
from contracts.registry import (
    EventType,
    UnknownTypeError,
    UnknownVersionError,
    UnreadableEventError,
    decode,
    lookup,
    read_body,
)
from contracts.topics import BY_NAME
from pydantic import BaseModel, JsonValue
from sqlalchemy import Row

from audit.domain import Entry, Explanation, Gap, Place, Pointer, ReviewState, Status, Technical, Unreadable

_DETAIL_MAX_CHARACTERS: Final = 500
_NUL: Final = b"\\u0000"


@dataclass(frozen=True, slots=True)
class Located:
    """A batch with the place of each record, and what Kafka did not hold before them."""

    records: list[tuple[Pointer, Record]]
    gaps: list[Gap]


def located(batch: Sequence[Record], incarnations: Mapping[tuple[str, int], int]) -> Located:
    """Say where each record stands; a partition that was made anew begins an account of its own."""
    places: dict[tuple[str, int], Place] = {}
    found = Located([], [])
    for each in batch:
        partition = (each.topic, each.partition)
        place = places.get(partition) or Place(*partition, incarnations.get(partition, 0))
        if each.gap is not None:
            if each.gap.kind == "restart":
                place = place._replace(incarnation=place.incarnation + 1)
            if each.gap.last >= each.gap.first:
                found.gaps.append(Gap(place, each.gap.first, each.gap.last + 1, _explanation(each.topic, each.gap)))
        places[partition] = place
        found.records.append((Pointer(place, each.offset), each))
    return found


def _explanation(topic: str, gap: MissingRecords) -> Explanation | None:
    """Nothing of ours writes transactions, so a hole in a topic that is not compacted has no innocent reason."""
    if gap.kind in ("retention", "restart"):
        return Explanation.RETENTION
    return Explanation.COMPACTION if BY_NAME[topic].cleanup == "compact" else None


def identities(batch: Iterable[Record]) -> list[tuple[str, str]]:
    """The source and id of each event of a batch, as the log keeps them."""
    events = (each.event for each in batch if each.unreadable is None and each.value is not None)
    return [(_storable(event.source), _storable(event.id)) for event in events]


def record(pointer: Pointer, consumed: Record) -> Entry | Unreadable | Technical:
    """What a consumed record is to the log. Never raises for what the bytes hold."""
    if consumed.unreadable is not None or consumed.value is None:
        detail = consumed.unreadable or "the record has no value"
        return Unreadable(pointer, detail[:_DETAIL_MAX_CHARACTERS], consumed.key, consumed.value)
    event = consumed.event
    declared, status = _declaration(event)
    if declared is not None and declared.technical:
        return Technical(pointer)
    return _entry(pointer, event, consumed.value, declared, status)


def told(value: bytes) -> tuple[Any, ...]:
    """What `TOLD`, the columns that an event's exact bytes alone decide, say of it. Raises UnreadableEventError."""
    if _NUL not in value:
        try:
            return _told(orjson.loads(value))
        except (ValueError, LookupError, TypeError, AttributeError):
            pass  # read by a rule that orjson does not share, or no event: the one below decides
    return tuple(map(_storable, _told(decode(value).model_dump())))


def _told(event: Mapping[str, Any]) -> tuple[Any, ...]:
    data, time = event["data"], event["time"]
    actor, entity, workflow = data["actor"], data["entity"], data["workflow"]
    return (
        event["id"],
        event["source"],
        event["type"],
        version_in(event["dataschema"]),
        actor["kind"],
        actor["id"],
        actor["name"],
        entity["type"],
        entity["id"],
        workflow["name"],
        workflow["id"],
        datetime.fromisoformat(time) if isinstance(time, str) else time,
        data.get("reason"),
    )


def _storable(value: Any) -> Any:
    """PostgreSQL's text takes no NUL; the exact bytes keep it."""
    return value.replace("\x00", "\ufffd") if value.__class__ is str else value


def _declaration(event: RawEvent) -> tuple[EventType | None, Status]:
    try:
        declared = lookup(event.type, event.version)
        read_body(declared, event.data.body)
    except UnknownTypeError:
        return None, Status.UNKNOWN_TYPE
    except UnknownVersionError:
        return None, Status.UNKNOWN_VERSION
    except UnreadableEventError:
        return None, Status.UNREADABLE_BODY
    return declared, Status.KNOWN


def _entry(pointer: Pointer, event: RawEvent, value: bytes, declared: EventType | None, status: Status) -> Entry:
    data = event.data
    entry = Entry(
        pointer,
        hashlib.sha256(value).digest(),
        status,
        _sentence(event, declared),
        value,
        event.id,
        event.source,
        event.type,
        event.version,
        data.actor.kind,
        data.actor.id,
        data.actor.name,
        data.entity.type,
        data.entity.id,
        data.workflow.name,
        data.workflow.id,
        event.time,
        data.reason,
    )
    return Entry(*map(_storable, entry)) if _NUL in value else entry


def _sentence(event: RawEvent, declared: EventType | None) -> str:
    data = event.data
    if declared is None:
        entity = f"{data.entity.type} {data.entity.id}"
        return f"{data.actor.name} told {event.type} (version {event.version}) about {entity}; it is not understood yet"
    return declared.sentence.render(
        {
            "actor": {"kind": data.actor.kind, "id": data.actor.id, "name": data.actor.name},
            "entity": {"type": data.entity.type, "id": data.entity.id},
            "workflow": {"name": data.workflow.name, "id": data.workflow.id},
            "before": data.before,
            "after": data.after,
            "reason": data.reason,
            "body": data.body,
        }
    )


class PointerView(BaseModel):
    """Where the record stands in Kafka: what a replay needs."""

    topic: str
    partition: int
    offset: int


class ReviewView(BaseModel):
    """How a record was reviewed last: not_needed, awaiting, approved or flagged; `why` it is sensitive, if it is."""

    state: str
    why: str | None
    reason: str | None
    by: str | None
    at: datetime | None


class RecordView(BaseModel):
    """One audit record as a list shows it; `seq` has no gaps."""

    seq: int
    occurred_at: datetime
    recorded_at: datetime
    action: str
    version: int
    schema_status: Status
    actor: Actor
    entity: Entity
    workflow: Workflow
    reason: str | None
    sentence: str
    event_id: str
    source: str
    pointer: PointerView
    review: ReviewView


class RecordDetail(RecordView):
    """One audit record whole: before and after, the event as it was, and the sha256 of its bytes in hex."""

    before: Mapping[str, JsonValue] | None
    after: Mapping[str, JsonValue] | None
    event: Mapping[str, JsonValue]
    sha256: str


def pointer(row: Row[Any]) -> PointerView:
    """Where the record that a row tells of stands in Kafka."""
    return PointerView(topic=row.topic, partition=row.partition, offset=row.record_offset)


def view(row: Row[Any], reviewed: ReviewState) -> RecordView:
    """A row of the log for a list."""
    return RecordView(**_shown(row, reviewed))


def detail(row: Row[Any], reviewed: ReviewState) -> RecordDetail:
    """A row of the log with its event."""
    value = bytes(row.value)
    event = decode(value)
    return RecordDetail(
        **_shown(row, reviewed),
        before=event.data.before,
        after=event.data.after,
        event=event.model_dump(mode="json", exclude_none=True),
        sha256=hashlib.sha256(value).hexdigest(),
    )


def review_view(reviewed: ReviewState) -> ReviewView:
    """How a record was reviewed, for callers."""
    return ReviewView(
        state=reviewed.state, why=reviewed.why, reason=reviewed.reason, by=reviewed.by_name, at=reviewed.at
    )


def _shown(row: Row[Any], reviewed: ReviewState) -> dict[str, Any]:
    return {
        "seq": row.seq,
        "occurred_at": row.occurred_at,
        "recorded_at": row.recorded_at,
        "action": row.action,
        "version": row.version,
        "schema_status": row.schema_status,
        "actor": Actor(kind=row.actor_kind, id=row.actor_id, name=row.actor_name),
        "entity": Entity(type=row.entity_type, id=row.entity_id),
        "workflow": Workflow(name=row.workflow_name, id=row.workflow_id),
        "reason": row.reason,
        "sentence": row.sentence,
        "event_id": row.event_id,
        "source": row.source,
        "pointer": pointer(row),
        "review": review_view(reviewed),
    }
