"""A line on the terminal that says how far a command is, written over as it goes on.

Where nobody looks at a terminal nothing is said. Tested in tests/chassis/test_progress.py.
"""

from __future__ import annotations

import sys
import time
from typing import Final

_EVERY_SECONDS: Final = 0.5


class ProgressLine:
    """Called with what was done ("verified"), how many of the `things` are done, and how many there are."""

    def __init__(self, things: str) -> None:
        self._things = things
        self._what = ""
        self._began = self._called = self._told = time.monotonic()
        self._terminal = sys.stderr.isatty()

    def __call__(self, what: str, done: int, total: int) -> None:
        """Say it, twice a second at most; the line ends when all is done."""
        now = time.monotonic()
        if what != self._what:
            # The rate is that of each part by itself.
            self._what, self._began = what, self._called
        self._called = now
        if not self._terminal or (now - self._told < _EVERY_SECONDS and done < total):
            return
        self._told = now
        rate = done / max(now - self._began, 1e-3)
        end = "\n" if done >= total else ""
        print(f"\r{what} {done} of {total} {self._things}, {rate:,.0f}/s", end=end, file=sys.stderr, flush=True)  # noqa: T201
