"""The event type registry: one class, one place.

Topic, key, sentence, schema, golden files and documentation of a type all derive from its one declaration. The
registry asserts its own completeness when `contracts` is imported (`assert_complete`).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeVar

from pydantic import BaseModel, ValidationError

from contracts.envelope import Data, Event, Payload, RawEvent
from contracts.sentences import Sentence, unreadable_path
from contracts.topics import BY_NAME, Topic

PayloadT = TypeVar("PayloadT", bound=Payload)
ModelT = TypeVar("ModelT", bound=BaseModel)
ReplayClass = Literal["safe", "guarded", "unsafe"]
SCHEMA_PREFIX: Final = "urn:backbone:event:"
DEAD_LETTERED: Final = "message.dead_lettered"
_ERROR_LIMIT_CHARACTERS: Final = 500
_TYPE_NAME: Final = re.compile(r"[a-z]+(_[a-z]+)*(\.[a-z]+(_[a-z]+)*)+")
# Without dots: Kafka's metrics take a dot and an underscore for the same.
_TOPIC_NAME: Final = re.compile(r"[a-z]+(-[a-z]+)*")


@dataclass(frozen=True, slots=True)
class EventType:
    """What is declared about one type and version.

    `technical` types are counted by the audit log and not recorded. `event` and `data` are the classes of a whole
    event of this type and of its data.
    """

    name: str
    version: int
    topics: tuple[Topic, ...]
    entity: str
    sentence: Sentence
    payload: type[Payload]
    event: type[Event[Payload]]
    data: type[Data[Payload]]
    technical: bool
    replay: ReplayClass
    dataschema: str


class UnreadableEventError(ValueError):
    """The bytes are not an event of ours: no JSON, no envelope, or a body that its schema refuses."""


class UnknownTypeError(LookupError):
    """No such event type is registered."""


class UnknownVersionError(LookupError):
    """The event type is registered, this version of it is not."""


class IncompleteRegistryError(TypeError):
    """The registry contradicts itself; each sentence of the message names one fault."""


_set: Final = object.__setattr__
_types: dict[tuple[str, int], EventType] = {}
_by_payload: dict[type[Payload], EventType] = {}
_by_dataschema: dict[str, EventType] = {}


def declare(
    payload: type[Payload],
    name: str,
    *,
    version: int,
    topic: Topic | tuple[Topic, ...],
    entity: str,
    sentence: str,
    technical: bool = False,
    replay: ReplayClass = "safe",
) -> EventType:
    """The declaration of one type and version, checked by itself. Raises ValueError when it is incomplete."""
    topics = topic if isinstance(topic, tuple) else (topic,)
    label = f"{name}/{version}"
    if not _TYPE_NAME.fullmatch(name):
        raise ValueError(f"{label}: a type is named <entity>.<past participle>, in lower case")
    if version < 1:
        raise ValueError(f"{label}: versions count from 1")
    if not topics or any(BY_NAME.get(each.name) is not each for each in topics):
        raise ValueError(f"{label} names a topic that the topic registry does not hold")
    if not payload.__doc__ or payload.__doc__ == Payload.__doc__:
        raise ValueError(f"{label} has no docstring")
    compiled = Sentence(sentence)
    event, data = Event[payload], Data[payload]  # type: ignore[valid-type]
    for path in compiled.paths:
        fault = unreadable_path(data, path)
        if fault:
            raise ValueError(f"{label}: the sentence reads {'.'.join(path)!r}, {fault}")
    return EventType(
        name, version, topics, entity, compiled, payload, event, data, technical, replay, f"{SCHEMA_PREFIX}{label}"
    )


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
    """Register a payload class as one version of the event type `name`. Raises ValueError when it is incomplete."""

    def register(payload: type[PayloadT]) -> type[PayloadT]:
        if (name, version) in _types:
            raise ValueError(f"{name}/{version} is declared twice")
        declared = declare(
            payload,
            name,
            version=version,
            topic=topic,
            entity=entity,
            sentence=sentence,
            technical=technical,
            replay=replay,
        )
        _types[name, version] = declared
        _by_payload[payload] = declared
        _by_dataschema[declared.dataschema] = declared
        return payload

    return register


def assert_complete(topics: Sequence[Topic], types: Sequence[EventType]) -> None:
    """Raise IncompleteRegistryError unless topics and types name each other without a gap."""
    faults = [f"{topic.name} has no owner" for topic in topics if not topic.owner]
    faults += [f"{topic.name} is not kebab-case" for topic in topics if not _TOPIC_NAME.fullmatch(topic.name)]
    faults += [f"{name} is registered twice" for name, times in Counter(t.name for t in topics).items() if times > 1]
    carried = {topic.name: {each.name for each in types if topic in each.topics} for topic in topics}
    faults += [f"{name} carries no event type" for name, names in carried.items() if not names]
    for service in sorted({topic.owner for topic in topics if topic.owner}):
        own = f"{service}-events"
        if own not in carried:
            faults.append(f"{service} owns topics but has no topic {own}")
        elif DEAD_LETTERED not in carried[own]:
            faults.append(f"{own} does not carry {DEAD_LETTERED}")
    for each in types:
        faults += [f"{each.dataschema} is on {t.name}, which is not registered" for t in each.topics if t not in topics]
    for name in sorted({each.name for each in types}):
        versions = sorted(each.version for each in types if each.name == name)
        if versions != list(range(versions[0], versions[0] + len(versions))):
            faults.append(f"{name} has versions {versions}: one in between is missing")
    if faults:
        raise IncompleteRegistryError("; ".join(faults))


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


def _unreadable(error: ValidationError) -> UnreadableEventError:
    # Without the input: an error text ends up in logs, and the event may hold personal data.
    told = "; ".join(
        f"{'.'.join(map(str, each['loc']))}: {each['msg']}" if each["loc"] else each["msg"]
        for each in error.errors(include_url=False, include_context=False, include_input=False)
    )
    return UnreadableEventError(told[:_ERROR_LIMIT_CHARACTERS])


def decode(value: bytes) -> RawEvent:
    """Read the envelope, ignoring fields it does not know; of a key given twice the last one counts.

    Raises UnreadableEventError when the bytes are not an event of ours, whatever they are.
    """
    try:
        event: RawEvent = RawEvent.__pydantic_validator__.validate_json(value, extra="ignore")
    except ValidationError as error:
        raise _unreadable(error) from None
    return event


def read_body(declared: EventType, body: dict[str, Any]) -> Payload:
    """Read a body by its declared schema, ignoring fields it does not know. Raises UnreadableEventError."""
    try:
        read: Payload = declared.payload.__pydantic_validator__.validate_python(body, extra="ignore")
    except ValidationError as error:
        raise _unreadable(error) from None
    return read


def typed(raw: RawEvent) -> Event[Payload]:
    """Read the body too. Raises UnknownTypeError, UnknownVersionError or UnreadableEventError."""
    declared = _by_dataschema.get(raw.dataschema)
    if declared is None or declared.name != raw.type:
        declared = lookup(raw.type, raw.version)
    body = read_body(declared, raw.data.body)
    return _copied(declared.event, raw, data=_copied(declared.data, raw.data, body=body))


def _copied(kind: type[ModelT], model: BaseModel, **changes: object) -> ModelT:
    """What model_construct does, in a twentieth of its time: the values were validated when the envelope was read."""
    copy = kind.__new__(kind)
    _set(copy, "__dict__", {**model.__dict__, **changes})
    _set(copy, "__pydantic_fields_set__", model.__pydantic_fields_set__)
    _set(copy, "__pydantic_extra__", None)
    _set(copy, "__pydantic_private__", None)
    return copy
