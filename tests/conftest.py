"""What every test may ask for, and what a run says about itself before and after."""

from __future__ import annotations

import os

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
NOT_RUN = pytest.StashKey[list[tuple[int, str, str]]]()
INSTALL_CHROMIUM = "Chromium is not installed: apt-get install -y chromium"


def pytest_report_header() -> list[str]:
    return [f"PostgreSQL: {choice(POSTGRES_VARIABLE)}", f"Apache Kafka: {choice(KAFKA_VARIABLE)}"]


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
            config.stash.setdefault(NOT_RUN, []).append((len(left_out), what, reason))


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    TALLY.note(report)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Leave with the build which suites have passed whole."""
    leave(TALLY.passed([item.nodeid for item in session.items]))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for count, what, reason in config.stash.get(NOT_RUN, []):
        terminalreporter.write_line(f"NOT RUN: {count} {what}, because {reason}", yellow=True, bold=True)
