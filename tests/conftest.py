"""What every test may ask for, and what a run says about itself before and after."""

from __future__ import annotations

import pytest
from backbone import containers

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

NOT_RUN = pytest.StashKey[tuple[int, str]]()


def pytest_report_header() -> list[str]:
    return [f"PostgreSQL: {choice(POSTGRES_VARIABLE)}", f"Apache Kafka: {choice(KAFKA_VARIABLE)}"]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out, and say so at the end, what needs a container engine where none can be used."""
    reason = containers.why_not()
    if reason is None:
        return
    left_out = [item for item in items if item.get_closest_marker("engine")]
    if left_out:
        items[:] = [item for item in items if not item.get_closest_marker("engine")]
        config.hook.pytest_deselected(items=left_out)
        config.stash[NOT_RUN] = (len(left_out), reason)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    count, reason = config.stash.get(NOT_RUN, (0, ""))
    if count:
        terminalreporter.write_line(f"NOT RUN: {count} tests of containers, because {reason}", yellow=True, bold=True)
