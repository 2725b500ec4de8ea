"""The application factory: one FastAPI application, with everything that every service answers alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from chassis.web import health
from chassis.web.context import RequestContext
from chassis.web.documented import prepare, show_whole, undocumented
from chassis.web.edge import Edge, Guard
from chassis.web.operations import web_state
from chassis.web.problems import Problem, problem_of
from chassis.web.repeats import Replayed
from chassis.web.state import WebState

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]


class Application(FastAPI):
    """FastAPI behind the edge: what does not need its layers does not pass them."""

    edge: Edge

    def openapi(self) -> dict[str, Any]:
        """The document of the routers, made once, its examples as they were given."""
        if self.openapi_schema is None:
            show_whole(super().openapi(), self.routes)
        return super().openapi()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await super().__call__(scope, receive, send)
        scope["app"] = self
        return await self.edge(scope, receive, send)


def application(
    name: str,
    *,
    routers: Sequence[APIRouter] = (),
    state: WebState,
    lifespan: Lifespan | None = None,
    routes: Sequence[Route] = (),
    further: Sequence[BaseRoute] = (),
) -> FastAPI:
    """The web application of the service `name`.

    `routes` are plain routes with fixed paths that FastAPI never sees, for what has to be fast: they read and limit
    their bodies themselves. `further` are plain routes behind the same limits as FastAPI's own, asked after those.
    Raises ValueError when an operation of `routers` does not say what `documents` says.
    """
    app = _made(name, routers, lifespan, keeps_keys=state.keeps_keys)
    app.state.web = state
    app.router.routes.extend(further)
    for expected in (HTTPException, RequestValidationError, Problem):
        app.add_exception_handler(expected, _answer)
    app.add_exception_handler(Replayed, _answer_again)
    timeout_seconds = state.settings.request_timeout_seconds
    app.add_middleware(Guard, body_max_bytes=state.settings.body_max_bytes, timeout_seconds=timeout_seconds)
    healthy = health.routes(name, state.database, state.checks, state.spared)
    direct = {route.path: route for route in (*healthy, *routes)}
    # FastAPI's own entry, past the override: it builds its layers at the first request.
    entry = partial(FastAPI.__call__, app)
    app.edge = Edge(entry, direct=direct, timeout_seconds=timeout_seconds, recent=state.recent)
    return app


def described(name: str, routers: Sequence[APIRouter], *, keeps_keys: bool) -> dict[str, Any]:
    """The OpenAPI document of the service `name`: the same for the same code, and made without anything running."""
    return _made(name, routers, None, keeps_keys=keeps_keys).openapi()


def _made(name: str, routers: Sequence[APIRouter], lifespan: Lifespan | None, *, keeps_keys: bool) -> Application:
    app = Application(
        title=name,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=lambda route: route.name,
    )
    for router in routers:
        prepare(router, keeps_keys=keeps_keys)
        app.include_router(router)
    silent = undocumented(app.routes)
    if silent:
        raise ValueError(f"{', '.join(silent)}: say with documents(...) which scope, audit event and limit")
    return app


async def _answer(request: Request, error: Exception) -> Response:
    problem, state = problem_of(error), web_state(request)
    if state.refused is not None:
        state.refused(request, problem)
    return problem.response(RequestContext.of(request.scope).request_id)


async def _answer_again(_: Request, error: Exception) -> Response:
    if not isinstance(error, Replayed):
        raise error
    return error.response()
