"""The door of one process: everything that a request needs to be let in, and to reach the services behind it.

`door_of(request)` gives it to every endpoint and page of the gateway: `identify` for operations, `visitor` for pages,
`upstreams` to ask services in the caller's name, `sign_in` and `sign_out` for sessions.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, Literal

import httpx
from chassis.clock import real_now
from chassis.service import Runtime
from chassis.settings import SettingsError
from chassis.telemetry import logs
from chassis.tokens import Minter
from chassis.web import UNAVAILABLE, Problem, RequestContext, web_state
from chassis.web.problems import UNAUTHENTICATED
from contracts.envelope import Actor
from contracts.roles import Role
from limits.errors import ConfigurationError
from starlette.requests import Request
from starlette.responses import Response

from gateway.domain import NOBODY, Refused, Who
from gateway.identity import Authenticator, Caller, address_of
from gateway.limiting import Class, Limiter
from gateway.local_issuer import AUDIENCE, ISSUER, LocalIssuer
from gateway.oidc import FixedKeys, Keys, KeysAwayError, PublishedKeys, TokenRefusedError, Tokens
from gateway.operations import Operation, scopes_by_service
from gateway.sessions import SAFE_METHODS, Session, Sessions
from gateway.settings import GatewaySettings
from gateway.telling import Teller
from gateway.upstream import Limits, Upstreams

CALLER_KEY: Final = "gateway.caller"
OPERATION_KEY: Final = "gateway.operation"
_TOLD_STATUSES: Final = frozenset({401, 403, 429})


@dataclass(frozen=True, slots=True)
class Door:
    """See the module."""

    settings: GatewaySettings
    authenticator: Authenticator
    sessions: Sessions
    limiter: Limiter
    upstreams: Upstreams
    teller: Teller
    issuer: LocalIssuer | None

    async def identify(self, request: Request) -> Caller:
        """Who calls an operation; asked once for each request. Raises Problem: 401, 403 (another site), 429, 503."""
        known = request.scope.get(CALLER_KEY)
        if isinstance(known, Caller):
            return known
        context = RequestContext.of(request.scope)
        try:
            caller = await self.authenticator.caller(request)
        except TokenRefusedError as error:
            await self._admit_nobody(request, context)
            challenge = {"WWW-Authenticate": 'Bearer error="invalid_token"'}
            raise Problem(UNAUTHENTICATED, f"{str(error).capitalize()}.", headers=challenge) from None
        except KeysAwayError:
            await self._admit_nobody(request, context)
            raise Problem(UNAVAILABLE, "Who you are cannot be checked now: the issuer of tokens is away.") from None
        if caller is None:
            await self._admit_nobody(request, context)
            said = "Send a token as `Authorization: Bearer`, or sign in."
            raise Problem(UNAUTHENTICATED, said, headers={"WWW-Authenticate": "Bearer"})
        request.scope[CALLER_KEY] = caller
        logs.bind_more(caller=caller.actor.id)
        await self.limiter.admit(context, _class_of(request), caller.actor.id)
        return caller

    async def visitor(self, request: Request) -> Caller | None:
        """Who looks at a page; None where nobody is signed in. Raises Problem: 403 (another site's page), 429."""
        context, session = RequestContext.of(request.scope), self.sessions.read(request)
        if session is None:
            await self._admit_nobody(request, context)
            return None
        return await self.identify(request)

    def sign_in(self, request: Request, response: Response, actor: Actor, roles: Sequence[Role]) -> Session:
        """Begin a session of somebody who has chosen a role; `response` sets the cookie. Local mode alone has this."""
        if self.issuer is None:
            raise Problem.not_found("page", "sign-in")
        return self._begin(request, response, actor, tuple(roles), issuer="local", method="browser")

    def sign_in_bearer(self, request: Request, response: Response, caller: Caller) -> Session:
        """Begin a session for the bearer of a token."""
        return self._begin(request, response, caller.actor, caller.roles, issuer=caller.issuer, method="token")

    def sign_out(self, response: Response) -> None:
        """End the session of a browser."""
        self.sessions.end(response)

    def refused(self, request: Request, problem: Problem) -> None:
        """Note what has been refused, where it would have changed something."""
        if problem.type.status not in _TOLD_STATUSES or request.method in SAFE_METHODS:
            return
        context, caller = RequestContext.of(request.scope), request.scope.get(CALLER_KEY)
        who = NOBODY
        if isinstance(caller, Caller):
            who = Who(caller.actor.kind, caller.actor.id, caller.actor.name)
        operation, route = _words(request)
        self.teller.refused(
            Refused(
                who,
                operation,
                route,
                problem.type.slug,
                problem.detail.rstrip("."),
                real_now(),
                context.request_id,
                context.traceparent,
            )
        )

    def _begin(
        self,
        request: Request,
        response: Response,
        actor: Actor,
        roles: tuple[Role, ...],
        *,
        issuer: str,
        method: Literal["browser", "token"],
    ) -> Session:
        session = self.sessions.begin(response, actor, roles, issuer=issuer)
        cause = RequestContext.of(request.scope).cause
        self.teller.signed_in(actor, cause, roles=roles, method=method, issuer=issuer)
        return session

    async def _admit_nobody(self, request: Request, context: RequestContext) -> None:
        await self.limiter.admit(context, "anonymous", address_of(request, self.settings.trusted_proxies))


def door_of(request: Request) -> Door:
    """The door that a request has come to."""
    door = web_state(request).resources
    if not isinstance(door, Door):
        raise TypeError("this application has no door")
    return door


@asynccontextmanager
async def opened(runtime: Runtime[GatewaySettings]) -> AsyncIterator[Door]:
    """The door of this process, with connections to everything behind it. Raises SettingsError."""
    settings = runtime.settings
    async with AsyncExitStack() as stack:
        issuer, tokens = await _issuer_of(settings, stack)
        sessions = Sessions(
            settings.session_secret.get_secret_value(),
            minutes=settings.session_minutes,
            secure=settings.cookies_are_secure,
        )
        limits = Limits(
            settings.upstream_timeout_seconds,
            settings.upstream_connect_timeout_seconds,
            settings.upstream_max_connections,
            settings.upstream_body_max_bytes,
        )
        minter = Minter(settings.token_private_key.get_secret_value())
        upstreams = Upstreams(settings.upstream_urls, limits, minter, scopes_by_service())
        await stack.enter_async_context(upstreams)
        yield Door(
            settings,
            Authenticator(tokens, sessions, roles_claim=settings.oidc_roles_claim),
            sessions,
            _limiter_of(settings),
            upstreams,
            Teller(runtime.database),
            issuer,
        )


async def _issuer_of(settings: GatewaySettings, stack: AsyncExitStack) -> tuple[LocalIssuer | None, Tokens]:
    if settings.local_issuer_private_key is not None:
        issuer = LocalIssuer(settings.local_issuer_private_key.get_secret_value())
        return issuer, Tokens(FixedKeys(issuer.key_set()), issuer=ISSUER, audience=AUDIENCE)
    client = await stack.enter_async_context(httpx.AsyncClient(follow_redirects=False, trust_env=False))
    keys = PublishedKeys(client, settings.oidc_jwks_url or "")
    stack.push_async_callback(keys.close)
    published: Keys = keys
    return None, Tokens(published, issuer=settings.oidc_issuer or "", audience=settings.oidc_audience or "")


def _limiter_of(settings: GatewaySettings) -> Limiter:
    rates: dict[Class, str] = {
        "read": settings.rate_limit_read,
        "write": settings.rate_limit_write,
        "anonymous": settings.rate_limit_anonymous,
    }
    try:
        return Limiter(settings.rate_limit_storage, rates)
    except (ConfigurationError, TypeError) as error:
        raise SettingsError(f"GATEWAY_RATE_LIMIT_STORAGE cannot be used: {error}") from None


def _class_of(request: Request) -> Class:
    """What the operation declares; what its method suggests where that is no class of ours."""
    by_method: Class = "read" if request.method in SAFE_METHODS else "write"
    declared: dict[object, Class] = {"read": "read", "write": "write"}
    return declared.get(_declared(request).get("x-limit"), by_method)


def _declared(request: Request) -> dict[str, Any]:
    operation = request.scope.get(OPERATION_KEY)
    if isinstance(operation, Operation):
        return {"x-limit": operation.limit}
    return getattr(request.scope.get("route"), "openapi_extra", None) or {}


def _words(request: Request) -> tuple[str, str]:
    """What was tried in words, and how: `claim task`, `POST /v1/tasks/{task_id}/claim`."""
    operation, route = request.scope.get(OPERATION_KEY), request.scope.get("route")
    if isinstance(operation, Operation):
        return operation.words, f"{request.method} {operation.path}"
    name = str(getattr(route, "name", "") or "do something").replace("_", " ")
    return name, f"{request.method} {getattr(route, 'path', 'unmatched')}"
