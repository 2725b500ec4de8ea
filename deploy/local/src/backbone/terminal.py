"""What the command says while it works: a line for what is done, a moving one for what it waits for."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

from rich.console import Console
from rich.progress import Progress as Bar
from rich.progress import SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

# Output that a program may read goes to standard output alone; everything said on the way goes here.
CONSOLE: Final = Console(stderr=True, highlight=False)


class Terminal:
    """Progress on the terminal, from any thread. Where there is no terminal, one plain line for each wait."""

    def __init__(self, console: Console = CONSOLE) -> None:
        self._console = console
        self._interrupted = threading.Event()
        self._bar = Bar(
            SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn(), console=console, transient=True
        )
        self._tasks: dict[int, tuple[TaskID, str]] = {}
        self._lock = threading.Lock()

    def waiting(self, what: str) -> None:
        with self._lock:
            task, shown = self._tasks.get(threading.get_ident(), (None, ""))
            if what == shown:
                return
            if task is not None:
                self._bar.remove_task(task)
            self._tasks[threading.get_ident()] = (self._bar.add_task(what), what)
            if not self._console.is_terminal:
                self._console.print(f"... {what}", soft_wrap=True)

    def said(self, sentence: str) -> None:
        with self._lock:
            task, _ = self._tasks.pop(threading.get_ident(), (None, ""))
            if task is not None:
                self._bar.remove_task(task)
            self._console.print(sentence, soft_wrap=True, markup=False)

    def at_rest(self) -> None:
        """Take away what was under way in threads that have ended."""
        with self._lock:
            for task, _ in self._tasks.values():
                self._bar.remove_task(task)
            self._tasks.clear()

    def check(self) -> None:
        if self._interrupted.is_set():
            raise KeyboardInterrupt

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Turn Ctrl-C, and a request to terminate, into a flag that every wait checks.

        A process is then never interrupted between starting another and noting it down. Who presses twice means it.
        """
        previous = {number: signal.signal(number, self._on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            with self._bar:
                yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        if self._interrupted.is_set():
            raise KeyboardInterrupt
        self._interrupted.set()
