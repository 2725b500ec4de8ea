"""The load generator, a process of its own: signed deliveries over 64 keep-alive connections.

Closed loop: each connection sends its next delivery when the last was answered. Open loop (`--rate`): deliveries leave
on a fixed timetable and latency counts from the timetable, so that a slow server cannot hide its queue.
It signs everything first, prints `ready`, waits for a line, then prints `measuring`, `measured` and `done`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hmac
import struct
import sys
import time
from collections import deque
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

import httptools
import uvloop

from tests.bench.bodies import StripeBodies

ANSWER = struct.Struct("<qqqi")
"""Number of the delivery, when it was due and answered (ns since the epoch), and the status; 0 when cut off."""
DRAIN_TIMEOUT_SECONDS = 60


def signed_requests(url: str, secret: str, run: str, count: int) -> deque[tuple[int, bytes]]:
    """Whole HTTP requests, each with a body of its own and Stripe's signature."""
    parts = urlsplit(url)
    bodies = StripeBodies(run)
    stamp = str(int(time.time()))
    head = (
        f"POST {parts.path} HTTP/1.1\r\nhost: {parts.netloc}\r\naccept: */*\r\nuser-agent: Stripe/1.0\r\n"
        "cache-control: no-cache\r\ncontent-type: application/json; charset=utf-8\r\n"
    )
    requests: deque[tuple[int, bytes]] = deque()
    for number in range(count):
        body = bodies.body(number)
        signature = hmac.digest(secret.encode(), stamp.encode() + b"." + body, "sha256").hex()
        signed = f"{head}stripe-signature: t={stamp},v1={signature}\r\ncontent-length: {len(body)}\r\n\r\n"
        requests.append((number, signed.encode() + body))
    return requests


class Connection(asyncio.Protocol):
    """One keep-alive connection with at most one delivery under way."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._sent: tuple[int, int] | None = None

    def send(self, number: int, request: bytes, due_ns: int) -> None:
        self._sent = number, due_ns
        assert self._transport is not None
        self._transport.write(request)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transport is an asyncio.Transport in all but name.
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        self._finish(self._parser.get_status_code())
        self._load.idle(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._finish(0)
        self._load.lost(self)

    def _finish(self, status: int) -> None:
        if self._sent is not None:
            number, due_ns = self._sent
            self._sent = None
            self._load.answers.append((number, due_ns, time.time_ns(), status))


class Load:
    """Everything that is sent and answered in one run."""

    def __init__(self, requests: deque[tuple[int, bytes]], rate: float | None) -> None:
        self.answers: list[tuple[int, int, int, int]] = []
        self.reconnects = 0
        self._requests = requests
        self._rate = rate
        self._due: deque[int] = deque()
        self._idle: deque[Connection] = deque()
        self._sending = False
        self._drained = asyncio.Event()
        self._connections = 0

    def idle(self, connection: Connection) -> None:
        if not self._sending or not self._requests:
            self._idle.append(connection)
            self._notice_drained()
        elif self._rate is None:
            connection.send(*self._requests.popleft(), time.time_ns())
        elif self._due:
            connection.send(*self._requests.popleft(), self._due.popleft())
        else:
            self._idle.append(connection)

    def lost(self, connection: Connection) -> None:
        self._connections -= 1
        if connection in self._idle:
            self._idle.remove(connection)
        self._notice_drained()

    def _notice_drained(self) -> None:
        if not self._sending and len(self._idle) >= self._connections:
            self._drained.set()

    async def connect(self, url: str, connections: int) -> None:
        parts = urlsplit(url)
        loop = asyncio.get_running_loop()
        while self._connections < connections:
            _, connection = await loop.create_connection(
                lambda: Connection(self), parts.hostname or "", parts.port or 80
            )
            self._connections += 1
            self._idle.append(connection)

    async def run(self, url: str, connections: int, seconds: float) -> None:
        """Send for so long; connections that the server closed are opened again."""
        self._sending = True
        ends = time.monotonic() + seconds
        if self._rate is not None:
            timetable = asyncio.create_task(self._keep_timetable(self._rate))
        self._use_idle()
        while (left := ends - time.monotonic()) > 0:
            await asyncio.sleep(min(0.1, left))
            if self._connections < connections:
                self.reconnects += connections - self._connections
                await self.connect(url, connections)
                self._use_idle()
        if self._rate is not None:
            timetable.cancel()

    async def drain(self) -> None:
        """Wait for the answers that are still out."""
        self._sending = False
        self._drained.clear()
        self._notice_drained()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._drained.wait(), DRAIN_TIMEOUT_SECONDS)

    async def _keep_timetable(self, rate: float) -> None:
        period_ns = int(1e9 / rate)
        due_ns = time.time_ns()
        while True:
            due_ns += period_ns
            await asyncio.sleep(max(0.0, (due_ns - time.time_ns()) / 1e9))
            self._due.append(due_ns)
            self._use_idle()

    def _use_idle(self) -> None:
        waiting = len(self._idle) if self._rate is None else min(len(self._idle), len(self._due))
        for _ in range(waiting):
            self.idle(self._idle.popleft())


def write(answers: list[tuple[int, int, int, int]], out: Path) -> None:
    out.write_bytes(b"".join(ANSWER.pack(*answer) for answer in answers))


def tell(word: str) -> None:
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


async def main(arguments: argparse.Namespace) -> None:
    requests = signed_requests(arguments.url, arguments.secret, arguments.run, arguments.count)
    load = Load(requests, arguments.rate)
    await load.connect(arguments.url, arguments.connections)
    tell("ready")
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    await load.run(arguments.url, arguments.connections, arguments.warm_up)
    tell("measuring")
    await load.run(arguments.url, arguments.connections, arguments.seconds)
    tell("measured")
    await load.drain()
    write(load.answers, Path(arguments.out))
    tell("done")


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", required=True)
    parser.add_argument("--secret", required=True)
    parser.add_argument("--run", required=True, help="prefix of every id that is sent")
    parser.add_argument("--out", required=True, help="file for the answers")
    parser.add_argument("--count", type=int, required=True, help="deliveries to sign beforehand")
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--rate", type=float, help="deliveries a second; without it a closed loop")
    parser.add_argument("--warm-up", type=float, default=2.0, help="seconds")
    parser.add_argument("--seconds", type=float, default=8.0)
    return parser.parse_args()


if __name__ == "__main__":
    uvloop.run(main(parsed()))
