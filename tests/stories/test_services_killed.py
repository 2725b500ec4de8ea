"""The story once more, and at each of its steps another service is killed as a power cut would do it.

Each is started again at once, while the step goes on without it. In the end the board, the ledgers, the tasks, the
incident and the audit log say what they say of the month that nobody disturbed.
"""

from __future__ import annotations

import sys
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
from backbone.stack import Stack
from backbone.state import State
from backbone.story.chapters import Step

from tests.stories.conftest import Reader, Told, told

SERVICES = ("payments", "tasks", "provider-health", "audit", "gateway")


class Killer:
    """Kills one process at each step, and has it started again."""

    def __init__(self, opened: Stack, pool: ThreadPoolExecutor) -> None:
        self.kills: Counter[str] = Counter()
        self._opened, self._pool = opened, pool
        self._again: Future[State] | None = None

    def before(self, number: int, _: Step) -> None:
        self.wait()
        victim = SERVICES[number % len(SERVICES)]
        self._opened.state.services[victim][0].process.kill()
        self.kills[victim] += 1
        self._again = self._pool.submit(self._opened.up, {})

    def wait(self) -> None:
        """Until the last one that was killed runs again."""
        if self._again is not None:
            self._again.result(120)


@pytest.fixture
def disturbed(reader: Reader, second: Told) -> tuple[Told, Counter[str]]:
    """The third month, with one process of each service, which is killed."""
    reader.types(f"{sys.executable} -m backbone up --processes 1")
    with reader.opened() as opened, ThreadPoolExecutor(1) as pool:
        killer = Killer(opened, pool)
        try:
            return told(opened, killer.before), killer.kills
        finally:
            killer.wait()


def test_whoever_is_killed_the_story_ends_the_same(second: Told, disturbed: tuple[Told, Counter[str]]) -> None:
    third, kills = disturbed
    assert kills.keys() == set(SERVICES)
    assert min(kills.values()) >= 3
    assert third.ending.ledgers == second.ending.ledgers
    assert third.ending.tasks == second.ending.tasks
    assert third.ending.incident == second.ending.incident
    assert third.ending.audit == second.ending.audit
    assert third.ending.board == second.ending.board
