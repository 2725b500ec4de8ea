"""Waiting on a state, with an end to it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


def eventually(holds: Callable[[], bool], what: str, timeout_seconds: float = 20) -> None:
    """Return once `holds` does. Fails the test with `what` it waited for."""
    deadline = time.monotonic() + timeout_seconds
    pause = threading.Event()
    while not holds():
        assert time.monotonic() < deadline, f"still not after {timeout_seconds} s: {what}"
        pause.wait(0.02)
