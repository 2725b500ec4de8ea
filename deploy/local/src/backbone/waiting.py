"""Every wait has a name, a limit and an end: what it waits for is shown, and a dead process ends it at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Final, Protocol

from backbone.faults import NotReadyError

FIRST_PAUSE_SECONDS: Final = 0.02
LONGEST_PAUSE_SECONDS: Final = 0.25


class Progress(Protocol):
    """Where a wait says what it waits for: the terminal, or nowhere in tests."""

    def waiting(self, what: str) -> None:
        """Say what is under way."""

    def said(self, sentence: str) -> None:
        """Say something that stays on the screen."""

    def check(self) -> None:
        """Raise KeyboardInterrupt once somebody has pressed Ctrl-C."""


class Silent:
    """Says nothing: for tests and for output that a program reads."""

    def waiting(self, what: str) -> None:
        pass

    def said(self, sentence: str) -> None:
        pass

    def check(self) -> None:
        pass


SILENT: Final = Silent()


class AbandonedError(Exception):
    """Something else that was under way at the same time has failed: there is nothing to wait for any more."""


class Shared:
    """Progress of several things at once, all of which are given up when one of them fails."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._abandoned = threading.Event()

    def waiting(self, what: str) -> None:
        self._progress.waiting(what)

    def said(self, sentence: str) -> None:
        self._progress.said(sentence)

    def check(self) -> None:
        if self._abandoned.is_set():
            raise AbandonedError
        self._progress.check()

    def together(self, work: Sequence[Callable[[], object]]) -> None:
        """Do all of it at once. When something fails, give up the rest; raise that first error when all have ended."""
        with ThreadPoolExecutor(max(1, len(work))) as pool:
            futures = [pool.submit(one) for one in work]
            done, _ = wait(futures, return_when=FIRST_EXCEPTION)
            failed = [future for future in done if future.exception() is not None]
            if failed:
                self._abandoned.set()
        self._abandoned.clear()
        for future in (*failed, *futures):
            future.result()


def wait_for(
    what: str,
    ready: Callable[[], bool],
    *,
    limit_seconds: float,
    progress: Progress,
    alive: Callable[[], bool] = lambda: True,
    log: Path | None = None,
) -> None:
    """Wait until `ready`, at most `limit_seconds`. Raises NotReadyError, at once when it is no longer `alive`."""
    progress.check()
    if ready():
        return
    progress.waiting(f"waiting for {what}")
    deadline = time.monotonic() + limit_seconds
    pause = FIRST_PAUSE_SECONDS
    while not ready():
        if not alive():
            raise NotReadyError(f"{what}: the process has ended", log)
        if time.monotonic() >= deadline:
            raise NotReadyError(f"{what}: not ready after {limit_seconds:.0f} s", log)
        progress.check()
        time.sleep(pause)
        pause = min(pause * 1.5, LONGEST_PAUSE_SECONDS)
