"""The unit of work: the one object that crosses a use case.

It promises that what `emit` was given is in the outbox when, and only when, the state change beside it is committed.
A writer must lock the aggregate's row before it emits: only then is the outbox' id order commit order for that key.
The edge that opened a transaction commits it; a use case never does. Tested in tests/chassis/test_transaction.py.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Generic, TypeVar

from contracts.envelope import Actor, Entity, Event, Payload, RawEvent, Snapshot, Workflow
from contracts.registry import type_of
from contracts.topics import Topic
from sqlalchemy.ext.asyncio import AsyncConnection

from chassis.clock import real_now
from chassis.ids import ID_MAX_CHARACTERS, bounded, new_id

P = TypeVar("P", bound=Payload)
EVENT_MAX_BYTES: Final = 900_000
"""Largest event, in bytes: below Kafka's default of 1 MiB a record, with room for headers."""


class EventTooLargeError(ValueError):
    """The event is larger than a topic takes; nothing was emitted."""

    def __init__(self, event_type: str, size_bytes: int) -> None:
        super().__init__(f"{event_type} has {size_bytes} bytes, {EVENT_MAX_BYTES} are allowed")


class NobodyActsError(RuntimeError):
    """Something was emitted in a transaction that does not say who acts and what caused it."""


@dataclass(frozen=True, slots=True)
class Cause:
    """What led to a change: the whole chain's id, the event or request just before, and its trace.

    `pointer` is where that event lies, for one that came from a topic: `payments-events/3/1042`.
    """

    correlation_id: str
    causation_id: str | None = None
    traceparent: str | None = None
    pointer: str | None = None


@dataclass(frozen=True, slots=True)
class Draft(Generic[P]):
    """An event before the transaction stamps it: `key` defaults to the entity's id, `topic` to the type's only one."""

    body: P
    entity: Entity
    workflow: Workflow
    key: str | None = None
    before: Snapshot | None = None
    after: Snapshot | None = None
    reason: str | None = None
    topic: Topic | None = None


@dataclass(slots=True)
class Outgoing:
    """One row for the outbox; `written` once a statement of its transaction has put it there."""

    event_id: str
    topic: str
    key: str
    value: bytes
    written: bool = False


@dataclass(frozen=True, slots=True)
class Transaction:
    """An open transaction of `service`; `now` is business time."""

    service: str
    connection: AsyncConnection
    now: datetime
    _actor: Actor | None = None
    _cause: Cause | None = None
    outgoing: list[Outgoing] = field(default_factory=list)

    @property
    def actor(self) -> Actor:
        """Who acts. Raises NobodyActsError when the edge did not say."""
        if self._actor is None:
            raise NobodyActsError("this transaction does not say who acts")
        return self._actor

    @property
    def cause(self) -> Cause:
        """What caused this. Raises NobodyActsError when the edge did not say."""
        if self._cause is None:
            raise NobodyActsError("this transaction does not say what caused it")
        return self._cause

    def acting(self, actor: Actor, cause: Cause) -> Transaction:
        """A view of the same transaction in which `actor` acts because of `cause`."""
        return Transaction(self.service, self.connection, self.now, actor, cause, self.outgoing)

    def caused_by(self, event: RawEvent | Event[P], pointer: str | None = None) -> Transaction:
        """A view of the same transaction in which this service acts because of `event`.

        What the event calls itself is bounded: it must never be why a dead letter that tells of it cannot be emitted.
        """
        traceparent = event.traceparent if event.traceparent and len(event.traceparent) <= ID_MAX_CHARACTERS else None
        return self.automatically(Cause(bounded(event.correlationid), bounded(event.id), traceparent, pointer))

    def automatically(self, cause: Cause) -> Transaction:
        """A view of the same transaction in which this service acts by itself because of `cause`."""
        return self.acting(
            Actor(kind="system", id=self.service, name=self.service.replace("-", " ").capitalize()), cause
        )

    def emit(self, draft: Draft[P]) -> str:
        """Add an event to what this transaction tells; returns its id.

        Raises NobodyActsError, EventTooLargeError, and ValueError when the topic is not one of the type's.
        """
        declared = type_of(type(draft.body))
        topic = draft.topic or declared.topics[0]
        if topic not in declared.topics or (draft.topic is None and len(declared.topics) > 1):
            raise ValueError(f"{declared.name} needs one topic out of {[each.name for each in declared.topics]}")
        cause, key = self.cause, draft.key or draft.entity.id
        event = declared.event(
            id=new_id(),
            source=f"/{self.service}",
            type=declared.name,
            subject=draft.entity.id,
            time=real_now(),
            dataschema=declared.dataschema,
            correlationid=cause.correlation_id,
            causationid=cause.causation_id,
            partitionkey=key,
            traceparent=cause.traceparent,
            data=declared.data(
                actor=self.actor,
                entity=draft.entity,
                workflow=draft.workflow,
                before=draft.before,
                after=draft.after,
                reason=draft.reason,
                body=draft.body,
            ),
        )
        value = event.encode()
        if len(value) > EVENT_MAX_BYTES:
            raise EventTooLargeError(declared.name, len(value))
        self.outgoing.append(Outgoing(event.id, topic.name, key, value))
        return event.id
