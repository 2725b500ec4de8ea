"""The envelope: every message is one CloudEvents 1.0 event in structured JSON.

One Kafka value holds the whole event, so that the audit log can keep the exact bytes. Writing refuses what is not
declared; reading (`contracts.registry`) ignores what it does not know. Neither lets a float or an integer beyond
2^53 pass, so that every reader in every language sees the same numbers.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Final, Generic, Literal, Self, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    PlainSerializer,
    PlainValidator,
    SerializeAsAny,
    WithJsonSchema,
    model_validator,
)

CONTENT_TYPE: Final = "application/cloudevents+json"
LARGEST_INTEGER: Final = 2**53 - 1
ActorKind = Literal["staff", "provider", "consumer", "system"]


def _instant(value: object) -> datetime:
    if isinstance(value, str):
        if len(value) < len("2026-01-01T00:00:00Z") or value[10] not in "Tt":
            raise ValueError("an instant is written as 2026-01-01T00:00:00Z")
        value = datetime.fromisoformat(value)
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise ValueError("an instant is an aware datetime")
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise ValueError("an instant lies between the years 1 and 9999 in UTC") from None


def _rfc3339(value: datetime) -> str:
    # astimezone again: model_construct and model_copy validate nothing.
    return value.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _exact(value: Any) -> None:
    """Refuse floats, and integers that not every JSON reader keeps exactly, anywhere in a plain object or list."""
    for each in value.values() if value.__class__ is dict else value:
        kind = each.__class__
        if kind is str or each is None or kind is bool:
            continue
        if kind is dict or kind is list:
            _exact(each)
        elif kind is not int:
            raise ValueError(f"{kind.__name__} values are not allowed in an event")
        elif not -LARGEST_INTEGER <= each <= LARGEST_INTEGER:
            raise ValueError("integers beyond 2^53 are not allowed in an event")


Instant = Annotated[
    datetime,
    PlainValidator(_instant),
    PlainSerializer(_rfc3339, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
"""An aware instant, held in UTC and written with microseconds and a Z."""

Integer = Annotated[int, Field(strict=True, ge=-LARGEST_INTEGER, le=LARGEST_INTEGER)]
"""A whole number that every JSON reader keeps exactly; "1", 1.0 and true are none."""

Flag = Annotated[bool, Field(strict=True)]
"""True or false; "yes", "true" and 1 are neither."""

Text = Annotated[str, Field(min_length=1)]
"""Text that may not be empty."""

Snapshot = dict[str, JsonValue]
"""An entity's fields as plain JSON, nulls kept."""


class Wire(BaseModel):
    """A frozen value on the wire, with nothing in it that is not declared."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Payload(Wire):
    """The typed body of one event type. Construct one to write; `contracts.registry.typed` builds what was read.

    A field that may be null has null as its default: it is left out of the bytes when it is null.
    """


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

    amount_minor: Integer
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
    # By the value's own class: an Event[Payload] would otherwise write an empty body.
    body: SerializeAsAny[P]

    @model_validator(mode="after")
    def _is_exact(self) -> Self:
        if self.before is not None:
            _exact(self.before)
        if self.after is not None:
            _exact(self.after)
        if self.body.__class__ is dict:
            _exact(self.body)
        return self


def version_in(dataschema: str) -> int:
    """The schema version that `dataschema` ends with; 0 when it names none."""
    _, _, version = dataschema.rpartition("/")
    return int(version) if version.isdecimal() and version.isascii() and len(version) < 10 else 0


class Event(Wire, Generic[P]):
    """One CloudEvents 1.0 event; `id` is a UUIDv7 and `time` the real (not the business) time of its commit."""

    specversion: Literal["1.0"] = "1.0"
    id: Text
    source: Text
    type: Text
    subject: Text
    time: Instant
    dataschema: Text
    datacontenttype: Literal["application/json"] = "application/json"
    correlationid: Text
    causationid: Text | None = None
    partitionkey: Text
    traceparent: Text | None = None
    data: Data[P]

    @property
    def version(self) -> int:
        """The schema version that `dataschema` ends with; 0 when it names none."""
        return version_in(self.dataschema)

    def encode(self) -> bytes:
        """The exact bytes that go on the wire. Raises ValueError for text that is not Unicode (a lone surrogate)."""
        return self.__pydantic_serializer__.to_json(self, exclude_none=True)


RawEvent = Event[dict[str, Any]]
"""An event whose body is still plain JSON: of any type and version."""
