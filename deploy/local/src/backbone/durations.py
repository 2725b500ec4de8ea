"""Durations as people write them."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Final

UNITS: Final = {"w": "weeks", "d": "days", "h": "hours", "m": "minutes", "s": "seconds"}
LONGEST: Final = timedelta(days=3_650)


def parse(text: str) -> timedelta:
    """`3d`, `12h`, `1d12h`: a duration above zero. Raises ValueError."""
    parts = re.findall(r"([0-9]{1,6})([wdhms])", text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError(f"{text} is no duration: write 3d, 12h, 90m or 1d12h")
    duration = sum((timedelta(**{UNITS[unit]: int(number)}) for number, unit in parts), timedelta())
    if not timedelta() < duration <= LONGEST:
        raise ValueError(f"{text} must be above zero and at most ten years")
    return duration
