"""The `backbone` command with a stack of its own, which all tests of a running one share."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import psutil
import pytest
from backbone import processes
from backbone.stack import MARK
from backbone.state import State
from backbone.waiting import SILENT, wait_for

LIMIT_SECONDS = 240


class Command:
    """The command, in a place of its own."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("BACKBONE_")}
        self.environment["BACKBONE_HOME"] = str(home)

    def __call__(self, *arguments: str, code: int = 0, **variables: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "backbone", *arguments],
            env=self.environment | variables,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LIMIT_SECONDS,
        )
        assert done.returncode == code, done.stderr
        return done

    def begun(self, *arguments: str) -> subprocess.Popen[str]:
        """The command, not waited for."""
        return subprocess.Popen(
            [sys.executable, "-m", "backbone", *arguments],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    @property
    def state(self) -> State:
        return State.load(self.home / "state.json")

    def status(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self("status", "--json").stdout)
        return document

    def running(self) -> list[processes.Process]:
        """Everything of this stack that runs, whether the state knows it or not."""
        found = set(processes.marked(MARK, str(self.home)))
        return [*found, *servers_on(self.home)]


def servers_on(home: Path) -> list[processes.Process]:
    """PostgreSQL and Java processes that work on this stack's data."""
    found = []
    for process in psutil.process_iter(["pid", "name", "cmdline"]):
        words = process.info["cmdline"] or []
        if process.info["name"] in {"postgres", "java"} and any(str(home) in word for word in words):
            found.append(processes.Process.of(process.info["pid"]))
    return found


@pytest.fixture(scope="package")
def command() -> Iterator[Command]:
    home = Path(tempfile.mkdtemp(prefix="backbone-stack-"))
    home.chmod(0o711)
    command = Command(home)
    try:
        yield command
    finally:
        command("reset", "--yes")
        assert command.running() == []
        shutil.rmtree(home)


@pytest.fixture
def backbone(command: Command) -> Command:
    """The command, with a stack that is up."""
    state = command.state
    if not state.is_up or not all(process.running for _, process in state.processes()):
        command("up")
    return command


@pytest.fixture
def stopped(command: Command) -> Command:
    """The command, with a stack that has been up and is down."""
    if command.state.is_up:
        command("down")
    assert command.running() == []
    return command


def ready(command: Command) -> dict[str, Any]:
    """The status, once every process says that it is ready: one that works hard may be a moment late."""
    seen: dict[str, Any] = {}

    def all_ready() -> bool:
        seen.update(command.status())
        return all(service["ready"] for service in seen["services"].values())

    wait_for("every service to be ready", all_ready, limit_seconds=LIMIT_SECONDS, progress=SILENT)
    return seen


def left_alone(before: dict[str, int], after: dict[str, int]) -> set[str]:
    """The instances that are the same processes as before."""
    return {instance for instance, pid in before.items() if after.get(instance) == pid}


def pids(status: dict[str, Any]) -> dict[str, int]:
    return {one["instance"]: one["pid"] for service in status["services"].values() for one in service["processes"]}


async def scalar(url: str, query: str) -> object:
    connection = await asyncpg.connect(url, timeout=10)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close(timeout=10)
