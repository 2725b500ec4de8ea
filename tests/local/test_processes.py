"""A process is known by its pid and its moment of birth, so that a stranger with a recycled pid is never touched."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from backbone import processes
from backbone.faults import LocalError, NotReadyError, explaining_lines, last_lines
from backbone.processes import Process
from backbone.waiting import SILENT, wait_for

ENDLESS = [sys.executable, "-c", "import signal; print('up', flush=True); signal.pause()"]
DEAF = [
    sys.executable,
    "-c",
    "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); signal.pause()",
]


def started(command: list[str], tmp_path: Path) -> Process:
    """A process that has said its first word."""
    log = tmp_path / "process.log"
    process = processes.start(command, log=log, environment={}, directory=tmp_path)
    wait_for("the first word", lambda: bool(log.read_text()), limit_seconds=20, progress=SILENT)
    return process


def test_a_started_process_outlives_its_terminal(tmp_path: Path) -> None:
    process = started(ENDLESS, tmp_path)
    found = process.found()
    assert found is not None
    try:
        # A session of its own: Ctrl-C and a hang-up at the terminal do not reach it.
        assert psutil.Process().terminal() is None or found.terminal() is None
        session = subprocess.run(["ps", "-o", "sid=", "-p", str(process.pid)], capture_output=True, text=True)
        assert int(session.stdout) == process.pid
    finally:
        assert process.stop()
    assert not process.running


def test_a_recycled_pid_is_never_signalled(tmp_path: Path) -> None:
    process = started(ENDLESS, tmp_path)
    stranger = Process(pid=process.pid, created=process.created - 60)
    try:
        assert not stranger.running
        assert stranger.stop()
        stranger.kill()
        assert process.running
    finally:
        process.kill()


def test_what_does_not_stop_is_killed(tmp_path: Path) -> None:
    process = started(DEAF, tmp_path)
    assert not process.stop(limit_seconds=0.2)
    assert not process.running


def test_a_dead_process_ends_the_wait_for_it_at_once(tmp_path: Path) -> None:
    process = started(ENDLESS, tmp_path)
    process.send(signal.SIGKILL)
    with pytest.raises(NotReadyError, match="the process has ended"):
        wait_for("nothing", lambda: False, limit_seconds=60, progress=SILENT, alive=lambda: process.running)


def test_a_command_that_fails_is_explained_by_its_log(tmp_path: Path) -> None:
    log = tmp_path / "failing.log"
    with pytest.raises(LocalError, match="the attempt: failed with exit code 3") as caught:
        processes.run(
            [sys.executable, "-c", "import sys; print('because'); sys.exit(3)"],
            "the attempt",
            log=log,
            environment={},
            directory=tmp_path,
            limit_seconds=20,
            progress=SILENT,
        )
    assert caught.value.log is not None
    assert explaining_lines(caught.value.log) == ["because"]


def test_a_command_that_never_ends_is_ended(tmp_path: Path) -> None:
    with pytest.raises(NotReadyError, match="not ready after"):
        processes.run(
            ENDLESS,
            "the attempt",
            log=tmp_path / "endless.log",
            environment={"MARK": str(tmp_path)},
            directory=tmp_path,
            limit_seconds=0.5,
            progress=SILENT,
        )
    assert processes.marked("MARK", str(tmp_path)) == []


def test_a_program_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(LocalError, match="cannot start /nowhere/java: No such file"):
        processes.start(["/nowhere/java"], log=tmp_path / "log", environment={}, directory=tmp_path)


def test_the_end_of_a_long_log_is_read_from_its_end(tmp_path: Path) -> None:
    log = tmp_path / "long.log"
    log.write_text("".join(f"line {number}\n" for number in range(100_000)))
    assert last_lines(log, 2) == ["line 99998", "line 99999"]
    assert explaining_lines(tmp_path / "none.log") == []


def test_requests_that_went_well_explain_nothing(tmp_path: Path) -> None:
    log = tmp_path / "service.log"
    failed = '{"status":500,"event":"request","level":"error"}'
    log.write_text(f"started\n{failed}\n" + '{"status":200,"event":"request","level":"info"}\n' * 500)
    assert explaining_lines(log) == ["started", failed]
