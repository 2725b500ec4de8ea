"""Rate limits: so many reads and writes of one caller, and requests of one address that names nobody.

Counted by the `limits` library in a sliding window, at one URI: in the memory of each process by default, so that n
processes admit up to n times the limit. Where the storage is away the door stays open, and the readiness detail says
so. Every answer tells how much is left (`RateLimit-Policy`, `RateLimit`). Tested in tests/gateway/test_limiting.py.
"""

from __future__ import annotations

import asyncio
import math
import time
from typing import Final, Literal

import structlog
from chassis.web import Check, Problem, ProblemType, RequestContext
from limits import RateLimitItem, parse
from limits.aio.storage import Storage
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from limits.storage import storage_from_string

log = structlog.get_logger()
RATE_LIMITED: Final = ProblemType("rate-limited", "Too many requests", 429)
STORAGE_TIMEOUT_SECONDS: Final = 0.1
AWAY_SECONDS: Final = 5.0
Class = Literal["read", "write", "anonymous"]


class Limiter:
    """Admits requests or refuses them with 429."""

    name = "rate limits"

    def __init__(self, storage: str, rates: dict[Class, str]) -> None:
        """Raises an error of `limits` for a storage that it does not know or has no client for."""
        opened = storage_from_string(f"async+{storage.removeprefix('async+')}")
        if not isinstance(opened, Storage):
            raise TypeError(f"{storage} is no storage for one loop")
        self._limiter = SlidingWindowCounterRateLimiter(opened)
        self._items: dict[Class, RateLimitItem] = {name: parse(rate) for name, rate in rates.items()}
        self._away_since: float | None = None
        self._asked_at = 0.0

    async def admit(self, context: RequestContext, limit: Class, caller: str) -> None:
        """Count one request of `caller`. Raises Problem (429) when it is one too many."""
        item = self._items[limit]
        now = time.monotonic()
        if self._away_since is not None and now - self._asked_at < AWAY_SECONDS:
            return None  # one request in five seconds asks whether the storage is back; nobody else waits for it
        self._asked_at = now
        try:
            async with asyncio.timeout(STORAGE_TIMEOUT_SECONDS):
                admitted = await self._limiter.hit(item, limit, caller)
                stats = await self._limiter.get_window_stats(item, limit, caller)
        except Exception as error:  # whatever the storage's client raises, the door stays open
            return self._lost(error)
        self._found()
        seconds = max(1, math.ceil(stats.reset_time - time.time()))
        context.headers += [
            (b"ratelimit-policy", f'"{limit}";q={item.amount};w={item.get_expiry()}'.encode()),
            (b"ratelimit", f'"{limit}";r={max(0, stats.remaining)};t={seconds}'.encode()),
        ]
        if not admitted:
            raise Problem(
                RATE_LIMITED,
                f"{item.amount} requests in {item.get_expiry()} s are allowed; wait {seconds} s.",
                headers={"Retry-After": str(seconds)},
            )
        return None

    def check(self) -> Check:
        """Whether limits are counted; the process is ready without."""
        if self._away_since is None:
            return Check(self.name, ok=True)
        seconds = time.monotonic() - self._away_since
        return Check(self.name, ok=False, detail=f"the storage is away for {seconds:.0f} s: nothing is limited")

    def _lost(self, error: Exception) -> None:
        if self._away_since is None:
            log.error("rate_limits.away", error=type(error).__name__, next_step="nothing is limited meanwhile")
            self._away_since = time.monotonic()

    def _found(self) -> None:
        if self._away_since is not None:
            log.info("rate_limits.back")
            self._away_since = None


class LimiterWatch:
    """A part that does nothing but say, for the readiness detail, whether limits are counted."""

    def __init__(self, limiter: Limiter) -> None:
        self._limiter = limiter
        self._stopping = asyncio.Event()

    @property
    def name(self) -> str:
        return self._limiter.name

    async def run(self) -> None:
        """Last as long as the process."""
        await self._stopping.wait()

    async def stop(self) -> None:
        self._stopping.set()

    def check(self) -> Check:
        return self._limiter.check()
