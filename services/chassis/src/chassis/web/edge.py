"""The edge: one pure ASGI middleware between the server and everything else.

It gives each request its ids, bounds the time and the body, counts it under its route's template, and turns whatever
went wrong into a problem. It is one layer and not six because the ingress pays for each of them at every delivery.
Exact paths in `direct` are handed to their route before FastAPI sees them; such a route limits its own body.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Final

import structlog
from starlette.exceptions import HTTPException
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chassis.telemetry import logs, metrics, traces
from chassis.web.context import RequestContext
from chassis.web.problems import INTERNAL, REQUEST_TIMEOUT, TIMED_OUT, Problem, problem_of

log = structlog.get_logger()
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Edge:
    """The middleware; see the module."""

    def __init__(
        self, app: ASGIApp, *, direct: Mapping[str, Route], body_max_bytes: int, timeout_seconds: float
    ) -> None:
        self._app = app
        self._direct = direct
        self._body_max_bytes = body_max_bytes
        self._timeout_seconds = timeout_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        started = time.perf_counter()
        context = RequestContext.begin(scope)
        logs.bind({"request_id": context.request_id, "trace_id": traces.trace_id_of(context.traceparent)})
        request_id = context.request_id.encode()

        async def tell(message: Message) -> None:
            if message["type"] == "http.response.start":
                context.status = message["status"]
                message.setdefault("headers", [])
                message["headers"] = [*message["headers"], (b"x-request-id", request_id)]
            await send(message)

        direct = self._direct.get(scope["path"])
        if traces.tracing():
            with traces.span(
                f"{scope['method']} {scope['path'] if direct else 'request'}", kind="server", parent=context.traceparent
            ) as own:
                context.traceparent = own or context.traceparent
                await self._answer(scope, receive, tell, context, direct)
        else:
            await self._answer(scope, receive, tell, context, direct)
        _count(scope, context, direct, time.perf_counter() - started)
        return None

    async def _answer(
        self, scope: Scope, receive: Receive, send: Send, context: RequestContext, direct: Route | None
    ) -> None:
        try:
            async with asyncio.timeout(self._timeout_seconds) as limit:
                if direct is not None:
                    scope["route"] = direct
                    await direct.handle(scope, _watched(receive, context), send)
                else:
                    await self._app(scope, self._bounded(scope, receive, context), send)
        except Exception as error:
            problem = problem_of(error)
            if limit.expired():
                problem = _timed_out(context, self._timeout_seconds)
            _log_failure(problem, error)
            if context.status:
                raise  # the answer has begun: the server cuts it off, so that nobody takes it for whole
            await problem.response(context.request_id)(scope, receive, send)

    def _bounded(self, scope: Scope, receive: Receive, context: RequestContext) -> Receive:
        """`receive`, which refuses a body as soon as it is known to be too large."""
        limit = self._body_max_bytes
        left = limit
        declared = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")

        async def bounded() -> Message:
            nonlocal left
            if declared.isdigit() and int(declared) > limit:
                raise HTTPException(413, f"{limit} bytes are allowed")
            context.receiving = True
            message = await receive()
            context.receiving = False
            if message["type"] == "http.request":
                left -= len(message.get("body", b""))
                if left < 0:
                    raise HTTPException(413, f"{limit} bytes are allowed")
            return message

        return bounded


def _log_failure(problem: Problem, error: Exception) -> None:
    if problem.type is INTERNAL:
        log.error("request.failed", problem=problem.type.slug, exc_info=error)
    elif problem.type.status >= 500:  # an outage is one story, not one with every request's stack
        log.warning("request.failed", problem=problem.type.slug, error=error)


def _watched(receive: Receive, context: RequestContext) -> Receive:
    async def watched() -> Message:
        context.receiving = True
        message = await receive()
        context.receiving = False
        return message

    return watched


def _timed_out(context: RequestContext, timeout_seconds: float) -> Problem:
    if context.receiving:
        return Problem(REQUEST_TIMEOUT, f"The body was not whole after {timeout_seconds:g} s.")
    return Problem(TIMED_OUT, f"There was no answer within {timeout_seconds:g} s; look before you try again.")


def _count(scope: Scope, context: RequestContext, direct: Route | None, seconds: float) -> None:
    route = direct or scope.get("route")
    template = getattr(route, "path", None) or "unmatched"
    method = scope["method"] if scope["method"] in _METHODS else "other"
    metrics.HTTP_REQUESTS.labels(method, template, context.status).inc()
    metrics.HTTP_REQUEST_SECONDS.labels(method, template).observe(seconds)
    if direct is None:
        log.info("request", method=method, route=template, status=context.status, ms=round(seconds * 1_000, 1))
