"""How a story ended, without what is another each time: ids, times, numbers and how far the services had come."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from backbone.story import ending
from backbone.story.stage import Stage

# What an event did is told in brackets: whether it came before or after another one of the same payment.
_DAY = r"\b\d{1,2} [A-Z][a-z]+ \d{4}\b"
_VARIES = (_DAY, r"\bpo_\w+", r" \([^)]*\)", r"\b[A-Z]{2}[0-9A-Z]{12}\b", r"\b[A-Z0-9]{8}-\d{4}\b", r"[\d.,]*\d")
# Providers promise no order. What was looked up, and what was planned, before all had come depends on it.
_ON_THE_WAY = (" described a payment ", " planned the collection of a payment ")


def plain(text: str) -> str:
    """The words alone."""
    for pattern in _VARIES:
        text = re.sub(pattern, "", text)
    return text


@dataclass(frozen=True)
class Ending:
    """What must be the same however often the services were killed on the way."""

    board: Mapping[str, str]
    ledgers: Mapping[str, list[tuple[str, int]]]
    tasks: list[list[object]]
    incident: list[tuple[str, str, str]]
    audit: Counter[tuple[str, str]]

    @classmethod
    def of(cls, stage: Stage) -> Ending:
        doors, cast = stage.doors, stage.cast
        incident = doors.operations.get(f"/v1/incidents/{cast.incident}")
        tasks = (cast.trial, cast.pickup, cast.comp_board, cast.call, cast.prevention)
        return cls(
            board={
                item["title"]: item["state"] for lane in doors.owner.get("/v1/board")["lanes"] for item in lane["items"]
            },
            ledgers={
                member: [(plain(line.words), line.amount_minor) for line in doors.ledger(member)[-len(month) :]]
                for member, month in ending.MONTHS.items()
            },
            tasks=[_task(doors.owner.get(f"/v1/tasks/{each}")) for each in tasks]
            + [_history(doors.owner.pages(f"/v1/tasks/{cast.call}/history"))],
            incident=[(each["kind"], each["actor_name"], plain(each["words"])) for each in incident["timeline"]],
            audit=Counter(
                (record.action, plain(record.sentence))
                for record in ending.told(stage)
                if not any(words in record.sentence for words in _ON_THE_WAY)
            ),
        )


def _task(task: Mapping[str, Any]) -> list[object]:
    owner, outcome, blocked = task["owner"], task["outcome"], task["blocked"]
    return [
        task["title"],
        task["state"],
        owner and owner["name"],
        outcome and outcome["code"],
        blocked and blocked["code"],
    ]


def _history(changes: Iterable[Mapping[str, Any]]) -> list[object]:
    return [(each["change"], each["actor"]["name"]) for each in changes]
