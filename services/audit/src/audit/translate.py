"""From a message on the bus to an entry of the log, and from the log's rows to what a reader is shown.

What a row says follows from the event's exact bytes, so that verification can derive it again (`columns_of`). Its
sentence and schema status are those of its day: a later version of us may word or understand the same bytes better.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from chassis.consumer import Gap as MissingRecords
from chassis.consumer import Record
from contracts.envelope import Actor, Entity, RawEvent, Workflow
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

from audit.domain import Entry, Explanation, Gap, Place, Pointer, Status, Technical, Unreadable

_DETAIL_MAX_CHARACTERS = 500


@dataclass(frozen=True, slots=True)
class Located:
    """A batch with the place of each record, and what Kafka did not hold before them."""

    records: list[tuple[Pointer, Record]]
    gaps: list[Gap]


def located(batch: Sequence[Record], incarnations: Mapping[tuple[str, int], int]) -> Located:
    """Say where each record stands; a partition that was made anew begins an account of its own."""
    now = dict(incarnations)
    found = Located([], [])
    for each in batch:
        partition = (each.topic, each.partition)
        if each.gap is not None and each.gap.kind == "restart":
            now[partition] = now.get(partition, 0) + 1
        place = Place(each.topic, each.partition, now.get(partition, 0))
        if each.gap is not None and each.gap.last >= each.gap.first:
            found.gaps.append(Gap(place, each.gap.first, each.gap.last + 1, _explanation(each.topic, each.gap)))
        found.records.append((Pointer(place, each.offset), each))
    return found


def _explanation(topic: str, gap: MissingRecords) -> Explanation | None:
    """Nothing of ours writes transactions, so a hole in a topic that is not compacted has no innocent reason."""
    if gap.kind in ("retention", "restart"):
        return Explanation.RETENTION
    return Explanation.COMPACTION if BY_NAME[topic].cleanup == "compact" else None


def record(pointer: Pointer, *, key: bytes | None, value: bytes | None) -> Entry | Unreadable | Technical:
    """What a consumed record is to the log. Never raises for what the bytes hold."""
    if value is None:
        return Unreadable(pointer, "the record has no value", key, value)
    try:
        event = decode(value)
    except UnreadableEventError as error:
        return Unreadable(pointer, str(error)[:_DETAIL_MAX_CHARACTERS], key, value)
    declared, status = _declaration(event)
    if declared is not None and declared.technical:
        return Technical(pointer)
    return _entry(pointer, event, value, declared, status)


def columns_of(value: bytes) -> dict[str, Any]:
    """The columns of a row that its exact bytes alone decide. Raises UnreadableEventError."""
    event = decode(value)
    data = event.data
    return {
        "event_id": event.id,
        "source": event.source,
        "action": event.type,
        "version": event.version,
        "actor_kind": data.actor.kind,
        "actor_id": data.actor.id,
        "actor_name": data.actor.name,
        "entity_type": data.entity.type,
        "entity_id": data.entity.id,
        "workflow_name": data.workflow.name,
        "workflow_id": data.workflow.id,
        "occurred_at": event.time,
        "reason": data.reason,
    }


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
    actor, entity, workflow = data.actor, data.entity, data.workflow
    return Entry(
        pointer=pointer,
        source=event.source,
        event_id=event.id,
        sha256=hashlib.sha256(value).digest(),
        value=value,
        action=event.type,
        version=event.version,
        status=status,
        actor_kind=actor.kind,
        actor_id=actor.id,
        actor_name=actor.name,
        entity_type=entity.type,
        entity_id=entity.id,
        workflow_name=workflow.name,
        workflow_id=workflow.id,
        occurred_at=event.time,
        reason=data.reason,
        sentence=_sentence(event, declared),
    )


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


class RecordDetail(RecordView):
    """One audit record whole: before and after, the event as it was, and the sha256 of its bytes in hex."""

    before: Mapping[str, JsonValue] | None
    after: Mapping[str, JsonValue] | None
    event: Mapping[str, JsonValue]
    sha256: str


def view(row: Row[Any]) -> RecordView:
    """A row of the log for a list."""
    return RecordView(**_shown(row))


def detail(row: Row[Any]) -> RecordDetail:
    """A row of the log with its event."""
    value = bytes(row.value)
    event = decode(value)
    return RecordDetail(
        **_shown(row),
        before=event.data.before,
        after=event.data.after,
        event=event.model_dump(mode="json", exclude_none=True),
        sha256=hashlib.sha256(value).hexdigest(),
    )


def _shown(row: Row[Any]) -> dict[str, Any]:
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
        "pointer": PointerView(topic=row.topic, partition=row.partition, offset=row.record_offset),
    }
