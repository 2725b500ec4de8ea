"""Showing the logs of one service, all of its processes together."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

from backbone.faults import LocalError, last_lines

POLL_SECONDS: Final = 0.2


def files_of(directory: Path, service: str) -> list[Path]:
    """The log of exactly this name, or of each process of the service. Raises LocalError where there is none."""
    every = sorted(directory.glob("*.log"))
    found = [file for file in every if file.stem == service]
    found += [file for file in every if file.stem.rpartition("-")[0] == service and file not in found]
    if not found:
        known = ", ".join(file.stem for file in every) or "none yet"
        raise LocalError(f"{service} has no log; these have: {known}")
    return found


def show(directory: Path, service: str, lines: int) -> list[Path]:
    """Print the last lines of each log; returns the files."""
    files = files_of(directory, service)
    for file in files:
        for line in last_lines(file, lines) if lines else ():
            print(_labelled(file, line, files))
    return files


def follow(files: list[Path]) -> None:
    """Print what is added to the logs until Ctrl-C."""
    ends = {file: file.stat().st_size for file in files}
    while True:
        for file in files:
            with file.open("rb") as opened:
                opened.seek(ends[file])
                # Half a line waits for its other half.
                whole, newline, _ = opened.read().rpartition(b"\n")
            ends[file] += len(whole) + len(newline)
            for line in whole.decode(errors="replace").splitlines():
                print(_labelled(file, line, files), flush=True)
        time.sleep(POLL_SECONDS)


def _labelled(file: Path, line: str, files: list[Path]) -> str:
    return line if len(files) == 1 else f"{file.stem}: {line}"
