"""One OpenAPI document out of many: the gateway's own operations, and those of every service behind it.

A service's document says everything about its operations but who may come in by this door: that is added here, with
the problems that the door itself answers. Schemas carry their service's name, so that two may use one word.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from chassis.web import UNAVAILABLE, Problem
from chassis.web.problems import MEDIA_TYPE, MISSING_SCOPE, UNAUTHENTICATED

from contracts import openapi
from gateway.limiting import RATE_LIMITED
from gateway.operations import METHODS, PREFIX, Operation, all_operations
from gateway.settings import UPSTREAMS

TITLE: Final = "Backbone"
DESCRIPTION: Final = """\
Every operation says which scope it needs (`x-scope`), which event it leaves in the audit log (`x-audit-event`), which
rate limit it falls under (`x-limit`), what a repeated request does (`x-idempotency`), whether it is a list by keyset
(`x-pagination`) and whether it wants If-Match (`x-if-match`).

Send a token of the issuer's as `Authorization: Bearer`, or make a session out of it: `POST /v1/session` sets a cookie,
`DELETE /v1/session` takes it away, `GET /v1/session` says who is signed in. Errors are problem+json (RFC 9457); money
is in minor units; lists are `{"items": [...], "next": cursor or null}`.
"""
SECURITY: Final[list[dict[str, list[str]]]] = [{"bearer": []}, {"session": []}]
SCHEMES: Final = {
    "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": "A token of the issuer's"},
    "session": {"type": "apiKey", "in": "cookie", "name": "backbone_session", "description": "A browser's session"},
}
_REQUEST_ID: Final = "0198c2f4-7d1e-7c35-9a51-6f0e4b8d2a17"
_REFERENCE: Final = "#/components/schemas/"


def describe(own: dict[str, Any]) -> dict[str, Any]:
    """The whole document, given that of the gateway's own routers."""
    paths: dict[str, dict[str, Any]] = {}
    for operation in all_operations():
        paths.setdefault(operation.path, {})[operation.method.lower()] = _forwarded(operation)
    for path, item in own["paths"].items():
        if not path.startswith(f"{PREFIX}/"):
            continue  # for those who run this process, not for those who come to the door
        for method, declared in item.items():
            here = {**declared, "x-service": "gateway"} if method in METHODS else declared
            paths.setdefault(path, {})[method] = _guarded(here, forwarded=False) if method in METHODS else here
    schemas = dict(own.get("components", {}).get("schemas", {}))
    for service in UPSTREAMS:
        theirs = openapi.document(service).get("components", {}).get("schemas", {})
        schemas |= {f"{service}.{name}": _renamed(schema, service) for name, schema in theirs.items()}
    return {
        "openapi": own["openapi"],
        "info": {"title": TITLE, "version": own["info"]["version"], "description": DESCRIPTION},
        "paths": dict(sorted(paths.items())),
        "components": {"schemas": _used(paths, schemas), "securitySchemes": SCHEMES},
    }


def _forwarded(operation: Operation) -> dict[str, Any]:
    declared = _renamed(operation.declared, operation.service)
    declared["operationId"] = f"{operation.service.replace('-', '_')}_{declared.get('operationId', 'operation')}"
    return _guarded({**declared, "x-service": operation.service}, forwarded=True)


def _guarded(declared: Mapping[str, Any], *, forwarded: bool) -> dict[str, Any]:
    """An operation with what the door adds: who may come in, and what it answers itself."""
    scope, service = declared.get("x-scope", ""), declared["x-service"]
    door = [
        Problem(UNAUTHENTICATED, "Send a token as `Authorization: Bearer`, or sign in."),
        Problem(MISSING_SCOPE, f"This needs the scope {scope}.", scope=scope),
        Problem(RATE_LIMITED, "6000 requests in 60 s are allowed; wait 12 s."),
    ]
    if forwarded:
        door.append(Problem(UNAVAILABLE, f"{service} cannot be reached.", missing=[service]))
    responses = {status: dict(response) for status, response in declared.get("responses", {}).items()}
    for problem in door:
        kind = problem.type
        response = responses.setdefault(str(kind.status), {"description": kind.title})
        content = response["content"] = dict(response.get("content", {}))
        media = content[MEDIA_TYPE] = dict(content.get(MEDIA_TYPE, {}))
        media["examples"] = {
            **media.get("examples", {}),
            kind.slug: {"summary": kind.title, "value": problem.content(_REQUEST_ID)},
        }
    return {**declared, "security": SECURITY, "responses": dict(sorted(responses.items()))}


def _renamed(given: Any, service: str) -> Any:
    """A piece of a service's document whose references name the service."""
    if isinstance(given, Mapping):
        return {
            key: f"{_REFERENCE}{service}.{value.removeprefix(_REFERENCE)}"
            if key == "$ref" and isinstance(value, str)
            else _renamed(value, service)
            for key, value in given.items()
        }
    return [_renamed(each, service) for each in given] if isinstance(given, list) else given


def _used(paths: Mapping[str, Any], schemas: Mapping[str, Any]) -> dict[str, Any]:
    """The schemas that the paths refer to, directly or through others."""
    used: set[str] = set()
    waiting = list(_references(paths))
    while waiting:
        name = waiting.pop()
        if name not in used:
            used.add(name)
            waiting += _references(schemas[name])
    return {name: schema for name, schema in sorted(schemas.items()) if name in used}


def _references(given: Any) -> list[str]:
    if isinstance(given, Mapping):
        found = [
            value.removeprefix(_REFERENCE) for key, value in given.items() if key == "$ref" and isinstance(value, str)
        ]
        return found + [name for value in given.values() for name in _references(value)]
    return [name for each in given for name in _references(each)] if isinstance(given, list) else []
