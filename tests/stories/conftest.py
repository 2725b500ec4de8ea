"""A stack that the stories share, in a home of its own on free ports: a developer's running one is never touched."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from backbone import stack
from backbone.places import Places
from backbone.ports import is_free
from backbone.settings import DEFAULT_PORTS, LocalSettings
from backbone.stack import Stack
from backbone.story.page import new_console
from backbone.story.play import Before, play
from backbone.waiting import SILENT

from tests.stories.endings import Ending

LIMIT_SECONDS = 300


class Reader:
    """Somebody at a terminal of a machine where nothing runs yet."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("BACKBONE_")}
        # Below those that the system gives to outgoing connections, which come and go.
        first = 20_000 + os.getpid() % 10_000
        free = (port for port in range(first, 32_000) if is_free(port))
        self.ports = {name: next(free) for name in DEFAULT_PORTS}
        ports = ",".join(f"{name}={port}" for name, port in self.ports.items())
        self.environment |= {"BACKBONE_HOME": str(home), "BACKBONE_PORTS": ports, "COLUMNS": "200"}

    def types(self, command: str) -> str:
        """Give one line to the shell; it must end well."""
        done = self.tries(command)
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def tries(self, command: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Give one line to the shell, however it ends."""
        return subprocess.run(
            ["/bin/sh", "-c", command],
            env=self.environment | variables,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LIMIT_SECONDS,
        )

    @contextmanager
    def opened(self) -> Iterator[Stack]:
        """The reader's stack, as the command opens it."""
        places = Places(Places.of_clone().clone, self.home)
        with stack.opened(places, LocalSettings(ports=self.ports), SILENT) as opened:
            yield opened


@dataclass(frozen=True)
class Told:
    """What a reader saw of a story, and how it ended."""

    text: str
    ending: Ending


def told(opened: Stack, before: Before | None = None) -> Told:
    """Play the story on a stack that is up."""
    endings: list[Ending] = []
    console = new_console()
    console.file, console.width = io.StringIO(), 200
    keep: Callable[..., None] = lambda stage: endings.append(Ending.of(stage))  # noqa: E731
    play(opened, console, SILENT, before=before, after=keep)
    return Told(console.file.getvalue(), endings[0])


@pytest.fixture(scope="package")
def reader() -> Iterator[Reader]:
    home = Path(tempfile.mkdtemp(prefix="backbone-story-"))
    # PostgreSQL's user passes through.
    home.chmod(0o711)
    reader = Reader(home)
    try:
        yield reader
    finally:
        reader.types(f"{sys.executable} -m backbone reset --yes")
        shutil.rmtree(home)


@pytest.fixture(scope="package")
def first(reader: Reader) -> str:
    """What `backbone demo` prints on a machine where nothing runs yet."""
    return reader.types(f"{sys.executable} -m backbone demo")


@pytest.fixture(scope="package")
def second(reader: Reader, first: str) -> Told:
    """The next month, with two processes of every service; nobody disturbs it."""
    reader.types(f"{sys.executable} -m backbone up --processes 2")
    with reader.opened() as opened:
        return told(opened)
