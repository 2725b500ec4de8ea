"""Navigation: five groups, each with what exists of it and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

ENTRIES_MAX: Final = 5


@dataclass(frozen=True, slots=True)
class Entry:
    """One page that the navigation leads to."""

    label: str
    href: str


@dataclass(frozen=True, slots=True)
class Group:
    """Pages that belong together; the first is where its tab on a phone leads. `icon` is one of the sprite's."""

    label: str
    icon: str
    entries: Sequence[Entry]


GROUPS: Final = (
    Group("Backbone", "backbone", (Entry("Readiness board", "/"),)),
    Group("Money", "money", (Entry("Money readiness", "/?lane=money"),)),
    Group("Platform", "platform", (Entry("Platform readiness", "/?lane=platform"),)),
    Group("Tasks", "tasks", (Entry("Task readiness", "/?lane=tasks"),)),
    Group("Audit", "audit", (Entry("Audit readiness", "/?lane=audit"),)),
)
if any(len(group.entries) > ENTRIES_MAX for group in GROUPS):
    raise TypeError(f"a group of the navigation has {ENTRIES_MAX} entries at most")
