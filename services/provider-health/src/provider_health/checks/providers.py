"""Looking: one small request to a provider's API or to a door of ours, and what its answer says about whoever gave it.

An answer in time with a success is `ok`; a late one is `impaired`; 429 says that we ask too often and nothing else.
Everything that is no answer, or one of any other status, is `failed`. A door without an address, and one that does not
exist yet, is `absent`: nothing is known about it, and its evidence says why.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import httpx

from provider_health.checks.domain import Outcome
from provider_health.names import AI_DECISIONS, API, EVENTS, GOCARDLESS, HTTP, MEMBERS_API, PAYMENT_WEBHOOKS, STRIPE
from provider_health.settings import ProviderHealthSettings

_GOCARDLESS_VERSION: Final = "2015-07-06"
_ANSWER_MAX_BYTES: Final = 1_048_576
_NO_SOURCE: Final = "no source of AI decisions exists yet"
_NO_ADDRESS: Final = "no address of it is configured"


@dataclass(frozen=True, slots=True)
class Answer:
    """What one look has shown, in words as well."""

    outcome: Outcome
    evidence: str
    latency_ms: int | None = None


class Probes(Protocol):
    """Whoever can look at what is checked."""

    async def look(self, check_id: str) -> Answer:
        """Look once, within a limit of time; never raises for what it finds."""

    async def aclose(self) -> None:
        """Close every connection."""


@dataclass(frozen=True, slots=True)
class Door:
    """Where to look: the same path at each of several origins, of which one has to answer."""

    origins: Sequence[str]
    path: str
    headers: Mapping[str, str]


class HttpProbes:
    """Looks by HTTP."""

    def __init__(
        self, doors: Mapping[str, Door], absent: Mapping[str, str], *, timeout_seconds: float, slow_ms: int
    ) -> None:
        self._doors = doors
        self._absent = absent
        self._timeout_seconds = timeout_seconds
        self._slow_ms = slow_ms
        self._client = httpx.AsyncClient(
            timeout=httpx.Timeout(timeout_seconds),
            limits=httpx.Limits(max_connections=20, max_keepalive_connections=10),
            follow_redirects=False,
        )

    @classmethod
    def of(cls, settings: ProviderHealthSettings) -> HttpProbes:
        """Probes for the addresses and keys of the settings."""
        stripe_key = settings.stripe_api_key.get_secret_value()
        gocardless_token = settings.gocardless_access_token.get_secret_value()
        doors = {
            f"{STRIPE}/{API}": Door(
                [settings.stripe_api_url], "/v1/balance", {"Authorization": f"Bearer {stripe_key}"}
            ),
            f"{GOCARDLESS}/{API}": Door(
                [settings.gocardless_api_url],
                "/creditors",
                {"Authorization": f"Bearer {gocardless_token}", "GoCardless-Version": _GOCARDLESS_VERSION},
            ),
            f"{MEMBERS_API}/{HTTP}": Door(_origins(settings.gateway_url), "/health/ready", {}),
            f"{PAYMENT_WEBHOOKS}/{HTTP}": Door(_origins(settings.payments_url), "/health/ready", {}),
        }
        absent = {f"{AI_DECISIONS}/{EVENTS}": _NO_SOURCE}
        for check, secret in ((f"{STRIPE}/{API}", stripe_key), (f"{GOCARDLESS}/{API}", gocardless_token)):
            if not secret:
                absent[check] = "no key for its API is configured"
        return cls(doors, absent, timeout_seconds=settings.check_timeout_seconds, slow_ms=settings.check_slow_ms)

    async def look(self, check_id: str) -> Answer:
        """Look at every origin at once: one that answers is enough, one that does not makes it impaired."""
        door = self._doors.get(check_id)
        if check_id in self._absent or door is None or not door.origins:
            return Answer("absent", self._absent.get(check_id, _NO_ADDRESS))
        answers = await asyncio.gather(*(self._ask(origin, door) for origin in door.origins))
        if len(answers) == 1:
            return answers[0]
        working = [each for each in answers if each.outcome in {"ok", "impaired"}]
        if not working:
            return answers[0]
        best = min(working, key=lambda each: each.latency_ms or 0)
        if len(working) == len(answers):
            return best
        return Answer("impaired", f"{len(working)} of {len(answers)} instances answer", best.latency_ms)

    async def _ask(self, origin: str, door: Door) -> Answer:
        started = time.perf_counter()
        try:
            async with asyncio.timeout(self._timeout_seconds):
                status = await self._status(f"{origin.rstrip('/')}{door.path}", door.headers)
        except TimeoutError:
            return Answer("failed", f"no answer within {self._timeout_seconds:g} s", _ms(started))
        except httpx.TimeoutException:
            return Answer("failed", f"no answer within {self._timeout_seconds:g} s", _ms(started))
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return Answer("failed", f"no answer ({type(error).__name__})", _ms(started))
        return self._judged(status, _ms(started))

    async def _status(self, url: str, headers: Mapping[str, str]) -> int:
        """The answer's status, once its body has been received whole, and never more of that than has a bound."""
        async with self._client.stream("GET", url, headers=dict(headers)) as answer:
            received = 0
            async for piece in answer.aiter_bytes():
                received += len(piece)
                if received > _ANSWER_MAX_BYTES:
                    break
            return answer.status_code

    def _judged(self, status: int, latency_ms: int) -> Answer:
        if status == httpx.codes.TOO_MANY_REQUESTS:
            return Answer("limited", "429: we ask too often", latency_ms)
        if not httpx.codes.is_success(status):
            return Answer("failed", f"status {status}", latency_ms)
        if latency_ms > self._slow_ms:
            return Answer("impaired", f"status {status}, but only after {latency_ms} ms", latency_ms)
        return Answer("ok", f"status {status} in {latency_ms} ms", latency_ms)

    async def aclose(self) -> None:
        """Close every connection."""
        await self._client.aclose()


def _origins(urls: str) -> list[str]:
    return [url.strip() for url in urls.split(",") if url.strip()]


def _ms(started: float) -> int:
    return round((time.perf_counter() - started) * 1_000)
