"""What the tasks service can be told."""

from __future__ import annotations

from chassis.settings import Settings


class TasksSettings(Settings):
    """What the tasks service can be told beyond what every service has."""
