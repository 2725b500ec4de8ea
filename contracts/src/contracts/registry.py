"""The event type registry: one class, one place.

Topic, key, sentence, schema, golden example and documentation of a type all derive from its one declaration.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeVar

from pydantic import ValidationError

from contracts.envelope import Data, Event, Payload, RawEvent
from contracts.sentences import Sentence
from contracts.topics import BY_NAME, Topic

PayloadT = TypeVar("PayloadT", bound=Payload)
ReplayClass = Literal["safe", "guarded", "unsafe"]
SCHEMA_PREFIX: Final = "urn:backbone:event:"


@dataclass(frozen=True, slots=True)
class EventType:
    """What is declared about one type and version.

    `technical` types are counted by the audit log and not recorded.
    """

    name: str
    version: int
    topics: tuple[Topic, ...]
    entity: str
    sentence: Sentence
    payload: type[Payload]
    technical: bool
    replay: ReplayClass

    @property
    def dataschema(self) -> str:
        return f"{SCHEMA_PREFIX}{self.name}/{self.version}"


class UnreadableEventError(ValueError):
    """The bytes are not an event of ours: no JSON, no envelope, or a body that its schema refuses."""


class UnknownTypeError(LookupError):
    """No such event type is registered."""


class UnknownVersionError(LookupError):
    """The event type is registered, this version of it is not."""


_types: dict[tuple[str, int], EventType] = {}
_by_payload: dict[type[Payload], EventType] = {}


def event_type(
    name: str,
    *,
    version: int,
    topic: Topic | tuple[Topic, ...],
    entity: str,
    sentence: str,
    technical: bool = False,
    replay: ReplayClass = "safe",
) -> Callable[[type[PayloadT]], type[PayloadT]]:
    """Declare a payload class as one version of the event type `name`. Raises ValueError when it is incomplete."""
    topics = topic if isinstance(topic, tuple) else (topic,)

    def register(payload: type[PayloadT]) -> type[PayloadT]:
        if (name, version) in _types:
            raise ValueError(f"{name}/{version} is declared twice")
        if not topics or any(BY_NAME.get(each.name) is not each for each in topics):
            raise ValueError(f"{name}/{version} names a topic that the topic registry does not hold")
        if not payload.__doc__:
            raise ValueError(f"{name}/{version} has no docstring")
        declared = EventType(name, version, topics, entity, Sentence(sentence), payload, technical, replay)
        _types[name, version] = declared
        _by_payload[payload] = declared
        return payload

    return register


def all_types() -> tuple[EventType, ...]:
    """Every registered type, sorted by name and version."""
    return tuple(_types[key] for key in sorted(_types))


def type_of(payload: type[Payload]) -> EventType:
    """The declaration of a payload class. Raises KeyError for a class that is no event type."""
    return _by_payload[payload]


def lookup(name: str, version: int) -> EventType:
    """The declaration of a type and version. Raises UnknownTypeError or UnknownVersionError."""
    declared = _types.get((name, version))
    if declared is not None:
        return declared
    if any(known == name for known, _ in _types):
        raise UnknownVersionError(f"{name}/{version}")
    raise UnknownTypeError(name)


def decode(value: bytes) -> RawEvent:
    """Read the envelope. Raises UnreadableEventError when the bytes are not an event of ours."""
    try:
        return RawEvent.model_validate_json(value)
    except (ValidationError, RecursionError) as error:
        raise UnreadableEventError(str(error)[:500]) from None


def read_body(declared: EventType, body: dict[str, Any]) -> Payload:
    """Read a body by its declared schema, ignoring fields it does not know. Raises UnreadableEventError."""
    try:
        return declared.payload.model_validate(body, extra="ignore")
    except (ValidationError, RecursionError) as error:
        raise UnreadableEventError(str(error)[:500]) from None


def typed(raw: RawEvent) -> Event[Payload]:
    """Read the body too. Raises UnknownTypeError, UnknownVersionError or UnreadableEventError."""
    body = read_body(lookup(raw.type, raw.version), raw.data.body)
    data = Data[Payload].model_construct(**{**dict(raw.data), "body": body})
    return Event[Payload].model_construct(**{**dict(raw), "data": data})
