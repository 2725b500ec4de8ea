"""The chapters of the story, each a list of steps that are played in their order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from backbone.story.stage import Stage


@dataclass(frozen=True, slots=True)
class Step:
    """One step: what is told before it, and what is done and waited for. It raises where something else is seen."""

    title: str
    play: Callable[[Stage], None]
