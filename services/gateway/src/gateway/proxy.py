"""The services' own operations at the door: who calls and which scope it takes is settled here, then they are asked.

What is refused reaches no service. What passes goes on with the caller's name in a token for that one service; body,
query, If-Match, Idempotency-Key and ids go along untouched, and the answer comes back as it was, ETag and Retry-After
with it. A service that is away makes a 503 that names it. Tested in tests/gateway/test_proxy.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

import structlog
from chassis.web import UNAVAILABLE, Problem, RequestContext
from chassis.web.problems import MISSING_SCOPE, TIMED_OUT
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from gateway.door import OPERATION_KEY, door_of
from gateway.identity import Caller
from gateway.operations import Operation, all_operations
from gateway.upstream import Answer, Unavailable

log = structlog.get_logger()
RETRY_AFTER_SECONDS: Final = "2"
_TO_THE_SERVICE: Final = ("content-type", "accept", "if-match", "if-none-match", "idempotency-key")
_TO_THE_CALLER: Final = (
    "content-type",
    "content-disposition",
    "etag",
    "retry-after",
    "location",
    "cache-control",
    "last-modified",
    "link",
    "deprecation",
    "sunset",
    "allow",
    "idempotency-replayed",
)


def routes() -> Sequence[BaseRoute]:
    """One route for each operation of the services; a path that says a name comes before one with a parameter."""
    ordered = sorted(all_operations(), key=lambda each: [part.startswith("{") for part in each.path.split("/")])
    return [Route(each.path, Forwarded(each), methods=[each.method], name=each.summary) for each in ordered]


@dataclass(frozen=True, slots=True)
class Forwarded:
    """The endpoint of one operation."""

    operation: Operation

    async def __call__(self, scope, receive, send) -> None:  # type: ignore[no-untyped-def]
        request = Request(scope, receive)
        scope["route"], scope[OPERATION_KEY] = self.operation, self.operation
        response = await self._answer(request)
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        operation, door = self.operation, door_of(request)
        caller = await door.identify(request)
        require(caller, operation.scope)
        body = None if operation.method == "GET" else await request.body()
        outcome = await door.upstreams.send(
            operation.method,
            operation.service,
            _target(request, operation),
            caller,
            RequestContext.of(request.scope),
            headers={name: request.headers[name] for name in _TO_THE_SERVICE if name in request.headers},
            body=body or None,
        )
        return answer_of(outcome, reads=operation.method == "GET")


def require(caller: Caller, scope: str) -> None:
    """Raise Problem (403) unless the caller holds `scope`."""
    if scope not in caller.scopes:
        challenge = {"WWW-Authenticate": f'Bearer error="insufficient_scope", scope="{scope}"'}
        raise Problem(MISSING_SCOPE, f"This needs the scope {scope}.", headers=challenge, scope=scope)


def answer_of(outcome: Answer | Unavailable, *, reads: bool) -> Response:
    """What a service said, as this door's answer. Raises Problem (503) where it said nothing that can be passed on."""
    if isinstance(outcome, Unavailable):
        raise away(outcome, reads=reads)
    if outcome.status in {401, 403}:
        # The door has let the caller in: a service that refuses its token or scope is set up wrongly.
        log.error("upstream.refuses_the_door", upstream=outcome.service, status=outcome.status)
        raise away(Unavailable(outcome.service, "does not accept this door's tokens"), reads=reads)
    headers = {name: outcome.headers[name] for name in _TO_THE_CALLER if name in outcome.headers}
    return Response(outcome.body, outcome.status, headers)


def away(missing: Unavailable, *, reads: bool) -> Problem:
    """The problem of a service that gives no answer."""
    headers = {"Retry-After": RETRY_AFTER_SECONDS}
    said = f"{missing.service} {missing.why}."
    if missing.sent and not reads:
        said += " It may have been done: look, or send it again with the same Idempotency-Key."
        return Problem(TIMED_OUT, said, headers=headers, missing=[missing.service])
    return Problem(UNAVAILABLE, said, headers=headers, missing=[missing.service])


def _target(request: Request, operation: Operation) -> str:
    """Path and query for the service. Raises Problem (404) for a value that would be another path."""
    values: Mapping[str, object] = request.path_params
    for value in values.values():
        if str(value) in {".", ".."}:
            raise Problem.not_found("thing", str(value))
    path = operation.target.format_map({name: quote(str(value), safe="") for name, value in values.items()})
    query = request.scope["query_string"].decode("latin-1")
    return f"{path}?{query}" if query else path
