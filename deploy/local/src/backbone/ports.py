"""Ports: fixed by default so that a reader can bookmark them, moved to a free one where somebody else listens."""

from __future__ import annotations

import socket
from collections.abc import Collection

from backbone.waiting import Progress


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
    """A port that nobody listens on and that is not in `taken`."""
    while True:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
        if port not in taken:
            return port


def choose_port(what: str, wanted: int, taken: Collection[int], progress: Progress) -> int:
    """The port that was wanted, or a free one, said aloud, when it is taken."""
    if wanted not in taken and is_free(wanted):
        return wanted
    port = free_port(taken)
    progress.said(f"port {wanted} for {what} is taken: using {port}")
    return port


def answers(port: int, timeout_seconds: float = 0.2) -> bool:
    """Whether something accepts connections on 127.0.0.1 at `port`."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=timeout_seconds).close()
    except OSError:
        return False
    return True
