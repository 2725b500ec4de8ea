"""The services behind the door: asked over HTTP in somebody's name, within a limit of time.

It promises an outcome, never an exception: an `Answer` or `Unavailable`, which says what is missing and why. Several
processes of a service are tried in turn, one that has just failed last. A read is asked of the next one whenever one
fails; a write only while it cannot have been sent. Request id and trace go along, and so does an internal token that
one service alone accepts. Tested in tests/gateway/test_upstream.py.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

import httpx
import orjson
import structlog
from chassis.telemetry import traces
from chassis.tokens import Identity, Minter
from chassis.web import RequestContext
from contracts.envelope import Actor

log = structlog.get_logger()
FAILED_LAST_SECONDS: Final = 2.0
KEEPALIVE_SECONDS: Final = 30.0
_NEVER_SENT: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)
_AWAY: Final = frozenset({502, 503, 504})


@dataclass(frozen=True, slots=True)
class Answer:
    """What a service answered, whatever its status."""

    service: str
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300

    def json(self) -> Any:
        """The body. Raises ValueError where it is no JSON."""
        return orjson.loads(self.body)


@dataclass(frozen=True, slots=True)
class Unavailable:
    """A service that gave no answer. `why` is a clause; `sent` says that a write may have been done all the same."""

    service: str
    why: str
    sent: bool = False


Outcome = Answer | Unavailable


@dataclass(frozen=True, slots=True)
class Limits:
    """How long and how much: `timeout_seconds` is for all processes of a service together."""

    timeout_seconds: float
    connect_timeout_seconds: float
    max_connections: int
    body_max_bytes: int


class _TooLargeError(Exception):
    pass


class Upstream:
    """One service: its processes, and the connections to them."""

    def __init__(self, name: str, urls: Sequence[str], limits: Limits) -> None:
        self.name = name
        self._urls = tuple(urls)
        self._limits = limits
        self._next = 0
        self._failed_at: dict[str, float] = {}
        self._client = httpx.AsyncClient(
            limits=httpx.Limits(
                max_connections=limits.max_connections,
                max_keepalive_connections=limits.max_connections,
                keepalive_expiry=KEEPALIVE_SECONDS,
            ),
            timeout=httpx.Timeout(limits.timeout_seconds, connect=limits.connect_timeout_seconds),
            follow_redirects=False,
            trust_env=False,
        )

    async def close(self) -> None:
        await self._client.aclose()

    async def ask(self, method: str, target: str, headers: Mapping[str, str], body: bytes | None = None) -> Outcome:
        """Ask one process after the other; `target` is path and query, encoded."""
        started, safe = time.monotonic(), method in {"GET", "HEAD"}
        last: Outcome = Unavailable(self.name, "has no process")
        order = self._in_turn()
        for index, url in enumerate(order):
            left = self._limits.timeout_seconds - (time.monotonic() - started)
            share = left / (len(order) - index) if safe else left
            if share <= 0:
                break
            last = await self._ask_one(method, url, target, headers, body, share)
            if isinstance(last, Answer) and not (safe and last.status in _AWAY):
                return last
            self._failed_at[url] = time.monotonic()
            if isinstance(last, Unavailable) and last.sent and not safe:
                break
        log.warning("upstream.away", upstream=self.name, target=target.partition("?")[0], outcome=_said(last))
        return last

    def each(self, target: str, headers: Mapping[str, str]) -> Sequence[Coroutine[Any, Any, Outcome]]:
        """Read `target` of every process, one call for each: what a process says of itself."""
        seconds = self._limits.timeout_seconds
        return [self._ask_one("GET", url, target, headers, None, seconds) for url in self._urls]

    def _in_turn(self) -> list[str]:
        """Every process once, a different one first each time, those that have just failed last."""
        self._next = (self._next + 1) % max(1, len(self._urls))
        order = self._urls[self._next :] + self._urls[: self._next]
        lately = time.monotonic() - FAILED_LAST_SECONDS
        return sorted(order, key=lambda url: self._failed_at.get(url, 0.0) > lately)

    async def _ask_one(
        self, method: str, url: str, target: str, headers: Mapping[str, str], body: bytes | None, seconds: float
    ) -> Outcome:
        try:
            async with asyncio.timeout(seconds):
                request = self._client.build_request(method, url + target, headers=headers, content=body)
                answer = await self._client.send(request, stream=True)
                try:
                    return Answer(self.name, answer.status_code, answer.headers, await self._whole(answer))
                finally:
                    await answer.aclose()
        except _NEVER_SENT:
            return Unavailable(self.name, "cannot be reached")
        except (TimeoutError, httpx.TimeoutException):
            return Unavailable(self.name, f"does not answer within {self._limits.timeout_seconds:g} s", sent=True)
        except _TooLargeError:
            return Unavailable(self.name, f"answers with more than {self._limits.body_max_bytes} bytes", sent=True)
        except (httpx.HTTPError, OSError):
            return Unavailable(self.name, "broke off its answer", sent=True)

    async def _whole(self, answer: httpx.Response) -> bytes:
        pieces, size = [], 0
        async for piece in answer.aiter_bytes():
            size += len(piece)
            if size > self._limits.body_max_bytes:
                raise _TooLargeError
            pieces.append(piece)
        return b"".join(pieces)


class Upstreams:
    """Every service behind the door, asked in the name of whoever calls."""

    def __init__(
        self, urls: Mapping[str, Sequence[str]], limits: Limits, minter: Minter, scopes: Mapping[str, frozenset[str]]
    ) -> None:
        """`scopes` are those that each service knows: a token for it carries no other."""
        self._upstreams = {name: Upstream(name, several, limits) for name, several in urls.items()}
        self._minter = minter
        self._scopes = scopes
        self._exit = AsyncExitStack()

    async def __aenter__(self) -> Upstreams:
        for upstream in self._upstreams.values():
            self._exit.push_async_callback(upstream.close)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._exit.aclose()

    async def get(
        self,
        service: str,
        path: str,
        caller: Identity,
        context: RequestContext,
        *,
        params: Mapping[str, str | int] | None = None,
    ) -> Outcome:
        """Read `path` (encoded) at `service` as `caller`."""
        target = f"{path}?{urlencode(params)}" if params else path
        return await self.send("GET", service, target, caller, context)

    def everywhere(
        self, service: str, path: str, caller: Identity, context: RequestContext
    ) -> Sequence[Coroutine[Any, Any, Outcome]]:
        """Read `path` (encoded) of every process of `service` as `caller`: one call for each."""
        headers = self._headers(service, caller, context, context.traceparent)
        return self._upstreams[service].each(path, headers)

    async def send(
        self,
        method: str,
        service: str,
        target: str,
        caller: Identity,
        context: RequestContext,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> Outcome:
        """Do `method` on `target` (path and query, encoded) at `service` as `caller`."""
        with _traced(f"{method} {service}", context) as traceparent:
            given = {**self._headers(service, caller, context, traceparent), **(headers or {})}
            return await self._upstreams[service].ask(method, target, given, body)

    def _headers(self, service: str, caller: Identity, context: RequestContext, traceparent: str) -> Mapping[str, str]:
        token = self._minter.token(
            audience=service, actor=caller.actor, scopes=caller.scopes & self._scopes.get(service, caller.scopes)
        )
        return {
            "Authorization": f"Bearer {token}",
            "X-Request-Id": context.request_id,
            "traceparent": traceparent,
            "Accept-Encoding": "identity",
        }


def as_itself(*scopes: str) -> Identity:
    """The gateway's own identity, for what it reads in nobody's name."""
    return Identity(Actor(kind="system", id="gateway", name="Gateway"), frozenset(scopes), "")


class _traced:  # noqa: N801 - reads as the function that it is
    """A client span around a call where spans are made; the request's own trace otherwise."""

    def __init__(self, name: str, context: RequestContext) -> None:
        self._span = traces.span(name, kind="client", parent=context.traceparent)
        self._parent = context.traceparent

    def __enter__(self) -> str:
        return self._span.__enter__() or self._parent

    def __exit__(self, *given: Any) -> None:
        self._span.__exit__(*given)


def _said(outcome: Outcome) -> str:
    return outcome.why if isinstance(outcome, Unavailable) else f"answers {outcome.status}"


def missing(outcomes: Mapping[str, Outcome]) -> Iterator[tuple[str, Unavailable]]:
    """Which of several answers are missing, by name, answers that are no success of the service's among them."""
    for name, outcome in outcomes.items():
        if isinstance(outcome, Unavailable):
            yield name, outcome
        elif outcome.status >= 500:
            yield name, Unavailable(outcome.service, "cannot answer now")
