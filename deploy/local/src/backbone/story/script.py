"""The story as a list of steps, in the order in which they are played."""

from __future__ import annotations

from backbone.story.chapters import Step, front_desk, month, outage, recovery, settling


def steps() -> list[Step]:
    """All of it: what the demo plays to a person, and what the tests play while services are killed."""
    return [*front_desk.steps(), *month.steps(), *outage.steps(), *recovery.steps(), *settling.steps()]
