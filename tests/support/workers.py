"""One run spread over several processes: `make test` does so, `pytest` alone does not.

The process that steers starts PostgreSQL and Apache Kafka, tells its workers where they are, and stops them when the
run is over, however it ends. The tests of one file stay together, as do those that share a whole stack.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import psutil
import pytest
from xdist.scheduler import LoadScopeScheduling

from tests.support.infrastructure import Databases, a_directory, a_kafka, a_postgres

if TYPE_CHECKING:
    from xdist.workermanage import WorkerController

PROCESSES_MAX: Final = 8
STOP_MAX_SECONDS: Final = 120
TOGETHER: Final = ("tests/stories/", "tests/local/test_stack")
"""How the names of tests begin that share one stack, which takes long to start."""
IN_ORDER: Final = (
    "tests/stories/",
    "tests/chaos/test_soak.py",
    "tests/chassis/",
    "tests/payments/test_",
    "tests/local/test_stack",
    "tests/gateway/test_examples.py",
    "tests/console/",
    "tests/chaos/",
    "tests/audit/test_",
    "tests/local/",
)
"""Whole stacks take long, so they begin early: begun last, one process would work while the others are done. Nor do
they begin at the same time: each starts a dozen processes."""


def processes() -> int:
    """How many processes share a run: one more than there are cores, because most of a test is waiting."""
    return min(PROCESSES_MAX, (psutil.cpu_count() or 1) + 1)


def is_worker(config: pytest.Config) -> bool:
    """Whether this process was started by another that steers the run."""
    return hasattr(config, "workerinput")


def obey(session: pytest.Session) -> None:
    """Have this worker stop when the process that steers says so, and not by a terminal's Ctrl-C beside that."""

    def stop(*_: object) -> None:
        session.shouldstop = "interrupted"  # whoever catches the exception only ends his test
        raise KeyboardInterrupt

    os.setpgrp()
    # Not Python's own handler: an event loop would put another one in its place.
    signal.signal(signal.SIGINT, stop)


def interrupt(workers: Sequence[WorkerController]) -> None:
    """Interrupt workers and wait until they have stopped whatever they had started."""
    for worker in workers:
        with suppress(ProcessLookupError):
            os.kill(worker.gateway._io.popen.pid, signal.SIGINT)
    for worker in workers:
        with suppress(worker.channel.TimeoutError, worker.channel.RemoteError):
            worker.channel.waitclose(STOP_MAX_SECONDS)


@dataclass(slots=True)
class Servers:
    """PostgreSQL and Apache Kafka of a run with workers, started for the first of them."""

    running: ExitStack = field(default_factory=ExitStack)
    told: dict[str, str] = field(default_factory=dict)

    def started(self) -> dict[str, str]:
        """Where both are."""
        if not self.told:
            directory = self.running.enter_context(a_directory())
            postgres = self.running.enter_context(a_postgres(directory))
            kafka = self.running.enter_context(a_kafka(directory))
            databases = Databases(postgres)
            self.running.callback(lambda: asyncio.run(databases.drop_templates()))
            self.told = {"postgres": postgres, "kafka": kafka, "run": databases.run}
        return self.told


class Scheduling(LoadScopeScheduling):  # type: ignore[misc]
    """Gives whole files to processes, and what shares a stack to one of them."""

    def _split_scope(self, nodeid: str) -> str:
        together = (start for start in TOGETHER if nodeid.startswith(start))
        return next(together, nodeid.partition("::")[0])


def in_order(items: list[pytest.Item]) -> list[pytest.Item]:
    """The same tests in the order in which they are given out."""

    def turn(item: pytest.Item) -> int:
        places = (place for place, start in enumerate(IN_ORDER) if item.nodeid.startswith(start))
        return next(places, len(IN_ORDER))

    return sorted(items, key=turn)
