"""JSON Schemas of whole events: what a reader accepts and what a writer writes.

The reader's schema is the published one: open, so that a field added later harms nobody. The writer's follows from
it: closed, every field that is always written is required, and null is never written where it is the default,
because `Event.encode` leaves such a field out.
"""

from __future__ import annotations

from typing import Any, Final

from pydantic.json_schema import GenerateJsonSchema

from contracts.registry import EventType

Schema = dict[str, Any]
DIALECT: Final = "http://json-schema.org/draft-07/schema#"
"""Draft 7 is the newest that AsyncAPI names; every keyword used here means the same in 2020-12."""


class _Plain(GenerateJsonSchema):
    """Without a title for every field: they would only repeat the names."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002
        return False


def reader(declared: EventType) -> Schema:
    """The schema of the whole event, envelope included, as its readers accept it."""
    schema = _opened(declared.event.model_json_schema(mode="validation", schema_generator=_Plain))
    schema["properties"]["type"] = {"const": declared.name, "type": "string"}
    schema["properties"]["dataschema"] = {"const": declared.dataschema, "type": "string"}
    schema["description"] = declared.payload.__doc__
    schema["title"] = f"{declared.name}/{declared.version}"
    return {"$schema": DIALECT, "$id": declared.dataschema, **schema}


def writer(published: Schema) -> Schema:
    """The schema of what is written under a published reader's schema."""
    written = {key: value for key, value in published.items() if key != "$defs"}
    if "properties" in written:
        always = set(published.get("required", ()))
        always |= {name for name, field in written["properties"].items() if field.get("default") is not None}
        written["properties"] = {name: writer(_never_null(field)) for name, field in written["properties"].items()}
        written["required"] = [name for name in written["properties"] if name in always]
        written.setdefault("additionalProperties", False)
    for key in ("items", "additionalProperties"):
        if isinstance(written.get(key), dict):
            written[key] = writer(written[key])
    if "anyOf" in written:
        written["anyOf"] = [writer(each) for each in written["anyOf"]]
    if "$defs" in published:
        written["$defs"] = {name: writer(each) for name, each in published["$defs"].items()}
    return written


def _never_null(field: Schema) -> Schema:
    if field.get("default", ...) is not None or "anyOf" not in field:
        return field
    return {**field, "anyOf": [each for each in field["anyOf"] if each != {"type": "null"}]}


def _opened(node: Any) -> Any:
    """The schema with its objects open to fields that are not known yet."""
    if isinstance(node, list):
        return [_opened(each) for each in node]
    if not isinstance(node, dict):
        return node
    closed = "properties" in node and node.get("additionalProperties") is False
    return {key: _opened(value) for key, value in node.items() if not (closed and key == "additionalProperties")}
