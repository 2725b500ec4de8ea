"""Sentence templates for the audit log: what an owner reads.

`{actor}` inserts a field of the event, `{body.amount}` one of its body; `{reason: because {}}` inserts the text with
`{}` replaced and is left out when the field is empty; `{body.count:{} event(s)}` says `1 event` and `2 events`, and
`{body.dry_run:dry run of a }`, which does not insert the field, is said where that is true. A template knows the
envelope's fields and the body's, nothing more. Values are plain text; whoever shows them escapes them.
"""

from __future__ import annotations

import re
import types
from collections.abc import Mapping
from datetime import date
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

from pydantic import BaseModel

_PLURAL: Final = "(s)"
_PART: Final = re.compile(r"\{(?P<path>[a-z_][a-z0-9_.]*)(?::(?P<text>(?:[^{}]|\{\})*))?\}")
_SYMBOLS: Final = {"AUD": "A$", "NZD": "NZ$", "USD": "US$", "GBP": "£", "EUR": "€"}
_ZERO_DECIMAL: Final = frozenset(
    {"BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "VND", "VUV", "XAF", "XOF", "XPF"}
)
_THREE_DECIMAL: Final = frozenset({"BHD", "JOD", "KWD", "OMR", "TND"})


def decimals_of(currency: str) -> int:
    """How many decimals an amount in this currency has."""
    return 0 if currency in _ZERO_DECIMAL else 3 if currency in _THREE_DECIMAL else 2


def in_words(amount_minor: int, currency: str) -> str:
    """An amount as an owner reads it: `A$110.00`, `-A$5.00`, `¥` amounts without decimals as `JPY 500`."""
    decimals = decimals_of(currency)
    whole, part = divmod(abs(amount_minor), 10**decimals)
    digits = f"{whole:,}.{part:0{decimals}d}" if decimals else f"{whole:,}"
    symbol = _SYMBOLS.get(currency, f"{currency} ")
    return f"{'-' if amount_minor < 0 else ''}{symbol}{digits}"


def _on_one_line(text: str) -> str:
    """The text without line breaks, control and direction characters: nobody may forge a second sentence."""
    if text.isprintable():
        return text
    return " ".join("".join(each if each.isprintable() else " " for each in text).split())


def _plain(value: Any) -> str:
    if value.__class__ is str:  # most of them: the patterns below cost several times as much
        return _on_one_line(value)
    match value:
        case None:
            return ""
        case {"amount_minor": int(amount), "currency": str(currency)}:
            return in_words(amount, currency)
        case {"name": str(name)} if name:
            return _on_one_line(name)
        case {"type": str(kind), "id": str(identity)}:
            return _on_one_line(f"{kind.replace('_', ' ')} {identity}")
        case Mapping():
            return ""
        case bool():
            return "yes" if value else "no"
        case list() | tuple():
            return ", ".join(filter(None, map(_plain, value)))
        case _:
            return _on_one_line(str(value))


def unreadable_path(model: type[BaseModel], path: tuple[str, ...]) -> str:
    """Why a template may not read this path of the model; empty when it may."""
    kind: Any = model
    for name in path:
        if not _is_model(kind) or name not in kind.model_fields:
            return f"and {_named(kind)} has no field {name!r}"
        kind = _bare(kind.model_fields[name].annotation)
    return "" if _has_words(kind) else f"and {_named(kind)} has no words"


def _bare(annotation: Any) -> Any:
    """The annotation without its metadata and without null."""
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if get_origin(annotation) in (Union, types.UnionType):
        kinds = [each for each in get_args(annotation) if each is not types.NoneType]
        return _bare(kinds[0]) if len(kinds) == 1 else annotation
    return annotation


def _has_words(kind: Any) -> bool:
    if _is_model(kind):
        fields = kind.model_fields.keys()
        return any(words <= fields for words in ({"name"}, {"type", "id"}, {"amount_minor", "currency"}))
    if get_origin(kind) in (tuple, list):
        return _has_words(_bare(get_args(kind)[0]))
    return get_origin(kind) is Literal or (isinstance(kind, type) and issubclass(kind, str | int | date))


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _named(kind: Any) -> str:
    return getattr(kind, "__name__", None) or str(kind)


class Sentence:
    """One compiled template. Raises ValueError for a template that does not parse."""

    def __init__(self, template: str) -> None:
        self.template = template
        self.parts: list[tuple[str, tuple[str, ...], str, str]] = []
        end = 0
        for found in _PART.finditer(template):
            self._literal(template[end : found.start()])
            text = found["text"] if found["text"] is not None else "{}"
            one, several = text.replace(_PLURAL, ""), text.replace(_PLURAL, "s")
            self.parts.append(("", tuple(found["path"].split(".")), one, several))
            end = found.end()
        self._literal(template[end:])
        if not template.strip():
            raise ValueError("a sentence template may not be empty")

    def _literal(self, text: str) -> None:
        if "{" in text or "}" in text:
            raise ValueError(f"stray brace in sentence template {self.template!r}")
        if text:
            self.parts.append((text, (), "", ""))

    @property
    def paths(self) -> tuple[tuple[str, ...], ...]:
        """The fields that the template reads."""
        return tuple(path for _, path, _, _ in self.parts if path)

    def render(self, data: Mapping[str, Any]) -> str:
        """The sentence for an event's `data` as plain JSON (actor, entity, workflow, reason, body ...)."""
        out: list[str] = []
        for literal, path, one, several in self.parts:
            if not path:
                out.append(literal)
                continue
            value: Any = data
            for name in path:
                # The abstract class costs more than the look-up; what comes from JSON is a dict.
                value = value.get(name) if value.__class__ is dict or isinstance(value, Mapping) else None
            plain = _plain(value)
            if plain and (value is not False or "{}" in one):
                out.append((one if plain == "1" else several).replace("{}", plain))
        return "".join(out)
