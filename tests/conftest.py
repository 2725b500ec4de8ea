"""What every test may ask for, and what a run says about itself before and after."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest
from backbone import containers

from tests.support.browsers import chromium
from tests.support.infrastructure import (
    KAFKA_VARIABLE,
    POSTGRES_VARIABLE,
    choice,
    database_for,
    databases,
    fresh_database,
    kafka,
    postgres,
    private_kafka,
    private_postgres,
    session_directory,
    topic_prefix,
)
from tests.support.results import Tally, leave
from tests.support.workers import Scheduling, Servers, in_order, interrupt, is_worker, obey, processes

if TYPE_CHECKING:
    from xdist.remote import Producer
    from xdist.workermanage import WorkerController

__all__ = [
    "database_for",
    "databases",
    "fresh_database",
    "kafka",
    "postgres",
    "private_kafka",
    "private_postgres",
    "session_directory",
    "topic_prefix",
]

TALLY = Tally()
COLLECTED = set[str]()
SERVERS = Servers()
WORKERS = list["WorkerController"]()
NOT_RUN = dict[str, list[Any]]()
INSTALL_CHROMIUM = "Chromium is not installed: apt-get install -y chromium"


def pytest_report_header() -> list[str]:
    return [f"PostgreSQL: {choice(POSTGRES_VARIABLE)}", f"Apache Kafka: {choice(KAFKA_VARIABLE)}"]


def pytest_xdist_auto_num_workers() -> int:
    return processes()


def pytest_sessionstart(session: pytest.Session) -> None:
    if is_worker(session.config):
        obey(session)


def pytest_configure_node(node: WorkerController) -> None:
    node.workerinput["servers"] = SERVERS.started()
    WORKERS.append(node)


def pytest_keyboard_interrupt() -> None:
    interrupt(WORKERS)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Scheduling:
    config.option.loadscopereorder = False  # the workers have put them in order
    return Scheduling(config, log)


def pytest_xdist_node_collection_finished(ids: list[str]) -> None:
    COLLECTED.update(ids)


def pytest_testnodedown(node: WorkerController) -> None:
    """Hear from a worker what it had to leave out; one that died has said nothing."""
    NOT_RUN.update(getattr(node, "workeroutput", {}).get("not_run", {}))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out, and say so at the end, what needs a container engine or a browser where there is none.

    In CI a browser is part of the machine: there its tests run, and fail without one.
    """
    no_browser = None if chromium() or os.environ.get("CI") else INSTALL_CHROMIUM
    for marker, what, reason in (
        ("engine", "tests of containers", containers.why_not()),
        ("browser", "tests of the console in a browser", no_browser),
    ):
        left_out = [item for item in items if item.get_closest_marker(marker)]
        if reason is not None and left_out:
            items[:] = [item for item in items if not item.get_closest_marker(marker)]
            config.hook.pytest_deselected(items=left_out)
            NOT_RUN[what] = [len(left_out), reason]
    if is_worker(config):
        items[:] = in_order(items)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    TALLY.note(report)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Leave with the build which suites have passed whole; a worker knows only what it ran itself."""
    if is_worker(session.config):
        session.config.workeroutput["not_run"] = NOT_RUN  # type: ignore[attr-defined]
    else:
        leave(TALLY.passed([*COLLECTED, *(item.nodeid for item in session.items)]))


def pytest_unconfigure() -> None:
    SERVERS.running.close()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for what, (count, reason) in NOT_RUN.items():
        terminalreporter.write_line(f"NOT RUN: {count} {what}, because {reason}", yellow=True, bold=True)
