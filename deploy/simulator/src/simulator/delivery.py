"""Webhook deliveries: signed, sent, retried until 2xx as the providers do, and all of it visible.

Each endpoint has a lane of its own, so that one that hangs holds up nobody else. A lane sends in the order in which
deliveries fall due; with a concurrency of one they also arrive in it. A retry carries the same body and, at Stripe, a
fresh timestamp. Nothing goes out during an outage; what waited goes when it ends.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Literal

import httpx

from simulator import samples
from simulator.clock import real_now
from simulator.faults import Faults, Tampering
from simulator.settings import Provider, Settings

_FIRST_RETRY_SECONDS: Final = 3600
_LONGEST_RETRY_SECONDS: Final = 12 * 3600
_FINISHED_WORTH_KEEPING: Final = 200
_OTHER_SECRET: Final = "whsec_of_somebody_else"  # noqa: S105 (a wrong secret on purpose)

State = Literal["pending", "delivered", "failed", "dropped"]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a provider sends webhooks. `api_version` and `thin` (what happened, without the object) are Stripe's."""

    provider: Provider
    url: str
    secrets: tuple[str, ...]
    api_version: str = ""
    thin: bool = False


@dataclass(slots=True)
class Attempt:
    """One request: its answer, or why there was none."""

    at: datetime
    milliseconds: float
    status: int | None
    error: str | None = None
    fault: Tampering | None = None


@dataclass(slots=True)
class Delivery:
    """One body for one endpoint. `tampering` befalls the first attempt; `forged` ones are never tried again."""

    number: int
    provider: Provider
    url: str
    event_ids: list[str]
    event_types: list[str]
    body: bytes
    state: State = "pending"
    copy_of: int | None = None
    tampering: Tampering | None = None
    forged: bool = False
    signed_at_offset_seconds: float = 0
    next_attempt_at: datetime | None = None
    attempts: list[Attempt] = field(default_factory=list)

    @property
    def id(self) -> str:
        return f"dlv_{self.number:06d}"


class Lane:
    """The deliveries that wait for one endpoint."""

    def __init__(self, endpoint: Endpoint, faults: Faults) -> None:
        self.endpoint, self.faults = endpoint, faults
        self.window: list[Delivery] = []
        self.window_timer: asyncio.TimerHandle | None = None
        self._due: list[tuple[datetime, int, Delivery]] = []
        self._order = itertools.count()
        self._wake = asyncio.Event()

    def put(self, delivery: Delivery, at: datetime) -> None:
        """Send `delivery` at `at` (real time) at the earliest."""
        delivery.next_attempt_at = at
        heapq.heappush(self._due, (at, next(self._order), delivery))
        self._wake.set()

    def wake(self) -> None:
        """Look again, since an outage may have ended."""
        self._wake.set()

    async def take(self) -> Delivery:
        """Wait for the next delivery that is due."""
        while True:
            self._wake.clear()
            wait_seconds = None
            if self._due and not self.faults.dial.outage.webhooks:
                wait_seconds = (self._due[0][0] - real_now()).total_seconds()
                if wait_seconds <= 0:
                    return heapq.heappop(self._due)[2]
            try:
                async with asyncio.timeout(wait_seconds):
                    await self._wake.wait()
            except TimeoutError:
                continue


