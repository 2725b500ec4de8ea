"""Operations: who may call an endpoint, and the transaction that it works in.

`documents` says of each operation which scope it needs, which event it leaves in the audit log and which rate limit
it falls under: the scope is enforced, all three stand in the OpenAPI document, and an application with an operation
that says nothing does not start. `Tx` commits after the endpoint has returned and before the first byte of the answer
leaves, so that a 2xx is always a kept promise.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Annotated, Any, Final, Literal

from contracts.envelope import Payload
from contracts.registry import type_of
from fastapi import Depends, Request
from fastapi.routing import APIRoute
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.routing import BaseRoute

from chassis.tokens import Identity, TokenRefusedError
from chassis.transaction import Transaction
from chassis.web.context import RequestContext
from chassis.web.problems import MISSING_SCOPE, UNAUTHENTICATED, Problem
from chassis.web.state import WebState

_SCOPE: Final = re.compile(r"[a-z][a-z_-]*:[a-z]+\Z")
_bearer = HTTPBearer(auto_error=False, scheme_name="internal token", description="EdDSA JWT for this service, 60 s")


def web_state(request: Request) -> WebState:
    """The state that the application was made with."""
    state: WebState = request.app.state.web
    return state


async def _identity(
    request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
) -> Identity:
    if credentials is None:
        raise Problem(
            UNAUTHENTICATED,
            "Send an internal token as `Authorization: Bearer`.",
            headers={"WWW-Authenticate": "Bearer"},
        )
    try:
        return web_state(request).verifier.verify(credentials.credentials)
    except TokenRefusedError as error:
        challenge = {"WWW-Authenticate": 'Bearer error="invalid_token"'}
        raise Problem(UNAUTHENTICATED, f"{str(error).capitalize()}.", headers=challenge) from None


CallerIdentity = Annotated[Identity, Depends(_identity)]


async def _transaction(request: Request, identity: CallerIdentity) -> AsyncIterator[Transaction]:
    cause = RequestContext.of(request.scope).cause
    async with web_state(request).database.transaction(actor=identity.actor, cause=cause) as tx:
        yield tx


async def _reading(request: Request, identity: CallerIdentity) -> AsyncIterator[Transaction]:
    cause = RequestContext.of(request.scope).cause
    async with web_state(request).database.reading(actor=identity.actor, cause=cause) as tx:
        yield tx


# "function": left when the endpoint has returned. With the default, "request", FastAPI would send the answer first.
Tx = Annotated[Transaction, Depends(_transaction, scope="function")]
ReadTx = Annotated[Transaction, Depends(_reading, scope="function")]


def documents(
    *, scope: str, audit: type[Payload] | None = None, limit: Literal["read", "write"] = "read"
) -> dict[str, Any]:
    """What a route's decorator is to know: `@router.get("/records", **documents(scope="audit:read"))`.

    `audit` is the event that the operation emits when it changes something; None for one that only reads.
    Raises ValueError for a scope that is no `<plural>:<verb>`.
    """
    if not _SCOPE.match(scope):
        raise ValueError(f"{scope!r} is not a scope")
    return {
        "dependencies": [Depends(_requires(scope))],
        "openapi_extra": {
            "x-scope": scope,
            "x-audit-event": type_of(audit).name if audit is not None else None,
            "x-limit": limit,
        },
    }


def _requires(scope: str) -> Callable[[Identity], Awaitable[None]]:
    async def require(identity: CallerIdentity) -> None:
        if scope not in identity.scopes:
            raise Problem(
                MISSING_SCOPE,
                f"This needs the scope {scope}.",
                headers={"WWW-Authenticate": f'Bearer error="insufficient_scope", scope="{scope}"'},
                scope=scope,
            )

    return require


def undocumented(routes: Iterable[BaseRoute]) -> list[str]:
    """The operations, as `GET /records`, that do not say what `documents` says."""
    return [
        f"{method} {route.path}"
        for route in routes
        if isinstance(route, APIRoute) and "x-scope" not in (route.openapi_extra or {})
        for method in sorted(route.methods or ())
    ]
