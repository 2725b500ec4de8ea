"""What every operation says of itself, in its decorator and in the OpenAPI document.

`documents` says which scope it needs, which event it leaves in the audit log, which rate limit it falls under, and
shows a success and the problems that a caller should expect. The scope is enforced; an application with an operation
that says nothing does not start. `prepare` adds what follows from the operation itself, so that nobody can forget it:
whether a key makes it repeatable, whether it is a list by keyset, whether it wants If-Match.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, Literal

from contracts.envelope import Payload
from contracts.registry import type_of
from fastapi import APIRouter, Depends
from fastapi.dependencies.models import Dependant
from fastapi.encoders import jsonable_encoder
from fastapi.routing import APIRoute, iter_route_contexts
from starlette.routing import BaseRoute

from chassis import idempotency as keys
from chassis.web.operations import requires
from chassis.web.pages import page
from chassis.web.preconditions import if_match
from chassis.web.problems import MEDIA_TYPE, Problem, ProblemType
from chassis.web.repeats import HEADER, READS, Operation

NO_EVENT: Final = "none"
Repeats = Literal["key", "natural", "none"]
"""What a repeated request does: the same under its key, the same by nature, or its work again."""
ProblemExample = Problem | tuple[ProblemType, str]
_SCOPE: Final = re.compile(r"[a-z][a-z_-]*:[a-z]+\Z")
_REQUEST_ID: Final = "0198c2f4-7d1e-7c35-9a51-6f0e4b8d2a17"
_KEY_PARAMETER: Final = {
    "name": HEADER,
    "in": "header",
    "required": False,
    "description": "The same key with the same request is answered as before and has its effect once",
    "schema": {"type": "string", "minLength": 1, "maxLength": keys.KEY_MAX_CHARACTERS},
}


def documents(
    *,
    scope: str,
    audit: type[Payload] | None = None,
    limit: str = "read",
    idempotency: Repeats | None = None,
    request: object = None,
    example: object = None,
    problems: Sequence[ProblemExample] = (),
    status: int = 200,
) -> dict[str, Any]:
    """What a route's decorator is to know: `@router.get("/records", **documents(scope="audit:read", ...))`.

    `audit` is the event that the operation emits when it changes something; None for one that only reads. `limit`
    names the class of rate limit. `request` and `example` are a body and its answer, as models or as JSON; `problems`
    are what may be answered instead. `idempotency` None follows from the operation (see `prepare`). `status` is that
    of success. Raises ValueError for a scope that is no `<plural>:<verb>`.
    """
    if not _SCOPE.match(scope):
        raise ValueError(f"{scope!r} is not a scope")
    extra: dict[str, Any] = {
        "x-scope": scope,
        "x-audit-event": type_of(audit).name if audit is not None else NO_EVENT,
        "x-limit": limit,
    }
    if idempotency is not None:
        extra["x-idempotency"] = idempotency
    if request is not None:
        extra["requestBody"] = {"content": {"application/json": {"example": jsonable_encoder(request)}}}
    return {
        "dependencies": [Depends(requires(scope))],
        "openapi_extra": extra,
        "responses": _responses(status, example, problems),
        "status_code": status,
    }


def _responses(status: int, example: object, problems: Sequence[ProblemExample]) -> dict[int | str, dict[str, Any]]:
    responses: dict[int | str, dict[str, Any]] = {}
    if example is not None:
        responses[status] = {"content": {"application/json": {"example": jsonable_encoder(example)}}}
    for each in problems:
        problem = each if isinstance(each, Problem) else Problem(*each)
        kind = problem.type
        response = responses.setdefault(
            kind.status, {"description": kind.title, "content": {MEDIA_TYPE: {"examples": {}}}}
        )
        examples = response["content"][MEDIA_TYPE]["examples"]
        name = kind.slug if kind.slug not in examples else f"{kind.slug}-{len(examples) + 1}"
        examples[name] = {"summary": kind.title, "value": problem.content(_REQUEST_ID)}
    return responses


def undocumented(routes: Sequence[BaseRoute]) -> list[str]:
    """The operations, as `GET /records`, that do not say what `documents` says."""
    return [
        f"{method} {route.path}"
        for route in iter_route_contexts(routes)
        if isinstance(route.original_route, APIRoute) and "x-scope" not in (route.openapi_extra or {})
        for method in sorted(route.methods or ())
    ]


def show_whole(document: dict[str, Any], routes: Sequence[BaseRoute]) -> None:
    """Put the examples into `document` as they were given: FastAPI leaves out whatever is null in them."""
    for route in iter_route_contexts(routes):
        if not isinstance(route.original_route, APIRoute):
            continue
        for method in route.methods or ():
            declared = document["paths"].get(route.path, {}).get(method.lower())
            if declared is None:
                continue
            _restore(declared.get("requestBody"), (route.openapi_extra or {}).get("requestBody"))
            for status, given in route.original_route.responses.items():
                _restore(declared["responses"].get(str(status)), given)


def _restore(declared: dict[str, Any] | None, given: dict[str, Any] | None) -> None:
    for media, content in (given or {}).get("content", {}).items():
        for name in content.keys() & {"example", "examples"}:
            if declared is not None:
                declared["content"][media][name] = content[name]


def prepare(router: APIRouter, *, keeps_keys: bool) -> None:
    """Make every route of `router` an `Operation`, and add to what it documents what follows from itself.

    Raises ValueError when one promises to honour a key in a service that keeps none.
    """
    for route in router.routes:
        if isinstance(route, APIRoute):
            route.__class__ = Operation  # its handler is made when the router is included
            _complete(route, keeps_keys=keeps_keys)


def _complete(route: APIRoute, *, keeps_keys: bool) -> None:
    extra = route.openapi_extra
    if extra is None or "x-scope" not in extra:
        return  # named by `undocumented`
    called = set(_calls(route.dependant))
    extra["x-pagination"] = "keyset" if page in called else "none"
    extra["x-if-match"] = "required" if if_match in called else "none"
    writes = not (route.methods or set()) <= READS
    repeats: Repeats = "natural" if not writes else "key" if keeps_keys else "none"
    if extra.setdefault("x-idempotency", repeats) == "key" and not keeps_keys:
        raise ValueError(f"{route.path} promises to honour {HEADER}, but this service has no table {keys.TABLE}")
    if writes and keeps_keys and _KEY_PARAMETER not in extra.setdefault("parameters", []):
        extra["parameters"].append(_KEY_PARAMETER)


def _calls(dependant: Dependant) -> Iterator[Callable[..., Any]]:
    for each in dependant.dependencies:
        if each.call is not None:
            yield each.call
        yield from _calls(each)
