"""The processes that are measured: started with their output in a file, their CPU time and memory read by psutil."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import psutil

STOP_LIMIT_SECONDS = 30
REPOSITORY = Path(__file__).resolve().parents[2]


class EndedEarlyError(Exception):
    """A measured process ended by itself; the message holds the end of its log."""


class Measured:
    """One process under measurement; stops it when the block ends."""

    def __init__(
        self, name: str, module: Sequence[str], environment: Mapping[str, str], log: Path, fds: Sequence[int] = ()
    ) -> None:
        self.name = name
        self.log = log
        self._command = [sys.executable, "-m", *module]
        self._environment = {**os.environ, **environment}
        self._fds = fds
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                self._command,
                env=self._environment,
                cwd=REPOSITORY,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=self._fds,
            )
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        process = self._started
        process.terminate()
        try:
            process.wait(STOP_LIMIT_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    @property
    def pid(self) -> int:
        return self._started.pid

    def check(self) -> None:
        """Raises EndedEarlyError when the process is no longer there."""
        if self._started.poll() is not None:
            tail = self.log.read_text(errors="replace")[-3_000:]
            raise EndedEarlyError(f"{self.name} ended with exit code {self._started.returncode}:\n{tail}")

    @property
    def _started(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "the process is started by `with`"
        return self._process


class Generator:
    """The load generator: told to go, it says when its measured span begins and ends."""

    def __init__(self, arguments: Sequence[str], log: Path, *, module: str = "tests.bench.load") -> None:
        self._log: IO[bytes] = log.open("ab")
        self._module = module
        self._arguments = arguments
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            self._module,
            *self._arguments,
            cwd=REPOSITORY,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=self._log,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        process = self._started
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()
        self._log.close()

    @property
    def pid(self) -> int:
        return self._started.pid

    async def says(self, word: str, limit_seconds: float = 120) -> None:
        """Wait for its next line, which must be `word`."""
        output = self._started.stdout
        assert output is not None
        line = await asyncio.wait_for(output.readline(), limit_seconds)
        if line.decode().strip() != word:
            raise EndedEarlyError(f"the load generator said {line!r} where {word!r} was due; see {self._log.name}")

    async def go(self) -> None:
        put = self._started.stdin
        assert put is not None
        put.write(b"go\n")
        await put.drain()

    @property
    def _started(self) -> asyncio.subprocess.Process:
        assert self._process is not None, "the generator is started by `async with`"
        return self._process


def cpu_seconds(pid: int) -> float:
    """CPU time of a process, of its living descendants and of those it has waited for."""
    process = psutil.Process(pid)
    own = process.cpu_times()
    total = own.user + own.system + own.children_user + own.children_system
    for child in process.children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            times = child.cpu_times()
            total += times.user + times.system
    return float(total)


def pss_bytes(pids: Iterable[int]) -> dict[int, int]:
    """Proportional set size of each process: shared pages count once over all of them. Ended ones are left out."""
    sizes: dict[int, int] = {}
    for pid in pids:
        with contextlib.suppress(psutil.NoSuchProcess):
            sizes[pid] = psutil.Process(pid).memory_full_info().pss
    return sizes


async def until(
    what: str, happened: Callable[[], Awaitable[bool]], limit_seconds: float, pause_seconds: float = 0.05
) -> None:
    """Ask `happened` until it says yes. Raises TimeoutError naming `what`."""
    deadline = time.monotonic() + limit_seconds
    while not await happened():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not after {limit_seconds:.0f} s")
        await asyncio.sleep(pause_seconds)
