"""The envelope: every message is one CloudEvents 1.0 event in structured JSON.

One Kafka value holds the whole event, so that the audit log can keep the exact bytes. Reading ignores what it does
not know; writing refuses what is not declared.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, ClassVar, Generic, Literal, TypeVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, JsonValue, PlainSerializer

CONTENT_TYPE = "application/cloudevents+json"
ActorKind = Literal["staff", "provider", "consumer", "system"]
Snapshot = dict[str, JsonValue]


def _rfc3339(value: datetime) -> str:
    return value.isoformat(timespec="microseconds").replace("+00:00", "Z")


Instant = Annotated[AwareDatetime, PlainSerializer(_rfc3339, return_type=str, when_used="json")]
"""An aware instant, written in UTC with microseconds and a Z."""


class Wire(BaseModel):
    """A frozen value on the wire: unknown fields are ignored when reading."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Payload(Wire):
    """The typed body of one event type. Forbids extra fields when writing, ignores them when reading.

    Construct one with keyword arguments to write; `contracts.registry.typed` builds one from what was read.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    fields_ignored_when_reading: ClassVar[bool] = True


class Actor(Wire):
    """Who acted: `id` is stable, `name` is what an owner reads."""

    kind: ActorKind
    id: str
    name: str


class Entity(Wire):
    """The business entity that an event is about."""

    type: str
    id: str


class Workflow(Wire):
    """The work that an event belongs to, for example one payment's collection."""

    name: str
    id: str


class Money(Wire):
    """Integer minor units with an ISO 4217 currency in capitals."""

    amount_minor: int
    currency: Annotated[str, Field(pattern="^[A-Z]{3}$")]


P = TypeVar("P")


class Data(Wire, Generic[P]):
    """What every event tells: who did what to which entity, before, after and why."""

    actor: Actor
    entity: Entity
    workflow: Workflow
    before: Snapshot | None = None
    after: Snapshot | None = None
    reason: str | None = None
    body: P


class Event(Wire, Generic[P]):
    """One CloudEvents 1.0 event; `id` is a UUIDv7 and `time` the real (not the business) time of its commit."""

    specversion: Literal["1.0"] = "1.0"
    id: str
    source: str
    type: str
    subject: str
    time: Instant
    dataschema: str
    datacontenttype: Literal["application/json"] = "application/json"
    correlationid: str
    causationid: str | None = None
    partitionkey: str
    traceparent: str | None = None
    data: Data[P]

    @property
    def version(self) -> int:
        """The schema version that `dataschema` ends with; 0 when it names none."""
        _, _, version = self.dataschema.rpartition("/")
        return int(version) if version.isdecimal() and len(version) < 10 else 0

    def encode(self) -> bytes:
        """The exact bytes that go on the wire."""
        return self.__pydantic_serializer__.to_json(self, exclude_none=True)


RawEvent = Event[dict[str, Any]]
"""An event whose body is still plain JSON: of any type and version."""
