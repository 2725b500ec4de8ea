"""The application factory: one FastAPI application, with everything that every service answers alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.routing import Route

from chassis.web import health
from chassis.web.context import RequestContext
from chassis.web.edge import Edge
from chassis.web.operations import undocumented
from chassis.web.problems import Problem, problem_of
from chassis.web.state import WebState

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]


def application(
    name: str,
    *,
    routers: Sequence[APIRouter] = (),
    state: WebState,
    lifespan: Lifespan | None = None,
    routes: Sequence[Route] = (),
) -> FastAPI:
    """The web application of the service `name`.

    `routes` are plain routes with fixed paths that FastAPI never sees, for what has to be fast: they read and limit
    their bodies themselves. Raises ValueError when an operation of `routers` does not say what `documents` says.
    """
    app = FastAPI(
        title=name,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=lambda route: route.name,
    )
    app.state.web = state
    for router in routers:
        app.include_router(router)
    silent = undocumented(app.routes)
    if silent:
        raise ValueError(f"{', '.join(silent)}: say with documents(...) which scope, audit event and limit")
    for expected in (HTTPException, RequestValidationError, Problem):
        app.add_exception_handler(expected, _answer)
    app.add_middleware(
        Edge,
        direct={route.path: route for route in (*health.routes(name, state.database, state.checks), *routes)},
        body_max_bytes=state.settings.body_max_bytes,
        timeout_seconds=state.settings.request_timeout_seconds,
    )
    return app


async def _answer(request: Request, error: Exception) -> Response:
    return problem_of(error).response(RequestContext.of(request.scope).request_id)
