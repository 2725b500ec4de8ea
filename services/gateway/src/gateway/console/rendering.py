"""Rendering: templates with autoescape, a nonce for each answer, and the headers that keep a page to itself.

Everything that a template prints is text: escaped, and without the characters that turn the direction of writing or
steer a terminal. Scripts and styles come from our own files with the answer's nonce; there is no inline code, and the
policy allows none. Tested in tests/console.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache
from importlib.resources import files
from typing import Any, Final
from zoneinfo import ZoneInfo

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape
from starlette.requests import Request
from starlette.responses import Response

from gateway.console.navigation import GROUPS
from gateway.identity import Caller

SHOWN_MAX_CHARACTERS: Final = 2_000
NO_STORE: Final = "no-store"
_COMMAND: Final = re.compile(r"`([^`\s](?:[^`]*[^`\s])?)`")
_UNSEEN: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_JOINERS: Final = "\u200c\u200d"
_HTMX: Final = "django_htmx/static/django_htmx/htmx-2.min.js"
_STATIC: Final[Mapping[str, str]] = {
    "console.css": "text/css; charset=utf-8",
    "console.js": "text/javascript; charset=utf-8",
    "htmx.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}
_HEADERS: Final[Mapping[str, str]] = {
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}


def inert(value: Any) -> Any:
    """Text that shows what it is and does nothing; anything else as it was."""
    if isinstance(value, Markup) or not isinstance(value, str):
        return value
    seen = "".join(each if _may_be_seen(each) else "\ufffd" for each in value)
    return seen if len(seen) <= SHOWN_MAX_CHARACTERS else f"{seen[:SHOWN_MAX_CHARACTERS]}…"


def _may_be_seen(character: str) -> bool:
    return character == "\n" or character in _JOINERS or unicodedata.category(character) not in _UNSEEN


def duration(seconds: float | None) -> str:
    """A length of time in words: `45 s`, `12 min`, `3 h`, `2 d`."""
    if seconds is None:
        return "–"
    whole = max(0, round(seconds))
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if whole >= 2 * size:
            return f"{whole // size} {unit}"
    return f"{whole} s"


def number(value: Any) -> Any:
    """A number without digits that say nothing."""
    return f"{value:g}" if isinstance(value, float) else value


def at(moment: datetime | str | None, zone: ZoneInfo, form: str = "%d %b %Y %H:%M") -> str:
    """An instant as the business says it; one that cannot be read is told as it came."""
    try:
        instant = moment if isinstance(moment, datetime) else datetime.fromisoformat(moment or "")
    except ValueError:
        return str(moment or "–")
    return instant.astimezone(zone).strftime(form)


def day(given: str) -> str:
    """A business day as people say it; one that cannot be read is told as it came."""
    try:
        return f"{date.fromisoformat(given):%a %d %b %Y}"
    except ValueError:
        return given


def commands(words: str) -> Markup:
    """Text of ours, with what stands in backticks as code."""
    return Markup(_COMMAND.sub(r"<code>\1</code>", str(escape(inert(words)))))  # noqa: S704 - escaped before


@cache
def static_file(name: str) -> tuple[bytes, str, str] | None:
    """Bytes, media type and digest of one of our files; htmx comes out of its wheel. None for any other name."""
    media_type = _STATIC.get(name)
    if media_type is None:
        return None
    if name == "htmx.js":
        package, _, path = _HTMX.partition("/")
        found = files(package).joinpath(path).read_bytes()
    else:
        found = files("gateway.console").joinpath("static", name).read_bytes()
    return found, media_type, hashlib.sha256(found).hexdigest()[:12]


def _address(name: str) -> str:
    found = static_file(name)
    return f"/console/{name}?v={found[2] if found else ''}"


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("gateway.console"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=inert,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"at": at, "commands": commands, "day": day, "duration": duration, "number": number}
    environment.globals |= {"address": _address, "groups": GROUPS}
    return environment


@dataclass(frozen=True, slots=True)
class Look:
    """What all pages of a gateway share: the time zone of the business, and whether browsers come by https."""

    zone: ZoneInfo
    secure: bool


def page(
    request: Request, template: str, look: Look, *, caller: Caller | None = None, status: int = 200, **values: Any
) -> Response:
    """A page for `caller`."""
    nonce = secrets.token_urlsafe(16)
    here = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    csrf = caller.session.csrf if caller is not None and caller.session is not None else ""
    html = (
        _environment()
        .get_template(template)
        .render(nonce=nonce, caller=caller, csrf=csrf, here=here, path=request.url.path, zone=look.zone, **values)
    )
    return Response(html, status, {**headers(nonce, secure=look.secure), "Cache-Control": NO_STORE}, "text/html")


def headers(nonce: str, *, secure: bool) -> dict[str, str]:
    """What a page tells the browser: nothing but our own files, with this nonce, and no other site around it."""
    policy = (
        "default-src 'none'",
        f"script-src 'nonce-{nonce}'",
        f"style-src 'nonce-{nonce}'",
        "img-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types default",
    )
    told = {**_HEADERS, "Content-Security-Policy": "; ".join(policy)}
    if secure:
        told["Strict-Transport-Security"] = "max-age=31536000"
    return told
