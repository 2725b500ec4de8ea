"""What the providers' APIs were asked, so that a test can prove that something was asked once, or not at all."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from starlette.requests import Request
from starlette.responses import Response

from simulator.clock import real_now
from simulator.settings import Provider

KEPT_MAX: Final = 10_000

Ending = Literal["answered", "replayed", "refused", "hung", "lost"]


@dataclass(slots=True)
class Call:
    """One request. `ending` and `status` are None as long as it is under way.

    It was `answered`; `replayed` from its idempotency key, so that nothing was done; `refused` by an outage, nothing
    done; `hung` and nothing done; or `lost`: done, and the answer never arrived.
    """

    number: int
    provider: Provider
    method: str
    path: str
    idempotency_key: str | None
    at: datetime
    ending: Ending | None = None
    status: int | None = None

    def ended(self, how: Ending, response: Response) -> Response:
        """Note how the call ended, and return its response."""
        replayed = how == "answered" and "idempotent-replayed" in response.headers
        self.ending, self.status = ("replayed" if replayed else how), response.status_code
        return response


class Calls:
    """The last calls of both providers, oldest first."""

    def __init__(self) -> None:
        self._kept: deque[Call] = deque(maxlen=KEPT_MAX)
        self._numbers = itertools.count(1)

    def begin(self, provider: Provider, request: Request) -> Call:
        """Note that a call has arrived."""
        key = request.headers.get("idempotency-key")
        call = Call(next(self._numbers), provider, request.method, request.url.path, key, real_now())
        self._kept.append(call)
        return call

    def newest_first(self) -> Iterator[Call]:
        """Give the calls that are kept, the newest first."""
        return reversed(self._kept)

    def forget(self) -> None:
        """Drop them all."""
        self._kept.clear()
