"""Sessions of browsers: a signed cookie that says who is signed in, and nothing that a script could read.

The cookie is HttpOnly, SameSite=Lax, Secure wherever the door is reached by https, and ends with the session. A
request that changes something is believed only from our own pages: the browser says where it comes from
(Sec-Fetch-Site, Origin), and a form carries the session's token besides. Tested in tests/gateway/test_sessions.py.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import urlsplit

import jwt
from chassis.clock import real_now
from chassis.ids import new_id
from contracts.envelope import Actor
from contracts.roles import ROLES, Role
from starlette.requests import Request
from starlette.responses import Response

SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
FORM_FIELD: Final = "csrf"
_ALGORITHM: Final = "HS256"
_AUDIENCE: Final = "backbone-session"
_COOKIE_MAX_CHARACTERS: Final = 4_096


@dataclass(frozen=True, slots=True)
class Session:
    """Who is signed in in one browser, until when. `csrf` is what this session's forms carry."""

    id: str
    actor: Actor
    roles: tuple[Role, ...]
    issuer: str
    ends: datetime
    csrf: str


class Sessions:
    """Begins, reads and ends sessions; nothing is kept but the secret."""

    def __init__(self, secret: str, *, minutes: int, secure: bool) -> None:
        self._secret = secret
        self._lifetime = timedelta(minutes=minutes)
        self._secure = secure
        self.cookie = "__Host-backbone_session" if secure else "backbone_session"

    def begin(self, response: Response, actor: Actor, roles: tuple[Role, ...], *, issuer: str) -> Session:
        """Sign somebody in: `response` sets the cookie."""
        ends = (real_now() + self._lifetime).replace(microsecond=0)
        session_id = new_id()
        claims = {
            "aud": _AUDIENCE,
            "jti": session_id,
            "sub": actor.id,
            "name": actor.name,
            "roles": list(roles),
            "by": issuer,
            "exp": ends,
        }
        value = jwt.encode(claims, self._secret, algorithm=_ALGORITHM)
        seconds = int(self._lifetime.total_seconds())
        response.set_cookie(
            self.cookie, value, max_age=seconds, path="/", secure=self._secure, httponly=True, samesite="lax"
        )
        return Session(session_id, actor, roles, issuer, ends, self._csrf(session_id))

    def end(self, response: Response) -> None:
        """Sign out: `response` takes the cookie away."""
        response.delete_cookie(self.cookie, path="/", secure=self._secure, httponly=True, samesite="lax")

    def read(self, request: Request) -> Session | None:
        """The session of a request; None where it carries none that holds."""
        value = request.cookies.get(self.cookie)
        if value is None or len(value) > _COOKIE_MAX_CHARACTERS:
            return None
        try:
            claims = jwt.decode(
                value,
                self._secret,
                algorithms=[_ALGORITHM],
                audience=_AUDIENCE,
                options={"require": ["exp", "jti", "sub", "aud"]},
            )
        except jwt.PyJWTError:
            return None
        roles = tuple(role for role in ROLES if role in claims["roles"])
        actor = Actor(kind="staff", id=claims["sub"], name=claims["name"])
        ends = datetime.fromtimestamp(claims["exp"], tz=real_now().tzinfo)
        return Session(claims["jti"], actor, roles, claims["by"], ends, self._csrf(claims["jti"]))

    def form_is_ours(self, session: Session, given: object) -> bool:
        """Whether a form carries this session's token."""
        return isinstance(given, str) and hmac.compare_digest(given.encode(), session.csrf.encode())

    def _csrf(self, session_id: str) -> str:
        return hmac.new(self._secret.encode(), f"csrf:{session_id}".encode(), hashlib.sha256).hexdigest()


def comes_from_our_pages(request: Request) -> bool:
    """Whether a browser says that one of our own pages made this request; what says nothing is not believed."""
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    origin = request.headers.get("origin")
    if origin is None:
        return False
    try:
        return urlsplit(origin).netloc == request.headers.get("host", "")
    except ValueError:
        return False
