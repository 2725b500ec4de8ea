"""Forms: what a member of staff asks of a task, as the request that the tasks service takes.

A form carries the version that was on the screen, so that nobody overwrites what they have not seen, and a key of its
own, so that a second click does nothing twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal
from uuid import UUID

import orjson
from contracts.tasks import KINDS

Verb = Literal["claim", "block", "unblock", "complete"]
VERBS: Final[tuple[Verb, ...]] = ("claim", "block", "unblock", "complete")
WRITE_SCOPE: Final = "tasks:write"
TEXT_MAX_CHARACTERS: Final = 200
NOTE_MAX_CHARACTERS: Final = 2_000
_SAID: Final[Mapping[Verb, str]] = {
    "claim": "Claimed: the task is yours.",
    "block": "Blocked: the reason stands on the task.",
    "unblock": "Unblocked: the task can go on.",
    "complete": "Completed with its outcome.",
}


class FormRefusedError(ValueError):
    """The form is not one of ours; the message says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Choice:
    """One option of a select."""

    code: str
    words: str


@dataclass(frozen=True, slots=True)
class Actions:
    """What may be done to a task now. `primary` is the next legal action, the one solid button of the page."""

    verbs: tuple[Verb, ...]
    primary: Verb | None
    blocks: tuple[Choice, ...]
    outcomes: tuple[Choice, ...]


@dataclass(frozen=True, slots=True)
class TaskRequest:
    """What is sent to the tasks service."""

    target: str
    headers: Mapping[str, str]
    body: bytes | None


def said(verb: Verb) -> str:
    """What is told once it is done."""
    return _SAID[verb]


def actions(task: Mapping[str, Any], *, may_write: bool) -> Actions:
    """What may be done to the task as it stands."""
    kind = KINDS.get(task["kind"])
    if not may_write or kind is None or task["state"] not in {"open", "claimed", "in_progress"}:
        return Actions((), None, (), ())
    blocked = task["blocked"]
    forbidden = set(blocked["forbids"]) if blocked else set()
    outcomes = tuple(Choice(code, words) for code, words in kind.outcomes.items() if code not in forbidden)
    # What names a condition is blocked by the service that knows it.
    blocks = tuple(Choice(code, rule.text) for code, rule in kind.blocked.items() if not rule.condition)
    verbs: tuple[Verb, ...] = ("complete",)
    verbs = ("claim", *verbs) if task["owner"] is None else verbs
    verbs = (*verbs, "unblock" if blocked else "block")
    primary: Verb = "claim" if task["owner"] is None else "unblock" if blocked else "complete"
    return Actions(tuple(sorted(verbs, key=lambda verb: verb != primary)), primary, blocks, outcomes)


def request_of(verb: Verb, form: Mapping[str, Any]) -> TaskRequest:
    """The request that a form makes. Raises FormRefusedError."""
    task_id, version, key = _text(form, "task_id"), _text(form, "version"), _text(form, "key")
    try:
        task_id = str(UUID(task_id))
    except ValueError:
        raise FormRefusedError("It does not say which task.") from None
    if not version.isdecimal() or not key:
        raise FormRefusedError("It does not say which version of the task was on the screen.")
    headers = {"If-Match": f'"{version}"', "Idempotency-Key": key, "Content-Type": "application/json"}
    body = _body(verb, form)
    return TaskRequest(f"/tasks/{task_id}/{verb}", headers, None if body is None else orjson.dumps(body))


def _body(verb: Verb, form: Mapping[str, Any]) -> dict[str, Any] | None:
    match verb:
        case "claim":
            return None
        case "unblock":
            return _given(reason=_text(form, "reason", TEXT_MAX_CHARACTERS))
        case "block":
            return _given(code=_code(form), text=_text(form, "text", TEXT_MAX_CHARACTERS))
        case "complete":
            return _given(code=_code(form), note=_text(form, "note", NOTE_MAX_CHARACTERS))


def _code(form: Mapping[str, Any]) -> str:
    code = _text(form, "code")
    if not code:
        raise FormRefusedError("Choose a reason from the list.")
    return code


def _given(**values: str) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value}


def _text(form: Mapping[str, Any], name: str, most: int = 100) -> str:
    value = form.get(name, "")
    if not isinstance(value, str):
        raise FormRefusedError("It holds a file where text is asked for.")
    text = value.replace("\r\n", "\n").strip()
    if len(text) > most:
        raise FormRefusedError(f"{most} characters are allowed there, {len(text)} were given.")
    return text
