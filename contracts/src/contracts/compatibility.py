"""Whether everything that one schema's writers write is accepted by another schema's readers.

An exact checker for the part of JSON Schema that event types use. It refuses what it does not know instead of
guessing, and where two schemas cannot be compared (two different patterns) it says that they are not shown to fit.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from contracts.schemas import Schema, writer

_ANNOTATIONS: Final = {"$defs", "$id", "$schema", "default", "deprecated", "description", "examples", "title"}
_LOWER: Final = {"integer": "minimum", "string": "minLength", "array": "minItems"}
_UPPER: Final = {"integer": "maximum", "string": "maxLength", "array": "maxItems"}
_KNOWN: Final = {
    "object": {"properties", "required", "additionalProperties"},
    "array": {"items", "minItems", "maxItems"},
    "string": {"minLength", "maxLength", "pattern", "format"},
    "integer": {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"},
    "boolean": set[str](),
    "null": set[str](),
}
_DEPTH_LIMIT: Final = 40
_SCALARS: Final = {str: "string", bool: "boolean", int: "integer", type(None): "null"}


class UnknownSchemaError(ValueError):
    """A schema uses what this checker does not know, and what no event may use without teaching it first."""


def incompatibilities(older: Schema, newer: Schema) -> tuple[str, ...]:
    """Why two published schemas of one version do not fit, both ways; empty when they do.

    Backward: readers of the newer one read what was written under the older; forward: the other way round.
    """
    backward = [f"readers of the new schema: {each}" for each in misfits(writer(older), newer)]
    forward = [f"readers of the published schema: {each}" for each in misfits(writer(newer), older)]
    return (*backward, *forward)


def misfits(written: Schema, read: Schema) -> tuple[str, ...]:
    """Where a value that fits the schema `written` need not fit the schema `read`; empty when it always does."""
    return tuple(_Comparison(written, read).schemas("event", written, read))


def structure(schema: Any) -> Any:
    """The schema without what only describes it: equal structures accept equal values."""
    if isinstance(schema, list):
        return [structure(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    kept: Schema = {}
    for key, value in schema.items():
        if key in ("properties", "$defs"):
            kept[key] = {name: structure(each) for name, each in value.items()}
        elif key == "default" or key not in _ANNOTATIONS:
            kept[key] = value if key in ("default", "const", "enum", "required") else structure(value)
    return kept


class _Comparison:
    """One comparison of two documents, each with its own definitions."""

    def __init__(self, written: Schema, read: Schema) -> None:
        self.written_definitions = written.get("$defs", {})
        self.read_definitions = read.get("$defs", {})

    def schemas(self, path: str, written: Schema, read: Schema) -> Iterator[str]:
        if path.count(".") + path.count("[]") > _DEPTH_LIMIT:
            raise UnknownSchemaError(f"{path[:60]}... is nested too deeply: recursive types are not known")
        accepted = _alternatives(read, self.read_definitions)
        for each in _alternatives(written, self.written_definitions):
            yield from self.alternative(path, each, accepted)

    def alternative(self, path: str, written: Schema, accepted: list[Schema]) -> Iterator[str]:
        """The misfits of one written alternative against everything that is read."""
        if any(not each for each in accepted):
            return
        if not written:
            yield f"{path} may hold anything, which is not read"
        elif "const" in written:
            if not any(_accepts(each, written["const"]) for each in accepted):
                yield f"{path} may be {written['const']!r}, which is not read"
        else:
            same = [each for each in accepted if each.get("type") == written["type"] and "const" not in each]
            if not same:
                yield f"{path} may be any {written['type']}, which is not read"
            elif len(same) > 1:
                raise UnknownSchemaError(f"{path} has several alternatives of the type {written['type']}")
            else:
                yield from self.alike(path, written, same[0])

    def alike(self, path: str, written: Schema, read: Schema) -> Iterator[str]:
        """The misfits of two schemas of the same type."""
        match written["type"]:
            case "object":
                yield from self.objects(path, written, read)
            case "array":
                yield from _bounds(path, written, read)
                yield from self.schemas(f"{path}[]", written.get("items", {}), read.get("items", {}))
            case _:
                yield from _bounds(path, written, read)
                for key in ("pattern", "format"):
                    if key in read and read[key] != written.get(key):
                        yield f"{path} is not shown to keep the {key} {read[key]!r}"

    def objects(self, path: str, written: Schema, read: Schema) -> Iterator[str]:
        fields, known = written.get("properties", {}), read.get("properties", {})
        others, open_to = written.get("additionalProperties", True), read.get("additionalProperties", True)
        for name in read.get("required", ()):
            if name not in written.get("required", ()):
                yield f"{path}.{name} may be missing"
        for name, field in fields.items():
            if name in known:
                yield from self.schemas(f"{path}.{name}", field, known[name])
            elif open_to is False:
                yield f"{path}.{name} is not read"
            elif open_to is not True:
                yield from self.schemas(f"{path}.{name}", field, open_to)
        if others is False:
            return
        for name in known.keys() - fields.keys():
            yield from self.schemas(f"{path}.{name}", _anything(others), known[name])
        if open_to is False:
            yield f"{path} may hold fields that are not read"
        else:
            yield from self.schemas(f"{path}.*", _anything(others), _anything(open_to))


def _anything(schema: Schema | bool) -> Schema:
    return schema if isinstance(schema, dict) else {}


def _alternatives(schema: Schema, definitions: Schema) -> list[Schema]:
    """The schema as alternatives without references: one type or one constant each, {} for anything."""
    bare = {key: value for key, value in schema.items() if key not in _ANNOTATIONS}
    if "$ref" in bare:
        _only(bare, {"$ref"})
        return _alternatives(definitions[bare["$ref"].removeprefix("#/$defs/")], definitions)
    if "anyOf" in bare:
        _only(bare, {"anyOf"})
        return [each for part in bare["anyOf"] for each in _alternatives(part, definitions)]
    if "enum" in bare or "const" in bare:
        _only(bare, {"enum", "const", "type"})
        values = bare.get("enum", [bare.get("const")])
        if not all(type(value) in _SCALARS for value in values):
            raise UnknownSchemaError(f"a constant is neither text, whole number, boolean nor null: {values!r}")
        return [{"const": value} for value in values]
    if not bare:
        return [{}]
    if not isinstance(bare.get("type"), str) or bare["type"] not in _KNOWN:
        raise UnknownSchemaError(f"the type {bare.get('type')!r} is not allowed in an event")
    _only(bare, _KNOWN[bare["type"]] | {"type"})
    return [{"const": value} for value in (True, False)] if bare["type"] == "boolean" else [bare]


def _only(schema: Schema, known: set[str]) -> None:
    if unknown := sorted(schema.keys() - known):
        raise UnknownSchemaError(f"the keyword {', '.join(unknown)} is not known")


def _bounds(path: str, written: Schema, read: Schema) -> Iterator[str]:
    kind = read["type"]
    if kind not in _LOWER:
        return
    lowest, least = _lowest(written, kind), _lowest(read, kind)
    if least is not None and (lowest is None or lowest < least):
        yield f"{path} may be below {_LOWER[kind]} {least}"
    highest, most = _highest(written, kind), _highest(read, kind)
    if most is not None and (highest is None or highest > most):
        yield f"{path} may be above {_UPPER[kind]} {most}"


def _lowest(schema: Schema, kind: str) -> int | None:
    """The lowest value (or length) that the schema allows; None without a limit."""
    limits = [schema[key] + step for key, step in ((_LOWER[kind], 0), ("exclusiveMinimum", 1)) if key in schema]
    return max(limits, default=None if kind == "integer" else 0)


def _highest(schema: Schema, kind: str) -> int | None:
    limits = [schema[key] - step for key, step in ((_UPPER[kind], 0), ("exclusiveMaximum", 1)) if key in schema]
    return min(limits, default=None)


def _accepts(schema: Schema, value: str | int | bool | None) -> bool:
    """Whether one alternative accepts a constant."""
    if "const" in schema:
        return type(schema["const"]) is type(value) and schema["const"] == value
    kind = _SCALARS[type(value)]
    if schema["type"] != kind:
        return False
    if "format" in schema:
        raise UnknownSchemaError(f"a constant is compared with the format {schema['format']!r}")
    if kind not in _LOWER:
        return True
    size = len(value) if isinstance(value, str) else int(value or 0)
    lowest, highest = _lowest(schema, kind), _highest(schema, kind)
    within = (lowest is None or size >= lowest) and (highest is None or size <= highest)
    return within and ("pattern" not in schema or re.search(schema["pattern"], str(value)) is not None)
