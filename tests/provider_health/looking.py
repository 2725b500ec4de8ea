"""Somebody to look at, and the provider-health service that looks when a test says that time has passed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from chassis.clock import BusinessClock, write_offset
from contracts.events import PauseState
from contracts.topics import AUTOMATION_PAUSES
from provider_health.checks.jobs import Checks
from provider_health.main import service
from provider_health.pauses.jobs import Expiries
from provider_health.settings import ProviderHealthSettings

from tests.support.eventually import eventually
from tests.support.infrastructure import TemporaryDatabase
from tests.support.services import RunningService, running

CADENCE: Final = timedelta(hours=1)
OWN_PACE: Final = {
    "check_cadence_seconds": 3_600,
    "check_dwell_seconds": 60,
    "check_timeout_seconds": 5.0,
    "door_cadence_seconds": 3_600,
    "door_grace_seconds": 0.0,
}


@dataclass
class StandIn:
    """A provider's API or a door of ours: a real server that answers with `status`, or hangs."""

    url: str = ""
    status: int = 200
    hangs: bool = False
    asked: list[str] = field(default_factory=list)

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            self.asked.append(head.split(b"\r\n")[0].decode())
            if self.hangs:
                await reader.read()
            else:
                writer.write(f"HTTP/1.1 {self.status} X\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{{}}".encode())
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def standing_in() -> AsyncIterator[StandIn]:
    made = StandIn()
    server = await asyncio.start_server(made.answer, "127.0.0.1", 0)
    made.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield made
    finally:
        server.close()


@dataclass
class Health:
    """One process of the service, whom it looks at, and the clock that it goes by."""

    running: RunningService[ProviderHealthSettings]
    stripe: StandIn
    gocardless: StandIn
    door: StandIn
    clock: Path

    def advance(self, by: timedelta) -> None:
        """Let business time pass, for everybody who goes by this clock."""
        write_offset(self.clock, BusinessClock(self.clock, recheck_seconds=0).offset + by)

    async def looks(self, times: int = 1) -> None:
        """Let a cadence pass and have every check looked at, as often as that."""
        checks: Checks = self.running.part(Checks)
        await checks.drain()
        for _ in range(times):
            self.advance(CADENCE)
            await self.drained(checks)

    async def drained(self, part: Checks | Expiries) -> None:
        """Have whatever is due by the moved clock done."""
        moved = BusinessClock(self.clock, recheck_seconds=0).offset
        await eventually(lambda: self.running.runtime.clock.offset, lambda offset: offset == moved)
        await part.drain()

    async def status(self, check: str) -> str:
        listed = (await self.running.get("/providers"))["items"]
        (found,) = [each["status"] for each in listed if each["id"] == check]
        return str(found)

    async def goes_down(self) -> None:
        """Have GoCardless fail for three looks, having been up."""
        await self.looks()
        self.gocardless.status = 503
        await self.looks(3)

    async def incident(self, **wanted: str) -> dict[str, Any]:
        """The one incident there is, with its timeline."""
        (listed,) = (await self.running.get("/incidents"))["items"]
        found: dict[str, Any] = await self.running.get(f"/incidents/{listed['id']}")
        return found

    async def post(self, path: str, version: int | None = None, **body: Any) -> Any:
        """The JSON that a write answers with; anything but success fails the test."""
        answer = await self.running.call("POST", path, json=body, headers=if_match(version))
        assert answer.status_code in {200, 201}, (path, answer.status_code, answer.text)
        return answer.json()

    async def refused(self, path: str, version: int | None = None, **body: Any) -> tuple[int, str]:
        """The status and the kind of problem that a write is refused with."""
        answer = await self.running.call("POST", path, json=body, headers=if_match(version))
        assert answer.headers["content-type"] == "application/problem+json", answer.text
        return answer.status_code, answer.json()["type"].removeprefix("/problems/")

    async def pauses_told(self) -> list[tuple[str, PauseState]]:
        """Every change of a pause on its topic, in order: what was done, and the state."""
        events = await self.running.published(AUTOMATION_PAUSES)
        told = [event.data.body for event in events if event.type == "automation_pause.updated"]
        return [(body["change"], PauseState.model_validate(body["pause"])) for body in told]


def if_match(version: int | None) -> dict[str, str]:
    return {} if version is None else {"If-Match": f'"{version}"'}


@asynccontextmanager
async def health_of(
    database: TemporaryDatabase,
    servers: str,
    prefix: str,
    clock: Path,
    stands: tuple[StandIn, StandIn, StandIn],
    **settings: Any,
) -> AsyncIterator[Health]:
    """One process of the service."""
    stripe, gocardless, door = stands
    told = {
        "stripe_api_url": stripe.url,
        "stripe_api_key": "sk_test_1234567890",
        "gocardless_api_url": gocardless.url,
        "gocardless_access_token": "sandbox_1234567890",
        "gateway_url": door.url,
        "payments_url": door.url,
        "clock_file": clock,
        **OWN_PACE,
        **settings,
    }
    async with running(service, database, servers, prefix, **told) as started:
        yield Health(started, stripe, gocardless, door, clock)
