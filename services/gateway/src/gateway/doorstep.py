"""What stands outside the door: the document, sessions, and in local mode the keys and tokens of its own issuer.

Plain routes: they need no scope, and what may be asked here is little.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, Final

import orjson
from chassis.web import BAD_REQUEST, Problem
from contracts.roles import ROLES
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from gateway import documenting
from gateway.door import door_of
from gateway.identity import Caller
from gateway.local_issuer import STAFF

JSON: Final = "application/json"
NO_STORE: Final = {"Cache-Control": "no-store"}
_BODY_MAX_CHARACTERS: Final = 1_000


async def get_document(request: Request) -> Response:
    """The OpenAPI document of everything behind this door."""
    return Response(_document(request.app), media_type=JSON, headers={"Cache-Control": "public, max-age=300"})


async def begin_session(request: Request) -> Response:
    """Make a session out of a token."""
    door = door_of(request)
    caller = await door.identify(request)
    response = _json(_said(caller))
    door.sign_in_bearer(request, response, caller)
    return response


async def get_session(request: Request) -> Response:
    """Who is signed in, and what they may do."""
    return _json(_said(await door_of(request).identify(request)))


async def end_session(request: Request) -> Response:
    """Sign out."""
    door = door_of(request)
    await door.identify(request)
    response = Response(status_code=204, headers=NO_STORE)
    door.sign_out(response)
    return response


async def get_keys(request: Request) -> Response:
    """The public key of the local issuer."""
    issuer = door_of(request).issuer
    if issuer is None:
        raise Problem.not_found("page", request.url.path)
    return _json(issuer.key_set())


async def issue_token(request: Request) -> Response:
    """A token of the local issuer for whoever holds a role: `{"role": "billing"}`."""
    door = door_of(request)
    if door.issuer is None:
        raise Problem.not_found("page", request.url.path)
    await door.visitor(request)
    body = await request.body()
    try:
        role = orjson.loads(body[:_BODY_MAX_CHARACTERS])["role"]
    except (ValueError, TypeError, KeyError):
        role = None
    chosen = next((each for each in ROLES if each == role), None)
    if chosen is None:
        raise Problem(BAD_REQUEST, f'Say which role: {{"role": "billing"}}, one of {", ".join(ROLES)}.')
    actor = STAFF[chosen]
    return _json({"token": door.issuer.token(actor, [chosen]), "id": actor.id, "name": actor.name, "role": chosen})


def routes() -> Sequence[BaseRoute]:
    """The plain routes of the doorstep."""
    return [
        Route("/v1/openapi.json", get_document, name="read the document"),
        Route("/v1/session", begin_session, methods=["POST"], name="sign in"),
        Route("/v1/session", get_session, methods=["GET"], name="read the session"),
        Route("/v1/session", end_session, methods=["DELETE"], name="sign out"),
        Route("/local/keys", get_keys, name="read the local issuer's keys"),
        Route("/local/token", issue_token, methods=["POST"], name="ask for a token"),
    ]


@cache
def _document(app: FastAPI) -> bytes:
    return orjson.dumps(documenting.describe(app.openapi()))


def _said(caller: Caller) -> dict[str, Any]:
    return {
        "id": caller.actor.id,
        "name": caller.actor.name,
        "roles": list(caller.roles),
        "scopes": sorted(caller.scopes),
        "issuer": caller.issuer,
    }


def _json(content: dict[str, Any]) -> Response:
    return Response(orjson.dumps(content), media_type=JSON, headers=NO_STORE)
