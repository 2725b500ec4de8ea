"""The edge: what every request passes, before and around everything else.

`Edge` is the outermost layer: it gives a request its ids and every answer the headers that all have, answers exact
paths in `direct` without FastAPI, and counts under the route's template. `Guard` bounds time and body and turns
whatever went wrong into a problem. Both are pure ASGI, and a direct route passes nothing else, because the ingress pays
for each layer at every delivery.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Final

import structlog
from prometheus_client import Counter, Histogram
from starlette.exceptions import HTTPException
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chassis.telemetry import logs, metrics, traces
from chassis.web.context import RequestContext
from chassis.web.problems import INTERNAL, REQUEST_TIMEOUT, TIMED_OUT, Problem, problem_of
from chassis.web.recent import RecentAnswers

log = structlog.get_logger()
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
# Not ready is an answer, and no failure that anybody meets.
_UNCOUNTED: Final = frozenset({"/health/live", "/health/ready", "/metrics"})
# What an answer is, its content type says: no browser is to guess that some text is a script.
_NO_GUESSING: Final = (b"x-content-type-options", b"nosniff")


class Edge:
    """The outermost layer; see the module."""

    def __init__(
        self, app: ASGIApp, *, direct: Mapping[str, Route], timeout_seconds: float, recent: RecentAnswers
    ) -> None:
        self._app = app
        self._recent = recent
        self._direct: dict[str, tuple[Route, Guard]] = {
            path: (route, Guard(route.handle, body_max_bytes=None, timeout_seconds=timeout_seconds))
            for path, route in direct.items()
        }
        # Looking a labelled metric up costs as much as counting; there are few combinations.
        self._counted: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = time.perf_counter()
        context = RequestContext.begin(scope)
        logs.bind({"request_id": context.request_id, "trace_id": traces.trace_id_of(context.traceparent)})
        request_id = (b"x-request-id", context.request_id.encode())

        async def tell(message: Message) -> None:
            if message["type"] == "http.response.start":
                context.status = message["status"]
                message["headers"] = [*message.get("headers", ()), *context.headers, request_id, _NO_GUESSING]
            await send(message)

        app, direct = self._app, self._direct.get(scope["path"])
        if direct is not None:
            scope["route"], app = direct
        try:
            if traces.tracing():
                with traces.span(scope["method"], kind="server", parent=context.traceparent) as own:
                    context.traceparent = own or context.traceparent
                    await app(scope, receive, tell)
            else:
                await app(scope, receive, tell)
        finally:
            self._count(scope, context, time.perf_counter() - started, quiet=direct is not None)

    def _count(self, scope: Scope, context: RequestContext, seconds: float, *, quiet: bool) -> None:
        template = getattr(scope.get("route"), "path", "unmatched")
        method = scope["method"] if scope["method"] in _METHODS else "other"
        key = (method, template, context.status)
        counted = self._counted.get(key)
        if counted is None:
            counted = self._counted[key] = (
                metrics.HTTP_REQUESTS.labels(*key),
                metrics.HTTP_REQUEST_SECONDS.labels(method, template),
            )
        counted[0].inc()
        counted[1].observe(seconds)
        if template not in _UNCOUNTED:
            self._recent.note(method, template, context.status)
        if not quiet:
            log.info("request", method=method, route=template, status=context.status, ms=round(seconds * 1_000, 1))


class Guard:
    """Bounds the time and the body of a request, and answers with a problem for whatever `app` raises."""

    def __init__(self, app: ASGIApp, *, body_max_bytes: int | None, timeout_seconds: float) -> None:
        self._app = app
        self._body_max_bytes = body_max_bytes
        self._timeout_seconds = timeout_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        context = RequestContext.of(scope)
        try:
            async with asyncio.timeout(self._timeout_seconds) as limit:
                await self._app(scope, self._bounded(scope, receive, context), send)
        except Exception as error:
            problem = problem_of(error)
            if limit.expired():
                problem = _timed_out(context, self._timeout_seconds)
            _log_failure(problem, error)
            if context.status:
                raise  # the answer has begun: the server cuts it off, so that nobody takes it for whole
            await problem.response(context.request_id)(scope, receive, send)
        return None

    def _bounded(self, scope: Scope, receive: Receive, context: RequestContext) -> Receive:
        """`receive`, which refuses a body as soon as it is known to be too large."""
        limit = left = self._body_max_bytes

        async def bounded() -> Message:
            nonlocal left
            context.receiving = True
            if limit is not None and _declared_bytes(scope) > limit:
                raise _too_large(limit)
            message = await receive()
            context.receiving = False
            if left is not None and limit is not None:
                left -= len(message.get("body", b""))
                if left < 0:
                    raise _too_large(limit)
            return message

        return bounded


def _declared_bytes(scope: Scope) -> int:
    for name, value in scope["headers"]:
        if name == b"content-length":
            return int(value) if value.isdigit() else 0
    return 0


def _too_large(limit: int) -> HTTPException:
    # FastAPI turns any other error that reading a body raises into a 400.
    return HTTPException(413, f"{limit} bytes are allowed")


def _log_failure(problem: Problem, error: Exception) -> None:
    if problem.type is INTERNAL:
        log.error("request.failed", problem=problem.type.slug, exc_info=error)
    elif problem.type.status >= 500:  # an outage is one story, not one with every request's stack
        log.warning("request.failed", problem=problem.type.slug, error=error)


def _timed_out(context: RequestContext, timeout_seconds: float) -> Problem:
    if context.receiving:
        return Problem(REQUEST_TIMEOUT, f"The body was not whole after {timeout_seconds:g} s.")
    return Problem(TIMED_OUT, f"There was no answer within {timeout_seconds:g} s; look before you try again.")
