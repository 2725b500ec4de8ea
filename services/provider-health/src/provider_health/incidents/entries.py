"""An entry of an incident's timeline, before it is stored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from contracts.envelope import Actor

Kind = Literal[
    "opened",
    "symptom",
    "relapsed",
    "escalated",
    "recovered",
    "acknowledged",
    "mitigated",
    "resolved",
    "reviewed",
    "assigned",
    "note",
    "pause",
    "replay",
    "task",
]


@dataclass(frozen=True, slots=True)
class Entry:
    """What happened, in words; `reference` is the pause, replay or task meant; `notice`: people are to be told."""

    kind: Kind
    words: str
    actor: Actor
    reference: str | None = None
    notice: bool = False
