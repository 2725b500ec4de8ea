"""What can go wrong on the way up, each said in one sentence and with the log that explains it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

EXPLAINING_LINES: Final = 15
_LOOKED_THROUGH_LINES: Final = 1_000
_WENT_WELL: Final = frozenset({'"event":"request"', '"level":"info"'})


class LocalError(Exception):
    """Something that the reader of the terminal can act on. `log` is the file whose last lines explain it."""

    def __init__(self, sentence: str, log: Path | None = None) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.log = log


class NotReadyError(LocalError):
    """A wait has reached its limit, or what was waited for has died."""


def last_lines(log: Path, count: int) -> list[str]:
    """The last lines of a log, none where there is no log. Reads the end of the file only."""
    try:
        with log.open("rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - 512 * (count + 1)))
            return file.read().decode(errors="replace").splitlines()[-count:]
    except OSError:
        return []


def explaining_lines(log: Path) -> list[str]:
    """The last lines that may explain something.

    Requests that went well do not: whoever polls a service while waiting fills its log with them.
    """
    lines = last_lines(log, _LOOKED_THROUGH_LINES)
    return [line for line in lines if not _WENT_WELL.issubset(line.strip("{}").split(","))][-EXPLAINING_LINES:]
