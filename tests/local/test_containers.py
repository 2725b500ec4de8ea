"""PostgreSQL and Apache Kafka in containers, where an engine answers and has the images.

Where none does, the tests marked `engine` are left out and the run says so at its end.
"""

from __future__ import annotations

import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest
from backbone import containers, ports, topics
from backbone.faults import LocalError
from backbone.postgres import new_password, refusal
from backbone.waiting import SILENT
from contracts.topics import Topic


@pytest.fixture
def name() -> Iterator[str]:
    """The name of a container and its volume, both gone when the test ends."""
    name = f"backbone-tests-{uuid.uuid4().hex[:8]}"
    yield name
    containers.stop(name, with_data=True)


async def scalar(url: str, query: str) -> object:
    connection = await asyncpg.connect(url, timeout=10)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close(timeout=10)


@pytest.mark.engine
async def test_postgres_in_a_container_keeps_its_data_in_a_volume(name: str) -> None:
    port, password = ports.free_port(), new_password()
    url = containers.start_postgres(name, port, password, SILENT)
    await scalar(url, "CREATE TABLE kept AS SELECT 7 AS value")
    assert containers.is_running(name)
    assert await scalar(url, "SHOW fsync") == "on"

    containers.stop(name)
    assert not containers.is_running(name)
    assert refusal(url) is not None

    # The port may be another one the next time.
    url = containers.start_postgres(name, ports.free_port(), password, SILENT)
    assert await scalar(url, "SELECT value FROM kept") == 7


@pytest.mark.engine
def test_kafka_in_a_container_keeps_its_topics_in_a_volume(name: str) -> None:
    topic = Topic("kept-events", owner="payments", key="the payment", description="For a test.", partitions=2)
    servers = containers.start_kafka(name, ports.free_port(), SILENT)
    topics.apply(servers, [topic])

    containers.stop(name)
    servers = containers.start_kafka(name, ports.free_port(), SILENT)

    assert topics.listed(servers, [topic]) == [topics.Found(topic, 2)]
    topics.warm_up(servers, topic)


@pytest.mark.engine
def test_stopping_what_is_not_there_is_no_error(name: str) -> None:
    containers.stop(name, with_data=True)


def test_no_engine_is_a_reason_and_not_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    assert containers.why_not() == "no container engine answers"
    assert not containers.is_running("anything")
    with pytest.raises(LocalError, match="the container anything cannot be stopped"):
        containers.stop("anything")


def test_what_is_left_out_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", __file__],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert "NOT RUN: 3 tests of containers, because no container engine answers" in run.stdout
    assert "3 deselected" in run.stdout
