"""What may become of a published event type: each kind of change, in both directions.

jsonsubschema, which was written by others for any JSON Schema, is asked for a second opinion on every one of them.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pytest
from contracts.compatibility import UnknownSchemaError, incompatibilities, misfits, structure
from contracts.envelope import Flag, Instant, Integer, Money, Payload, Snapshot, Wire
from contracts.registry import all_types, declare
from contracts.schemas import Schema, reader, writer
from contracts.topics import PAYMENTS_EVENTS
from hypothesis import Phase, given, settings
from jsonsubschema import isSubschema
from pydantic import BaseModel, Field, ValidationError, create_model

from tests.contracts.strategies import instances_of

Fields = dict[str, Any]
REQUIRED: Any = ...


class Slot(Wire):
    """A time at a place."""

    place: str


class RoomierSlot(Wire):
    """A time at a place, with a note."""

    place: str
    note: str | None = None


class StricterSlot(Wire):
    """A time at a place, for so many."""

    place: str
    seats: Integer


def body_with(**fields: Any) -> type[Payload]:
    """The body of an event type with these fields, besides one that never changes."""
    return create_model("Body", __base__=Payload, __doc__="A body.", id=(str, REQUIRED), **fields)


def published(**fields: Any) -> Schema:
    """The published schema of an event type with such a body."""
    payload = body_with(**fields)
    return reader(declare(payload, "class.moved", version=1, topic=PAYMENTS_EVENTS, entity="class", sentence="{actor}"))


SHORT = Annotated[str, Field(max_length=10)]
COUNT = Annotated[int, Field(strict=True, ge=0, le=10)]

# name: fields before, fields after, does backward fit, does forward fit
CHANGES: dict[str, tuple[Fields, Fields, bool, bool]] = {
    "nothing": ({"a": (str, REQUIRED)}, {"a": (str, REQUIRED)}, True, True),
    "optional field added": ({}, {"a": (str | None, None)}, True, True),
    "field with a default added": ({}, {"a": (str, "none")}, True, True),
    "list with a default added": ({}, {"a": (tuple[str, ...], ())}, True, True),
    "required field added": ({}, {"a": (str, REQUIRED)}, False, True),
    "optional field removed": ({"a": (str | None, None)}, {}, True, True),
    "field with a default removed": ({"a": (str, "none")}, {}, True, True),
    "required field removed": ({"a": (str, REQUIRED)}, {}, True, False),
    "renamed": ({"a": (str, REQUIRED)}, {"b": (str, REQUIRED)}, False, False),
    "type changed": ({"a": (str, REQUIRED)}, {"a": (Integer, REQUIRED)}, False, False),
    "type of an optional field changed": ({"a": (str | None, None)}, {"a": (Flag | None, None)}, False, False),
    "default added to a required field": ({"a": (str, REQUIRED)}, {"a": (str, "none")}, True, True),
    "default taken from a field": ({"a": (str, "none")}, {"a": (str, REQUIRED)}, True, True),
    "default changed": ({"a": (str, "none")}, {"a": (str, "some")}, True, True),
    "made nullable": ({"a": (str, REQUIRED)}, {"a": (str | None, None)}, True, False),
    "made not nullable": ({"a": (str | None, None)}, {"a": (str, REQUIRED)}, False, True),
    "bound widened": ({"a": (COUNT, REQUIRED)}, {"a": (Integer, REQUIRED)}, True, False),
    "bound narrowed": ({"a": (Integer, REQUIRED)}, {"a": (COUNT, REQUIRED)}, False, True),
    "length limited": ({"a": (str, REQUIRED)}, {"a": (SHORT, REQUIRED)}, False, True),
    "enum value added": ({"a": (Literal["x"], REQUIRED)}, {"a": (Literal["x", "y"], REQUIRED)}, True, False),
    "enum value removed": ({"a": (Literal["x", "y"], REQUIRED)}, {"a": (Literal["x"], REQUIRED)}, False, True),
    "enum opened": ({"a": (Literal["x"], REQUIRED)}, {"a": (str, REQUIRED)}, True, False),
    "enum reordered": ({"a": (Literal["x", "y"], REQUIRED)}, {"a": (Literal["y", "x"], REQUIRED)}, True, True),
    "nested optional field added": ({"a": (Slot, REQUIRED)}, {"a": (RoomierSlot, REQUIRED)}, True, True),
    "nested required field added": ({"a": (Slot, REQUIRED)}, {"a": (StricterSlot, REQUIRED)}, False, True),
    "nested type changed": ({"a": (Slot, REQUIRED)}, {"a": (Money, REQUIRED)}, False, False),
    "array item changed": ({"a": (tuple[str, ...], ())}, {"a": (tuple[Integer, ...], ())}, False, False),
    "array item grew": ({"a": (tuple[Slot, ...], ())}, {"a": (tuple[RoomierSlot, ...], ())}, True, True),
    "array became one": ({"a": (tuple[str, ...], REQUIRED)}, {"a": (str, REQUIRED)}, False, False),
    "map value changed": ({"a": (dict[str, Integer], REQUIRED)}, {"a": (dict[str, str], REQUIRED)}, False, False),
    "map opened": ({"a": (dict[str, str], REQUIRED)}, {"a": (Snapshot, REQUIRED)}, True, False),
    "text became an instant": ({"a": (str, REQUIRED)}, {"a": (Instant, REQUIRED)}, False, True),
}
CHANGE = pytest.mark.parametrize(("before", "after", "backward", "forward"), CHANGES.values(), ids=CHANGES.keys())


@CHANGE
def test_each_kind_of_change_is_judged_both_ways(before: Fields, after: Fields, backward: bool, forward: bool) -> None:
    older, newer = published(**before), published(**after)

    assert (misfits(writer(older), newer) == ()) is backward
    assert (misfits(writer(newer), older) == ()) is forward
    assert (incompatibilities(older, newer) == ()) is (backward and forward)


def is_read(written: Payload, by: type[Payload]) -> bool:
    try:
        by.model_validate_json(written.model_dump_json(exclude_none=True), extra="ignore")
    except ValidationError:
        return False
    return True


def bodies_of(payload: type[Payload]) -> list[Payload]:
    """Many different bodies of one class, always the same ones."""
    bodies: list[Payload] = []

    @settings(max_examples=120, derandomize=True, database=None, deadline=None, phases=[Phase.generate])
    @given(body=instances_of(payload))
    def collect(body: Payload) -> None:
        bodies.append(body)

    collect()
    return bodies


@CHANGE
def test_the_judgement_is_what_the_classes_really_do(
    before: Fields, after: Fields, backward: bool, forward: bool
) -> None:
    older, newer = body_with(**before), body_with(**after)

    assert all(is_read(each, by=newer) for each in bodies_of(older)) is backward
    assert all(is_read(each, by=older) for each in bodies_of(newer)) is forward


def body_of(schema: Schema) -> Schema:
    """The body alone, without references: what jsonsubschema can compare in a moment."""
    return as_draft_4(schema["$defs"]["Body"], schema["$defs"])


def as_draft_4(schema: Schema, definitions: Schema) -> Schema:
    """The schema in the dialect that jsonsubschema knows: no references, no const, no numeric exclusive bounds."""
    if "$ref" in schema:
        return as_draft_4(definitions[schema["$ref"].removeprefix("#/$defs/")], definitions)
    plain = {key: value for key, value in schema.items() if key != "default"}
    if "const" in plain:
        plain["enum"] = [plain.pop("const")]
    for exclusive, inclusive, step in (("exclusiveMinimum", "minimum", 1), ("exclusiveMaximum", "maximum", -1)):
        if exclusive in plain:
            plain[inclusive] = plain.pop(exclusive) + step
    if "properties" in plain:
        plain["properties"] = {name: as_draft_4(each, definitions) for name, each in plain["properties"].items()}
    for key in ("items", "additionalProperties"):
        if isinstance(plain.get(key), dict):
            plain[key] = as_draft_4(plain[key], definitions)
    if "anyOf" in plain:
        plain["anyOf"] = [as_draft_4(each, definitions) for each in plain["anyOf"]]
    return plain


# jsonsubschema drops `format` where another writer might be stricter, so it has no opinion on instants.
NO_OPINION = {"text became an instant"}
SECOND_OPINIONS = {name: change for name, change in CHANGES.items() if name not in NO_OPINION}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(
    ("before", "after", "backward", "forward"), SECOND_OPINIONS.values(), ids=SECOND_OPINIONS.keys()
)
def test_an_independent_checker_agrees(before: Fields, after: Fields, backward: bool, forward: bool) -> None:
    older, newer = published(**before), published(**after)

    assert isSubschema(body_of(writer(older)), body_of(newer)) is backward
    assert isSubschema(body_of(writer(newer)), body_of(older)) is forward


def test_a_change_of_the_envelope_is_seen_too() -> None:
    older = published()
    newer = published()
    newer["required"].append("tenant")
    newer["properties"]["tenant"] = {"type": "string"}

    assert incompatibilities(older, newer) == ("readers of the new schema: event.tenant may be missing",)


def test_a_field_that_comes_back_as_another_type_breaks_the_first_release_though_not_the_last() -> None:
    first, second, third = published(a=(str | None, None)), published(), published(a=(Integer | None, None))

    assert incompatibilities(first, second) == ()
    assert incompatibilities(second, third) == ()
    assert incompatibilities(first, third) == (
        "readers of the new schema: event.data.body.a may be any string, which is not read",
        "readers of the published schema: event.data.body.a may be any integer, which is not read",
    )


@pytest.mark.parametrize("declared", all_types(), ids=lambda each: each.name)
def test_every_type_reads_what_it_writes(declared: Any) -> None:
    assert misfits(writer(reader(declared)), reader(declared)) == ()


class Chain(BaseModel):
    """A link that may hold another one."""

    next: Chain | None = None


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (float, "the type 'number' is not allowed"),
        (tuple[str, int], "keyword prefixItems is not known"),
        (Slot | Money, "several alternatives of the type object"),
        (Annotated[int, Field(multiple_of=5)], "keyword multipleOf is not known"),
        (set[str], "keyword uniqueItems is not known"),
        (Chain, "recursive types are not known"),
    ],
    ids=str,
)
def test_what_the_checker_does_not_know_it_refuses(kind: Any, said: str) -> None:
    schema = published(a=(kind, REQUIRED))
    with pytest.raises(UnknownSchemaError, match=said):
        misfits(writer(schema), schema)


def test_a_boolean_is_more_than_true() -> None:
    """Apart from the fine points below: jsonsubschema takes every boolean for true."""
    assert misfits({"type": "boolean"}, {"const": True}) == ("event may be False, which is not read",)


@pytest.mark.parametrize("value", [1.5, ["a"], {"a": 1}])
def test_a_constant_that_is_no_scalar_is_refused(value: object) -> None:
    with pytest.raises(UnknownSchemaError, match="a constant is neither"):
        misfits({"const": value}, {})


@pytest.mark.parametrize(
    ("written", "read", "fits"),
    [
        ({"const": 1}, {"type": "integer", "minimum": 1, "exclusiveMaximum": 2}, True),
        ({"const": 2}, {"type": "integer", "exclusiveMaximum": 2}, False),
        ({"const": True}, {"type": "integer"}, False),
        ({"const": True}, {"const": 1}, False),
        ({"const": "ab"}, {"type": "string", "maxLength": 1}, False),
        ({"const": "ab"}, {"type": "string", "pattern": "^a"}, True),
        ({"enum": [True, False]}, {"type": "boolean"}, True),
        ({"type": "boolean"}, {"enum": [True, False]}, True),
        ({"type": "string", "pattern": "^a"}, {"type": "string", "pattern": "^b"}, False),
        ({"type": "string", "pattern": "^a"}, {"type": "string"}, True),
        ({"type": "string"}, {"type": "string", "minLength": 0}, True),
        ({"type": "integer", "exclusiveMinimum": 0}, {"type": "integer", "minimum": 1}, True),
        ({"type": "array", "items": {"type": "string"}, "maxItems": 3}, {"type": "array", "maxItems": 4}, True),
        ({"type": "array"}, {"type": "array", "items": {"type": "string"}}, False),
        ({}, {}, True),
        ({}, {"type": "string"}, False),
        ({"type": "object"}, {"type": "object", "properties": {"a": {"type": "string"}}}, False),
        ({"type": "object"}, {"type": "object", "additionalProperties": False}, False),
        (
            {"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": False},
            {"type": "object", "additionalProperties": False},
            False,
        ),
        (
            {"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": False},
            {"type": "object", "additionalProperties": {"type": "string"}},
            True,
        ),
    ],
)
def test_fine_points_of_the_subset(written: Schema, read: Schema, fits: bool) -> None:
    assert (misfits(written, read) == ()) is fits
    assert isSubschema(as_draft_4(written, {}), as_draft_4(read, {})) is fits


def test_words_are_no_structure() -> None:
    plain = {"type": "object", "properties": {"title": {"type": "string", "description": "x"}}, "title": "A"}
    assert structure(plain) == {"type": "object", "properties": {"title": {"type": "string"}}}
