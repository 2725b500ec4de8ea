"""Answers composed out of several services' answers: asked side by side, within one limit of time.

What did not come in time is named and left out; nothing waits for the slowest.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping
from typing import Any

from pydantic import BaseModel

from gateway.upstream import Answer, Outcome, Unavailable


class Missing(BaseModel):
    """A part of an answer that is not there: whose it would be, and why it is missing."""

    part: str
    service: str
    why: str


class Parts:
    """What has come of a composed answer, and what is missing. Asked until its time is over."""

    def __init__(self, seconds: float) -> None:
        self._ends = asyncio.get_running_loop().time() + seconds
        self.missing: list[Missing] = []

    async def ask(self, calls: Mapping[str, tuple[str, Awaitable[Outcome]]]) -> dict[str, Answer]:
        """The answers by part, of those that came: `calls` are service and call by part."""
        tasks = {part: asyncio.ensure_future(call) for part, (_, call) in calls.items()}
        left = max(0.0, self._ends - asyncio.get_running_loop().time())
        if tasks:
            await asyncio.wait(tasks.values(), timeout=left)
        came: dict[str, Answer] = {}
        for part, task in tasks.items():
            service = calls[part][0]
            if not task.done():
                task.cancel()
                self.lack(part, service, "does not answer in time")
                continue
            outcome = task.result()
            if isinstance(outcome, Unavailable):
                self.lack(part, service, outcome.why)
            elif outcome.status >= 500 or outcome.status in {401, 403}:
                self.lack(part, service, "cannot answer now")
            else:
                came[part] = outcome
        await asyncio.gather(*tasks.values(), return_exceptions=True)
        return came

    def lack(self, part: str, service: str, why: str) -> None:
        """Note that a part is missing; one is named once."""
        if not any(each.part == part for each in self.missing):
            self.missing.append(Missing(part=part, service=service, why=why))


def items_of(answer: Answer | None) -> list[dict[str, Any]] | None:
    """The items of a list; None where there is no list."""
    if answer is None or not answer.ok:
        return None
    items: list[dict[str, Any]] = answer.json()["items"]
    return items
