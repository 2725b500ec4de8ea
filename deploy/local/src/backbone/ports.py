"""Ports: fixed by default so that a reader can bookmark them, moved to a free one where somebody else listens."""

from __future__ import annotations

import itertools
import secrets
import socket
import threading
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Final

from backbone.faults import LocalError
from backbone.settings import DEFAULT_PORTS
from backbone.waiting import Progress

_CANDIDATES: Final = range(20_000, 32_000)
"""Below those that the system gives to outgoing connections, one of which might take a port before a server does."""
_turns: Final = itertools.count(secrets.randbelow(len(_CANDIDATES)))


def is_free(port: int) -> bool:
    """Whether a server could listen on 127.0.0.1 at `port` now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As servers do: a port in TIME_WAIT counts as free, one with a listener does not.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def free_port(taken: Collection[int] = ()) -> int:
    """A port that nobody listens on and that is not in `taken`. Raises LocalError.

    A process is given none a second time before it was given every other, and processes begin anywhere: hardly two of
    them mean one port at the same time.
    """
    for turn in itertools.islice(_turns, len(_CANDIDATES)):
        port = _CANDIDATES[turn % len(_CANDIDATES)]
        if port not in taken and is_free(port):
            return port
    raise LocalError(f"no port from {_CANDIDATES[0]} to {_CANDIDATES[-1]} is free on 127.0.0.1")


def answers(port: int, timeout_seconds: float = 0.2) -> bool:
    """Whether something accepts connections on 127.0.0.1 at `port`."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=timeout_seconds).close()
    except OSError:
        return False
    return True


@dataclass(slots=True)
class Ports:
    """The ports of one stack, each chosen once. `fixed` are those that somebody insists on: they never move."""

    fixed: Mapping[str, int]
    progress: Progress
    _chosen: dict[str, int] = field(default_factory=dict)
    _guard: threading.Lock = field(default_factory=threading.Lock)

    def choose(self, name: str) -> int:
        """The port of `name`: its fixed or default one, or a free one where that is taken. Raises LocalError."""
        with self._guard:
            if name not in self._chosen:
                self._chosen[name] = self._choose(name)
            return self._chosen[name]

    def _choose(self, name: str) -> int:
        taken = {*self._chosen.values(), *self.fixed.values(), *DEFAULT_PORTS.values()}
        if name in self.fixed:
            if not is_free(self.fixed[name]):
                raise LocalError(f"port {self.fixed[name]} is taken, and BACKBONE_PORTS wants it for {name}")
            return self.fixed[name]
        default = DEFAULT_PORTS.get(name)
        if default is not None and default not in self.fixed.values() and is_free(default):
            return default
        port = free_port(taken)
        if default is not None:
            self.progress.said(f"port {default} for {name} is taken: using {port}")
        return port
