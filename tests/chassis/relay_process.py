"""A relay in a process of its own, for tests that end it.

Of all relays that share one tally the one that works kills itself each time another 2,000 rows are acknowledged: at
that moment, before it can delete them, or once more rows are on the wire. Or it freezes with its first batch in hand.
"""

from __future__ import annotations

import asyncio
import mmap
import multiprocessing
import os
import signal
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any, Literal

import uvloop
from chassis.kafka import KafkaSettings, Producer
from chassis.relay import Relay

from tests.chassis.relaying import open_database

ROWS_PER_LIFE = 2_000
Death = Literal["never", "acknowledged", "on the wire", "frozen"]


class Tally:
    """Acknowledged rows and deaths so far, shared by processes of which one writes at a time."""

    _FORM = struct.Struct("<QQ")

    def __init__(self, file: Path) -> None:
        if not file.exists():
            file.write_bytes(bytes(self._FORM.size))
        with file.open("r+b") as opened:
            self._shared = mmap.mmap(opened.fileno(), self._FORM.size)

    @property
    def rows(self) -> int:
        return int(self._FORM.unpack(self._shared[:])[0])

    @property
    def deaths(self) -> int:
        return int(self._FORM.unpack(self._shared[:])[1])

    def add(self, rows: int) -> bool:
        """Count more rows; True when whoever counted them must die."""
        total, deaths = self.rows + rows, self.deaths
        due = total // ROWS_PER_LIFE > deaths
        self._shared[:] = self._FORM.pack(total, deaths + due)
        return due


class MortalProducer(Producer):
    """The real producer; on its way it counts what is acknowledged, and ends the process when it is time."""

    tally: Tally
    death: Death = "never"
    _due = False

    async def submit(self, batch: Any, topic: str, partition: int) -> asyncio.Future[Any]:
        if self.death == "frozen":
            type(self).death = "never"
            os.kill(os.getpid(), signal.SIGSTOP)
        records = batch.record_count()
        future = await super().submit(batch, topic, partition)
        future.add_done_callback(lambda done: self._count(done, records))
        if self._due:
            # Two turns of the loop later the request has been written to the socket.
            loop = asyncio.get_running_loop()
            loop.call_later(0.001, _die)
        return future

    def _count(self, done: asyncio.Future[Any], records: int) -> None:
        if not done.cancelled() and done.exception() is None and self.tally.add(records):
            if self.death == "acknowledged":
                _die()
            self._due = self.death == "on the wire"


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def mortal(tally: Tally, death: Death) -> Callable[[KafkaSettings], Awaitable[Producer]]:
    """Opens producers that die that way."""
    MortalProducer.tally, MortalProducer.death = tally, death
    return MortalProducer.open


@dataclass(frozen=True, slots=True)
class Life:
    """What such a process is told."""

    database_url: str
    kafka: KafkaSettings
    tally: Path
    death: Death

    def live(self) -> None:
        uvloop.run(self._relay())

    async def _relay(self) -> None:
        await Relay(open_database(self.database_url), self.kafka, mortal(Tally(self.tally), self.death)).run()


def start(life: Life) -> ForkServerProcess:
    """Start one, within milliseconds: it is forked from a server that has imported everything."""
    process = _context.Process(target=life.live, daemon=True)
    process.start()
    return process


def warm_up() -> None:
    """Have that server started: its imports take seconds, in which an event loop would stand still."""
    process = _context.Process(target=int)
    process.start()
    process.join()


_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload([__name__])
