"""What can go wrong on the way up, each said in one sentence and with the log that explains it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

EXPLAINING_LINES: Final = 15
_READ_MAX_BYTES: Final = 65_536
_ANSWERED_WELL: Final = frozenset({'"event":"request"', '"level":"info"'})


class LocalError(Exception):
    """Something that the reader of the terminal can act on. `log` is the file whose last lines explain it."""

    def __init__(self, sentence: str, log: Path | None = None) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.log = log


class NotReadyError(LocalError):
    """A wait has reached its limit, or what was waited for has died."""


def last_lines(log: Path, count: int = EXPLAINING_LINES) -> list[str]:
    """The last lines of a log that may explain something, none where there is no log. Reads the end of the file only.

    Requests that were answered well are left out: whoever polls a service while waiting fills its log with them.
    """
    try:
        with log.open("rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - _READ_MAX_BYTES))
            lines = file.read().decode(errors="replace").splitlines()
    except OSError:
        return []
    return [line for line in lines if not _ANSWERED_WELL <= set(line.strip("{}").split(","))][-count:]
