"""Who calls: a bearer token of the issuer's, or the session of a browser, made into one caller with roles and scopes.

Roles mean scopes by the one table in contracts; a role that is not in it means nothing. Names come from elsewhere, so
they are cut and stripped of what could steer a terminal or a page before anybody reads them.
"""

from __future__ import annotations

import hashlib
import time
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Any, Final

from chassis.ids import bounded
from chassis.tokens import Identity
from chassis.web import Problem, ProblemType
from contracts.envelope import Actor
from contracts.roles import ROLES, Role
from starlette.requests import Request

from gateway.oidc import Tokens
from gateway.sessions import SAFE_METHODS, Session, Sessions, comes_from_our_pages

CROSS_SITE: Final = ProblemType("cross-site", "The request does not come from our own pages", 403)
NAME_MAX_CHARACTERS: Final = 200
REMEMBERED_SECONDS: Final = 10.0
REMEMBERED_MAX: Final = 2_000
_UNSEEN: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


@dataclass(frozen=True, slots=True)
class Caller(Identity):
    """Somebody who may come in; `session` is the browser's, None for a bearer of a token."""

    roles: tuple[Role, ...]
    issuer: str
    session: Session | None = None


class Authenticator:
    """Makes out who calls. A genuine token is remembered for some seconds, so that not each request verifies it."""

    def __init__(self, tokens: Tokens, sessions: Sessions, *, roles_claim: str) -> None:
        self._tokens = tokens
        self._sessions = sessions
        self._roles_claim = roles_claim
        self._remembered: dict[bytes, tuple[Caller, float]] = {}

    async def caller(self, request: Request) -> Caller | None:
        """Who calls; None where nobody is named.

        Raises TokenRefusedError, KeysAwayError, and Problem (403) where another site's page uses a session.
        """
        header = request.headers.get("authorization")
        if header is not None:
            kind, _, token = header.partition(" ")
            return await self.bearer(token.strip()) if kind.lower() == "bearer" else None
        session = self._sessions.read(request)
        if session is None:
            return None
        if request.method not in SAFE_METHODS and not comes_from_our_pages(request):
            raise Problem(CROSS_SITE, "Nothing was changed: this was sent by a page that is not ours.")
        return caller_of(session)

    async def bearer(self, token: str) -> Caller:
        """Who a token names. Raises TokenRefusedError and KeysAwayError."""
        now, digest = time.monotonic(), hashlib.sha256(token.encode("utf-8", "replace")).digest()
        kept = self._remembered.get(digest)
        if kept is not None and now < kept[1]:
            return kept[0]
        claims = await self._tokens.claims(token)
        caller = self._named(claims)
        if len(self._remembered) >= REMEMBERED_MAX:
            self._remembered.clear()
        self._remembered[digest] = (caller, now + min(REMEMBERED_SECONDS, float(claims["exp"]) - time.time()))
        return caller

    def _named(self, claims: Mapping[str, Any]) -> Caller:
        identity = bounded(plain(claims["sub"]) or "unnamed")
        name = next((plain(claims[each]) for each in ("name", "preferred_username") if _is_text(claims.get(each))), "")
        roles = _roles(claims, self._roles_claim)
        return Caller(
            actor=Actor(kind="staff", id=identity, name=name or identity),
            scopes=_scopes(roles),
            token_id=str(claims.get("jti", ""))[:NAME_MAX_CHARACTERS],
            roles=roles,
            issuer=self._tokens.issuer,
        )


def caller_of(session: Session) -> Caller:
    """Who is signed in, as a caller."""
    return Caller(session.actor, _scopes(session.roles), session.id, session.roles, session.issuer, session)


def plain(text: str) -> str:
    """`text` without control and format characters (those that turn the direction of writing among them), cut."""
    seen = "".join(each for each in text if unicodedata.category(each) not in _UNSEEN)
    return " ".join(seen.split())[:NAME_MAX_CHARACTERS]


def address_of(request: Request, trusted_proxies: int) -> str:
    """The address that a request comes from: what the outermost proxy that is trusted saw; of IPv6 the network."""
    seen = [part.strip() for line in request.headers.getlist("x-forwarded-for") for part in line.split(",")]
    host = request.client.host if request.client else "unknown"
    if trusted_proxies and seen:
        host = seen[-min(trusted_proxies, len(seen))]
    try:
        address = ip_address(host)
    except ValueError:
        return "unknown"
    return str(ip_network((address, 64), strict=False)) if isinstance(address, IPv6Address) else str(address)


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _roles(claims: Mapping[str, Any], claim: str) -> tuple[Role, ...]:
    """The roles that we know; the claim may lie inside others (`realm_access.roles`)."""
    found: Any = claims.get(claim)
    if found is None:
        found = claims
        for part in claim.split("."):
            found = found.get(part) if isinstance(found, Mapping) else None
    listed = found.split() if isinstance(found, str) else found if isinstance(found, list) else []
    return tuple(role for role in ROLES if role in listed)


def _scopes(roles: tuple[Role, ...]) -> frozenset[str]:
    return frozenset[str]().union(*(ROLES[role] for role in roles))
