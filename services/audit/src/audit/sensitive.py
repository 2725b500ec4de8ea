"""Which records are sensitive: somebody other than their actor looks at each of them and says so. Data, in one table.

A condition names a place in an event's body and the values that make the record sensitive.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson
from contracts.events import AutomationPauseUpdated, OperationalTaskUpdated
from contracts.registry import type_of


@dataclass(frozen=True, slots=True)
class Sensitive:
    """One kind of sensitive record: where in the body which values stand, and why it matters, in words."""

    conditions: Sequence[tuple[str, frozenset[str]]]
    why: str


SENSITIVE: Final[Mapping[str, Sequence[Sensitive]]] = {
    type_of(AutomationPauseUpdated).name: (
        Sensitive([("change", frozenset({"released"}))], "Paused automation was let go before its time"),
    ),
    type_of(OperationalTaskUpdated).name: (
        Sensitive(
            [("change", frozenset({"completed"})), ("task.outcome.code", frozenset({"write_off"}))],
            "Money was written off",
        ),
    ),
}
"""By action."""
ACTIONS: Final = tuple(sorted(SENSITIVE))


def why_sensitive(action: str, value: bytes) -> str | None:
    """Why a record of this action with these exact bytes is sensitive; None where it is not."""
    kinds = SENSITIVE.get(action, ())
    if not kinds:
        return None
    body = orjson.loads(value)["data"]["body"]
    fitting = (kind for kind in kinds if all(_at(body, path) in values for path, values in kind.conditions))
    return next((kind.why for kind in fitting), None)


def _at(body: Any, path: str) -> Any:
    for part in path.split("."):
        body = body.get(part) if isinstance(body, dict) else None
    return body
