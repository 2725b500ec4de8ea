"""Processes that outlive the command which started them, and that are never mistaken for another.

A pid alone proves nothing: after a reboot, or a few days, it may belong to somebody else. So a process is known by its
pid and the moment it was created, and nothing is signalled unless both still hold.
"""

from __future__ import annotations

import os
import pwd
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, TypedDict

import psutil
from pydantic import BaseModel, ConfigDict

from backbone.faults import LocalError
from backbone.waiting import Progress, wait_for

CREATE_TIME_TOLERANCE_SECONDS: Final = 0.05


class Process(BaseModel):
    """One running process. `created` is what psutil calls create_time, in seconds since the epoch."""

    model_config = ConfigDict(frozen=True)

    pid: int
    created: float

    @classmethod
    def of(cls, pid: int) -> Process:
        """The process that has this pid now. Raises psutil.NoSuchProcess."""
        return cls(pid=pid, created=psutil.Process(pid).create_time())

    def found(self) -> psutil.Process | None:
        """The very same process while it runs; None when it has ended or its pid has gone to another."""
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.created) < CREATE_TIME_TOLERANCE_SECONDS
            return process if same and process.status() != psutil.STATUS_ZOMBIE else None
        except psutil.NoSuchProcess:
            return None

    @property
    def running(self) -> bool:
        return self.found() is not None

    def send(self, number: signal.Signals) -> None:
        """Send a signal if the process still is the one that was started."""
        process = self.found()
        if process is not None:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(number)

    def stop(self, *, number: signal.Signals = signal.SIGTERM, limit_seconds: float = 20) -> bool:
        """Ask to stop and wait; kill what has not stopped in time. False where it had to be killed."""
        self.send(number)
        if self._gone(limit_seconds):
            return True
        self.kill()
        return False

    def kill(self) -> None:
        """End at once, as a crash would, and wait until it is gone."""
        self.send(signal.SIGKILL)
        if not self._gone(10):
            raise LocalError(f"process {self.pid} does not end, not even when killed")

    def _gone(self, limit_seconds: float) -> bool:
        process = self.found()
        if process is None:
            return True
        with suppress(psutil.NoSuchProcess, psutil.TimeoutExpired):
            process.wait(limit_seconds)
        return not self.running


def start(
    command: Sequence[str | os.PathLike[str]],
    *,
    log: Path,
    environment: Mapping[str, str],
    directory: Path,
    user: pwd.struct_passwd | None = None,
) -> Process:
    """Start a process in a session of its own, so that Ctrl-C at the terminal does not reach it, output to `log`."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        try:
            child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=directory,
                env=dict(environment),
                start_new_session=True,
                **as_user(user),
            )
        except OSError as error:
            raise LocalError(f"cannot start {command[0]}: {error.strerror}", log) from error
    process = Process.of(child.pid)
    # The child is watched by pid and creation time, by this command or a later one: Popen need not warn about it.
    child.returncode = 0
    return process


def run(
    command: Sequence[str | os.PathLike[str]],
    what: str,
    *,
    log: Path,
    environment: Mapping[str, str],
    directory: Path,
    limit_seconds: float,
    progress: Progress,
) -> None:
    """Run a command to its end. Raises LocalError when it fails, is interrupted or takes too long."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=directory,
            env=dict(environment),
            start_new_session=True,
        )
        try:
            wait_for(what, lambda: child.poll() is not None, limit_seconds=limit_seconds, progress=progress, log=log)
        finally:
            if child.poll() is None:
                child.kill()
                child.wait()
    if child.returncode != 0:
        raise LocalError(f"{what}: failed with exit code {child.returncode}", log)


def marked(variable: str, value: str) -> list[Process]:
    """The processes of this user whose environment has `variable` at `value`."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if process.environ().get(variable) == value:
                found.append(Process.of(process.pid))
    return found


class AsUser(TypedDict, total=False):
    """The arguments of subprocess that make a child somebody else."""

    user: int
    group: int
    extra_groups: list[int]


def as_user(user: pwd.struct_passwd | None) -> AsUser:
    """The arguments of subprocess that make a child somebody else, in no further group."""
    if user is None:
        return {}
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
