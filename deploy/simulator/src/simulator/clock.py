"""Business time and real time.

What a provider dates (objects, events, due steps) follows business time, so that moving the clock of local mode moves
the providers with it. Signatures, time-outs and delivery retries follow real time.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final

Now = Callable[[], datetime]

_SATURDAY: Final = 5
_REREAD_SECONDS: Final = 0.1
_log = logging.getLogger(__name__)


def real_now() -> datetime:
    """Return the real instant, aware, in UTC."""
    return datetime.now(UTC)


class BusinessClock:
    """Real time plus the offset that `file` holds: `{"offset_seconds": 259200}` or the bare number of seconds.

    The file is looked at ten times a second at most; one that became unreadable leaves the last good offset in force.
    """

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._offset = timedelta(seconds=read_offset_seconds(file)) if file else timedelta()
        self._read_at = time.monotonic()

    def now(self) -> datetime:
        """Return the business instant, aware, in UTC."""
        if self._file is not None and time.monotonic() - self._read_at > _REREAD_SECONDS:
            self._read_at = time.monotonic()
            try:
                self._offset = timedelta(seconds=read_offset_seconds(self._file))
            except ValueError as error:
                _log.warning("%s", error)
        return real_now() + self._offset


def read_offset_seconds(file: Path) -> float:
    """Return the offset in `file`; 0 when there is none. Raises ValueError when the file holds something else."""
    try:
        content = json.loads(file.read_text())
        return float(content["offset_seconds"] if isinstance(content, dict) else content)
    except FileNotFoundError:
        return 0.0
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{file} holds no clock offset: {error}") from None


def working_days_after(day: date, count: int) -> date:
    """Return the day `count` working days (Monday to Friday) after `day`."""
    while count > 0:
        day += timedelta(days=1)
        count -= day.weekday() < _SATURDAY
    return day


def epoch(instant: datetime) -> int:
    """Return `instant` in whole seconds since 1970, as Stripe dates things."""
    return int(instant.timestamp())


def iso_ms(instant: datetime) -> str:
    """Return `instant` in ISO 8601 with milliseconds and Z, as GoCardless dates things."""
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{instant.microsecond // 1000:03d}Z"
