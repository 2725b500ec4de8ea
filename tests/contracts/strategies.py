"""Hypothesis strategies that follow from the event models: any event of any type, and any plain JSON."""

from __future__ import annotations

import types
from datetime import date, datetime, timedelta, timezone
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from contracts.envelope import LARGEST_INTEGER, Event, Payload
from contracts.registry import EventType
from hypothesis import strategies as st
from pydantic import BaseModel, JsonValue
from pydantic.fields import FieldInfo

INTEGERS = st.integers(-LARGEST_INTEGER, LARGEST_INTEGER)
OFFSETS = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
# A day inside what UTC can hold, so that every offset fits.
INSTANTS = st.datetimes(min_value=datetime(1, 1, 2), max_value=datetime(9999, 12, 30), timezones=OFFSETS)  # noqa: DTZ001
PLAIN_JSON = st.recursive(
    st.none() | st.booleans() | INTEGERS | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
SNAPSHOTS = st.dictionaries(st.text(), PLAIN_JSON, max_size=4)


def events_of(declared: EventType) -> st.SearchStrategy[Event[Payload]]:
    """Any event of one type, with this type's name and schema."""
    return instances_of(declared.event, type=st.just(declared.name), dataschema=st.just(declared.dataschema))


def instances_of(model: type[BaseModel], **given: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Any instance of a wire model, with some fields given."""
    fields = {name: _field(field) for name, field in model.model_fields.items()}
    return st.builds(model, **{**fields, **given})


def _field(field: FieldInfo) -> st.SearchStrategy[Any]:
    return _values(field.annotation, tuple(field.metadata))


def _values(kind: Any, metadata: tuple[Any, ...] = ()) -> st.SearchStrategy[Any]:
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return _values(arguments[0], (*arguments[1:], *metadata))
    if origin in (Union, types.UnionType):
        return st.one_of([_values(each) for each in arguments])
    if origin is Literal:
        return st.sampled_from(arguments)
    if origin is tuple:
        return st.lists(_values(arguments[0]), max_size=3).map(tuple)
    if origin is dict:
        values = PLAIN_JSON if arguments[1] is JsonValue else _values(arguments[1])
        return st.dictionaries(st.text(), values, max_size=4)
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return instances_of(kind)
    return _scalars(kind, _limits(metadata))


def _limits(metadata: tuple[Any, ...]) -> dict[str, Any]:
    """The limits of a field by name, whichever form pydantic keeps them in."""
    limits: dict[str, Any] = {}
    for each in metadata:
        for constraint in each.metadata if isinstance(each, FieldInfo) else [each]:
            for name in ("gt", "ge", "lt", "le", "min_length", "max_length", "pattern"):
                value = getattr(constraint, name, None)
                if value is not None:
                    limits[name] = value
    return limits


def _scalars(kind: Any, limits: dict[str, Any]) -> st.SearchStrategy[Any]:
    if kind is types.NoneType:
        return st.none()
    if kind is bool:
        return st.booleans()
    if kind is datetime:
        return INSTANTS
    if kind is date:
        return st.dates()
    if kind is int:
        return st.integers(max(limits["ge"], limits.get("gt", limits["ge"] - 1) + 1), limits["le"])
    if kind is str and "pattern" in limits:
        longest = limits.get("max_length", 100)
        return st.from_regex(limits["pattern"].replace("$", r"\Z")).filter(lambda text: len(text) <= longest)
    if kind is str:
        return st.text(min_size=limits.get("min_length", 0), max_size=limits.get("max_length"))
    raise TypeError(f"no strategy for {kind}: add one")