class Dispatcher:
    """Sends what is enqueued, and keeps the record of it."""

    def __init__(self, settings: Settings, faults: dict[Provider, Faults], changed: Callable[[], None]) -> None:
        self._settings, self._faults, self._changed = settings, faults, changed
        self._lanes: dict[tuple[Provider, str], Lane] = {}
        self._workers: dict[Lane, list[asyncio.Task[None]]] = {}
        self._pending: dict[int, Delivery] = {}
        self._client: httpx.AsyncClient | None = None
        self._settled = asyncio.Condition()
        self._numbers = itertools.count(1)
        self.deliveries: dict[str, Delivery] = {}

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Send as long as the block lasts; an attempt under way at its end is cut off and stays pending."""
        timeout = httpx.Timeout(self._settings.timeout_seconds)
        async with httpx.AsyncClient(timeout=timeout, follow_redirects=False, trust_env=False) as client:
            self._client = client
            for lane in self._lanes.values():
                self._start(lane)
            try:
                yield
            finally:
                stopped = [worker for lane in list(self._workers) for worker in self._stop(lane)]
                await asyncio.gather(*stopped, return_exceptions=True)
                self._client = None

    @property
    def endpoints(self) -> list[Endpoint]:
        return [lane.endpoint for lane in self._lanes.values()]

    def listening(self, provider: Provider) -> list[Endpoint]:
        """Return the endpoints of one provider."""
        return [endpoint for endpoint in self.endpoints if endpoint.provider == provider]

    def point(self, endpoints: list[Endpoint]) -> None:
        """Send to these endpoints from now on; what waits for one that is gone is given up."""
        wanted = {(endpoint.provider, endpoint.url): endpoint for endpoint in endpoints}
        for key in [key for key in self._lanes if key not in wanted]:
            self._stop(self._lanes.pop(key))
            for delivery in self.pending():
                if (delivery.provider, delivery.url) == key:
                    self._finish(delivery, "failed")
        for key, endpoint in wanted.items():
            if key in self._lanes:
                self._lanes[key].endpoint = endpoint
            else:
                self._lanes[key] = Lane(endpoint, self._faults[endpoint.provider])
                if self._client is not None:
                    self._start(self._lanes[key])

    def restore(self, deliveries: list[Delivery]) -> None:
        """Take over what an earlier run had recorded, and go on with what it had not delivered.

        Where an endpoint has moved meanwhile, what waited for it goes to the provider's first one.
        """
        first_lanes = {lane.endpoint.provider: lane for lane in reversed(self._lanes.values())}
        for delivery in deliveries:
            self.deliveries[delivery.id] = delivery
            lane = self._lanes.get((delivery.provider, delivery.url)) or first_lanes.get(delivery.provider)
            if delivery.state == "pending" and lane is not None:
                delivery.url = lane.endpoint.url
                self._pending[delivery.number] = delivery
                lane.put(delivery, delivery.next_attempt_at or real_now())
            elif delivery.state == "pending":
                self._finish(delivery, "failed")
        last = max((delivery.number for delivery in deliveries), default=0)
        self._numbers = itertools.count(last + 1)

    def forget(self) -> None:
        """Drop everything that was ever sent or waits."""
        endpoints = self.endpoints
        for lane in self._lanes.values():
            self._stop(lane)
        self._lanes.clear()
        self.deliveries.clear()
        self._pending.clear()
        self._numbers = itertools.count(1)
        self.point(endpoints)

    def send(self, endpoint: Endpoint, event_ids: list[str], event_types: list[str], body: bytes) -> None:
        """Deliver `body`, with whatever the dial does to it."""
        lane = self._lanes[endpoint.provider, endpoint.url]
        reordering = lane.faults.reordering()
        plan = lane.faults.plan()
        delivery = self._record(endpoint, event_ids, event_types, body)
        delivery.tampering = plan.tampering
        if plan.dropped:
            self._finish(delivery, "dropped")
            return
        copies = [self._record(endpoint, event_ids, event_types, body) for _ in range(plan.copies)]
        for copy in copies:
            copy.copy_of = delivery.number
        for one in (delivery, *copies):
            if reordering is None:
                lane.put(one, real_now() + timedelta(seconds=plan.delay_seconds))
            else:
                self._hold(lane, one, reordering[1], reordering[2])

    def resend(self, delivery: Delivery) -> Delivery:
        """Deliver the same body once more, as a person does from the provider's dashboard."""
        lane = self._lanes[delivery.provider, delivery.url]
        copy = self._record(lane.endpoint, delivery.event_ids, delivery.event_types, delivery.body)
        copy.copy_of = delivery.number
        lane.put(copy, real_now())
        return copy

    def forge(
        self, delivery: Delivery, body: bytes, tampering: Tampering | None, signed_at_offset_seconds: float
    ) -> Delivery:
        """Send a forgery of `delivery` once."""
        lane = self._lanes[delivery.provider, delivery.url]
        forgery = self._record(lane.endpoint, delivery.event_ids, delivery.event_types, body)
        forgery.copy_of, forgery.forged, forgery.tampering = delivery.number, True, tampering
        forgery.signed_at_offset_seconds = signed_at_offset_seconds
        lane.put(forgery, real_now())
        return forgery

    def release_windows(self) -> None:
        """Send what waits to be put into another order, though the window is not full."""
        for lane in self._lanes.values():
            self._release(lane)

    def wake(self) -> None:
        """Look again at everything that waits."""
        for lane in self._lanes.values():
            lane.wake()

    def pending(self) -> list[Delivery]:
        """Return what is not delivered yet and not given up."""
        return list(self._pending.values())

    def worth_keeping(self) -> list[Delivery]:
        """Return what a restarted simulator needs: what is pending, and the last finished ones to look at."""
        finished = [delivery for delivery in self.deliveries.values() if delivery.state != "pending"]
        return sorted([*self.pending(), *finished[-_FINISHED_WORTH_KEEPING:]], key=lambda delivery: delivery.number)

    async def flush(self, timeout_seconds: float) -> bool:
        """Wait until nothing is pending; False when the time was too short."""
        self.release_windows()
        try:
            async with asyncio.timeout(timeout_seconds), self._settled:
                await self._settled.wait_for(lambda: not self._pending)
        except TimeoutError:
            return False
        return True

    def _record(self, endpoint: Endpoint, event_ids: list[str], event_types: list[str], body: bytes) -> Delivery:
        delivery = Delivery(next(self._numbers), endpoint.provider, endpoint.url, event_ids, event_types, body)
        self.deliveries[delivery.id] = self._pending[delivery.number] = delivery
        if len(self.deliveries) > self._settings.deliveries_kept_max:
            finished = next((key for key, one in self.deliveries.items() if one.state != "pending"), None)
            if finished is not None:
                del self.deliveries[finished]
        self._changed()
        return delivery

    def _finish(self, delivery: Delivery, state: State) -> None:
        delivery.state, delivery.next_attempt_at = state, None
        self._pending.pop(delivery.number, None)

    def _hold(self, lane: Lane, delivery: Delivery, size: int, seconds: float) -> None:
        lane.window.append(delivery)
        if len(lane.window) >= size:
            self._release(lane)
        elif lane.window_timer is None:
            lane.window_timer = asyncio.get_running_loop().call_later(seconds, self._release, lane)

    def _release(self, lane: Lane) -> None:
        if lane.window_timer is not None:
            lane.window_timer.cancel()
            lane.window_timer = None
        if not lane.window:
            return
        reordering = lane.faults.reordering()
        places = list(range(len(lane.window)))
        if reordering is not None and reordering[0] == "random":
            lane.faults.shuffle(places)
        else:
            places.reverse()
        now = real_now()
        for place in places:
            lane.put(lane.window[place], now)
        lane.window.clear()
        lane.faults.window_closed()

    def _start(self, lane: Lane) -> None:
        self._workers[lane] = [asyncio.create_task(self._work(lane)) for _ in range(self._settings.concurrency)]

    def _stop(self, lane: Lane) -> list[asyncio.Task[None]]:
        if lane.window_timer is not None:
            lane.window_timer.cancel()
        workers = self._workers.pop(lane, [])
        for worker in workers:
            worker.cancel()
        return workers

    async def _work(self, lane: Lane) -> None:
        while True:
            delivery = await lane.take()
            await self._attempt(lane, delivery)
            self._changed()
            async with self._settled:
                self._settled.notify_all()

    async def _attempt(self, lane: Lane, delivery: Delivery) -> None:
        first = not delivery.attempts
        fault = delivery.tampering if first else None
        body, headers = self._signed(lane, delivery, fault)
        started, at = time.perf_counter(), real_now()
        status, error = await self._post(delivery.url, body, headers)
        milliseconds = round((time.perf_counter() - started) * 1000, 1)
        delivery.attempts.append(Attempt(at, milliseconds, status, error, fault))
        if status is not None and 200 <= status < 300:
            self._finish(delivery, "delivered")
        elif delivery.forged or len(delivery.attempts) >= self._settings.attempts_max:
            self._finish(delivery, "failed")
        else:
            lane.put(delivery, real_now() + self._pause(len(delivery.attempts)))

    async def _post(self, url: str, body: bytes, headers: dict[str, str]) -> tuple[int | None, str | None]:
        if self._client is None:
            return None, "the simulator is stopping"
        try:
            answer = await self._client.post(url, content=body, headers=headers)
        except httpx.HTTPError as error:
            return None, f"{type(error).__name__}: {error}".rstrip(": ")
        return answer.status_code, None

    def _signed(self, lane: Lane, delivery: Delivery, fault: Tampering | None) -> tuple[bytes, dict[str, str]]:
        secrets = (_OTHER_SECRET,) if fault == "other_secret" else lane.endpoint.secrets
        if delivery.provider == "stripe":
            at = real_now() + timedelta(seconds=delivery.signed_at_offset_seconds)
            headers = samples.sign_stripe(delivery.body, secrets, at)
        else:
            headers = samples.sign_gocardless(delivery.body, secrets[0])
        body = lane.faults.altered(delivery.body) if fault == "altered_byte" else delivery.body
        return body, headers

    def _pause(self, attempts: int) -> timedelta:
        seconds = min(_FIRST_RETRY_SECONDS * 2 ** (attempts - 1), _LONGEST_RETRY_SECONDS)
        return timedelta(seconds=seconds * self._settings.retry_scale)
