"""What the business has set: its time zone, who owns what arrives for a queue, how long a task may be reopened."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from zoneinfo import ZoneInfo

from tasks.settings import TasksSettings
from tasks.states import Person


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules of one process, which are the same in every one that was told the same."""

    zone: ZoneInfo
    owners: Mapping[str, Person]
    reopen_window: timedelta

    @classmethod
    def of(cls, settings: TasksSettings) -> Rules:
        """The rules that the settings make."""
        owners = {queue: Person(each.id, each.name) for queue, each in settings.queue_owners.items()}
        return cls(ZoneInfo(settings.business_timezone), owners, timedelta(days=settings.reopen_window_days))

    def rota(self, queue: str) -> Person | None:
        """Who owns what arrives for this queue, if anybody does."""
        return self.owners.get(queue)
