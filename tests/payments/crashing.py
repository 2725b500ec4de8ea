"""A process that makes others, each of which dies as by kill -9 after so many turns of its event loop.

Every await that really waits is a turn. Each line on standing input is a task, `turns role body-in-base64`, where the
role is `worker`, or the provider whose delivery an ingress is to take; the answer is a line `exit-code status`: what
became of the child, and what it had answered to the delivery before it died (0: nothing). Children are forked, so that
none of them pays for the imports again.
"""

from __future__ import annotations

import asyncio
import base64
import os
import selectors
import signal
import sys
from typing import Any

import httpx
from chassis.batch import Limits
from chassis.service import Runtime
from chassis.worker import Worker
from payments.main import input_work, service
from payments.settings import PaymentsSettings

from tests.payments.providers import gocardless_headers, stripe_headers

HEADERS = {"stripe": stripe_headers, "gocardless": gocardless_headers}


class Dying(selectors.DefaultSelector):
    """The event loop's selector; asked once too often, it ends the process."""

    turns_left: int

    def select(self, timeout: float | None = None) -> Any:
        if self.turns_left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        self.turns_left -= 1
        return super().select(timeout)


async def work(settings: PaymentsSettings) -> None:
    """Apply all that is queued, as the worker does."""
    async with Runtime(service, settings) as runtime:
        await Worker(runtime.database, input_work(settings), limits=Limits(max_items=50)).drain()


async def receive(settings: PaymentsSettings, provider: str, body: bytes, answered: int) -> None:
    """Take one delivery, as the ingress does, and pass on what it is answered."""
    async with Runtime(service, settings) as runtime:
        transport = httpx.ASGITransport(app=runtime.application())
        async with httpx.AsyncClient(transport=transport, base_url="http://payments") as client:
            answer = await client.post(f"/webhooks/{provider}", content=body, headers=HEADERS[provider](body))
            os.write(answered, b"%d" % answer.status_code)


def child(turns: int, role: str, body: bytes, answered: int) -> None:
    selector = Dying()
    selector.turns_left = turns
    settings = PaymentsSettings.load("payments")
    doing = work(settings) if role == "worker" else receive(settings, role, body, answered)
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selector)) as runner:
        runner.run(doing)


def run(turns: int, role: str, body: bytes) -> tuple[int, int]:
    """Fork one child and wait for its end."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            child(turns, role, body, writing)
            code = 0
        finally:
            os._exit(code)
    os.close(writing)
    _, status = os.waitpid(pid, 0)
    told = os.read(reading, 16)
    os.close(reading)
    return os.waitstatus_to_exitcode(status), int(told or b"0")


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> None:
    say("ready")
    for line in sys.stdin:
        turns, role, body = line.split(" ")
        code, status = run(int(turns), role, base64.b64decode(body))
        say(f"{code} {status}")


if __name__ == "__main__":
    main()
