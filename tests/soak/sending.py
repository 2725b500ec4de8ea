"""The providers of a soak: send every delivery until it is answered 2xx, while processes are killed beneath them."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

import httptools
from simulator import samples

from tests.soak.month import Chaos, Delivery
from tests.support.service_process import ServiceProcess

CONNECTIONS: Final = 48
ANSWER_LIMIT_SECONDS: Final = 15.0
AGAIN_SECONDS: Final = 0.05
TELL_EVERY_SECONDS: Final = 5.0
Told = Callable[[str], None]


@dataclass(slots=True)
class Sending:
    """How far it is. The next process is killed after so many seconds, or so many answered events."""

    chaos: Chaos
    processes: list[ServiceProcess]
    secret: str
    kill_every_seconds: float | None
    kill_every_events: int | None
    until: float
    told: Told
    answered: int = 0
    """Events whose delivery was answered."""
    attempts: int = 0
    kills: int = 0
    refused: Counter[int] = field(default_factory=Counter)
    _next: int = 0
    _moved: asyncio.Event = field(default_factory=asyncio.Event)
    _begun: float = field(default_factory=time.monotonic)

    async def send_all(self) -> None:
        """Send until everything was answered or the time is up, then stop killing."""
        killing = asyncio.create_task(self._kill())
        telling = asyncio.create_task(self._tell())
        try:
            await asyncio.gather(*(self._send(number) for number in range(CONNECTIONS)))
        finally:
            killing.cancel()
            telling.cancel()
            await asyncio.gather(killing, telling, return_exceptions=True)
            # The last one may have been killed and not started again yet.
            for each in self.processes:
                if each.running.poll() is not None:
                    each.start()

    @property
    def taken(self) -> int:
        """How many deliveries have been begun; each of them was answered in the end."""
        return self._next

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._begun

    async def _send(self, number: int) -> None:
        connection = _Connection()
        while self._next < len(self.chaos) and time.monotonic() < self.until:
            place, self._next = self._next, self._next + 1
            delivery = self.chaos.delivery(place)
            status = 0
            while not 200 <= status < 300:
                process = self.processes[(number + self.attempts) % len(self.processes)]
                self.attempts += 1
                status = await connection.post(process.port, delivery, self.secret)
                if not 200 <= status < 300:
                    self.refused[status] += 1
                    await asyncio.sleep(AGAIN_SECONDS)
            self.answered += delivery.events
            self._moved.set()
        connection.close()

    async def _kill(self) -> None:
        """Kill one after the other, as a power cut would, and start each again at once."""
        due = self.kill_every_events or 0
        while True:
            if self.kill_every_seconds is not None:
                await asyncio.sleep(self.kill_every_seconds)
            else:
                while self.answered < due:
                    self._moved.clear()
                    await self._moved.wait()
                due += self.kill_every_events or 0
            victim = self.processes[self.kills % len(self.processes)]
            await victim.answers(timeout_seconds=120)
            await asyncio.to_thread(victim.kill)
            victim.start()
            self.kills += 1

    async def _tell(self) -> None:
        while True:
            await asyncio.sleep(TELL_EVERY_SECONDS)
            rate = self.answered / self.seconds
            self.told(
                f"{self.answered:,} of {self.chaos.events:,} events answered after {self.seconds:.0f} s,"
                f" {rate:,.0f}/s, {self.kills} kills, {self.refused.total():,} sent again"
            )


class _Connection:
    """One connection that is kept for as long as the other side keeps it."""

    def __init__(self) -> None:
        self._port = 0
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def post(self, port: int, delivery: Delivery, secret: str) -> int:
        """Deliver once; returns the status of the answer, 0 where there was none."""
        try:
            async with asyncio.timeout(ANSWER_LIMIT_SECONDS):
                if self._streams is None or self._port != port:
                    self.close()
                    self._streams, self._port = await asyncio.open_connection("127.0.0.1", port), port
                reader, writer = self._streams
                writer.write(_request(port, delivery, secret))
                return await _status(reader)
        except (OSError, TimeoutError, asyncio.IncompleteReadError, httptools.HttpParserError):
            self.close()
            return 0

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
        self._streams = None


def _request(port: int, delivery: Delivery, secret: str) -> bytes:
    body = delivery.body
    if delivery.provider == "stripe":
        headers = samples.sign_stripe(body, secret, datetime.now(UTC))
    else:
        headers = samples.sign_gocardless(body, secret)
    lines = [f"POST /webhooks/{delivery.provider} HTTP/1.1", f"host: 127.0.0.1:{port}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, f"content-length: {len(body)}", "", ""]).encode() + body


class _Answer:
    """What the parser calls."""

    complete = False

    def on_message_complete(self) -> None:
        self.complete = True


async def _status(reader: asyncio.StreamReader) -> int:
    answer = _Answer()
    parser = httptools.HttpResponseParser(answer)
    while not answer.complete:
        data = await reader.read(65_536)
        if not data:
            raise ConnectionResetError
        parser.feed_data(data)
    return int(parser.get_status_code())
