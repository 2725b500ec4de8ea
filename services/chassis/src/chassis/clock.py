"""Two kinds of time.

Business time (`BusinessClock.now`) decides due dates, retries and holds; local mode can move it. Real time
(`real_now`) stamps events, tokens, leases and time-outs, always. The offset lives in one small file that every
process of local mode reads: moving the clock is writing that file, atomically.
"""

from __future__ import annotations

import json
import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

_RECHECK_SECONDS: Final = 0.1


def real_now() -> datetime:
    """The real instant, aware, in UTC."""
    return datetime.now(UTC)


class BusinessClock:
    """Real time plus the offset that `file` holds (`{"offset_seconds": 259200}`); without a file, real time."""

    def __init__(self, file: Path | None = None, *, recheck_seconds: float = _RECHECK_SECONDS) -> None:
        self._file = file
        self._recheck_seconds = recheck_seconds
        self._checked_at = float("-inf")
        self._modified_ns = -1
        self._offset = timedelta()

    def now(self) -> datetime:
        """The business instant, aware, in UTC."""
        if self._file is not None:
            self._refresh(self._file)
        return real_now() + self._offset

    @property
    def offset(self) -> timedelta:
        """How far business time runs ahead of real time."""
        if self._file is not None:
            self._refresh(self._file)
        return self._offset

    def _refresh(self, file: Path) -> None:
        monotonic = time.monotonic()
        if monotonic - self._checked_at < self._recheck_seconds:
            return
        self._checked_at = monotonic
        try:
            modified_ns = file.stat().st_mtime_ns
        except FileNotFoundError:
            self._offset, self._modified_ns = timedelta(), -1
            return
        if modified_ns != self._modified_ns:
            self._offset, self._modified_ns = read_offset(file), modified_ns


def read_offset(file: Path) -> timedelta:
    """The offset that `file` holds; zero when there is no file. Raises ValueError when it holds something else."""
    try:
        content = json.loads(file.read_text())
        return timedelta(seconds=float(content["offset_seconds"]))
    except FileNotFoundError:
        return timedelta()
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise ValueError(f'{file} must hold {{"offset_seconds": number}}: {error}') from None


def write_offset(file: Path, offset: timedelta) -> None:
    """Move business time for every process that reads `file`."""
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    draft.write_text(json.dumps({"offset_seconds": offset.total_seconds()}))
    draft.replace(file)
