"""Operations: who may call an endpoint, and the transaction that it works in.

`Tx` commits after the endpoint has returned and before the first byte of the answer leaves, so that a 2xx is always a
kept promise. Where the service keeps idempotency keys, it holds the request's key from its first statement on.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from typing import Annotated, Final

from fastapi import Depends, Request
from fastapi.dependencies.models import Dependant
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel

from chassis.tokens import Identity, TokenRefusedError
from chassis.transaction import Transaction
from chassis.web.context import RequestContext
from chassis.web.problems import INVALID, MISSING_SCOPE, UNAUTHENTICATED, Problem
from chassis.web.repeats import begin
from chassis.web.state import WebState

_ERRORS_MAX: Final = 20
_bearer = HTTPBearer(auto_error=False, scheme_name="internal token", description="EdDSA JWT for this service, 60 s")


def web_state(request: Request) -> WebState:
    """The state that the application was made with."""
    state: WebState = request.app.state.web
    return state


async def _identity(
    request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
) -> Identity:
    state = web_state(request)
    if state.identify is not None:
        return await state.identify(request)
    if credentials is None:
        raise Problem(
            UNAUTHENTICATED,
            "Send an internal token as `Authorization: Bearer`.",
            headers={"WWW-Authenticate": "Bearer"},
        )
    try:
        return state.verifier.verify(credentials.credentials)
    except TokenRefusedError as error:
        challenge = {"WWW-Authenticate": 'Bearer error="invalid_token"'}
        raise Problem(UNAUTHENTICATED, f"{str(error).capitalize()}.", headers=challenge) from None


CallerIdentity = Annotated[Identity, Depends(_identity)]


async def _transaction(request: Request, identity: CallerIdentity) -> AsyncIterator[Transaction]:
    cause = RequestContext.of(request.scope).cause
    state = web_state(request)
    async with state.database.transaction(actor=identity.actor, cause=cause) as tx:
        if state.keeps_keys:
            await begin(request, tx, state.database.schema)
        yield tx


async def _reading(request: Request, identity: CallerIdentity) -> AsyncIterator[Transaction]:
    cause = RequestContext.of(request.scope).cause
    async with web_state(request).database.reading(actor=identity.actor, cause=cause) as tx:
        yield tx


# "function": left when the endpoint has returned. With the default, "request", FastAPI would send the answer first.
Tx = Annotated[Transaction, Depends(_transaction, scope="function")]
ReadTx = Annotated[Transaction, Depends(_reading, scope="function")]


def requires(scope: str) -> Callable[[Request, Identity], Awaitable[None]]:
    """A dependency that lets nobody in without `scope`, and refuses parameters that the operation does not know."""
    known: frozenset[str] | None = None

    async def require(request: Request, identity: CallerIdentity) -> None:
        nonlocal known
        if scope not in identity.scopes:
            raise Problem(
                MISSING_SCOPE,
                f"This needs the scope {scope}.",
                headers={"WWW-Authenticate": f'Bearer error="insufficient_scope", scope="{scope}"'},
                scope=scope,
            )
        if request.query_params:
            known = frozenset(_parameters(request.scope["route"].dependant)) if known is None else known
            _refuse_unknown(request.query_params, known)

    return require


def _parameters(dependant: Dependant) -> Iterator[str]:
    """The names of an operation's query parameters, those of its models and its dependencies among them."""
    for field in dependant.query_params:
        annotation = field.field_info.annotation
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            yield from (each.alias or name for name, each in annotation.model_fields.items())
        else:
            yield field.alias
    for each in dependant.dependencies:
        yield from _parameters(each)


def _refuse_unknown(given: Iterable[str], known: frozenset[str]) -> None:
    """A misspelt filter must not silently be no filter."""
    errors = [{"at": ["query", name], "detail": "This is no parameter here"} for name in given if name not in known]
    if errors:
        raise Problem(INVALID, "Some parameters are not known here.", errors=errors[:_ERRORS_MAX])
