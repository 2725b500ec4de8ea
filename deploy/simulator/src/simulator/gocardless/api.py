"""The GoCardless API: how requests become answers.

Bearer tokens, the `GoCardless-Version` header, envelopes, idempotency keys, cursors and error bodies are as at
GoCardless, so that the official client works against it unchanged.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

import orjson
from pydantic import BaseModel, ValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from simulator.answering import answered
from simulator.forms import decode
from simulator.gocardless import operations
from simulator.gocardless.objects import Json
from simulator.gocardless.organisation import Organisation, RefusedError
from simulator.gocardless.parameters import Page, Parameters
from simulator.http import json_response
from simulator.world import World

VERSION: Final = "2015-07-06"
_DOCUMENTATION: Final = "https://developer.gocardless.com/api-reference"
_RATE_LIMIT: Final = {"ratelimit-limit": "1000", "ratelimit-remaining": "999"}
_ENVELOPE_OF_ACTIONS: Final = "data"
M = TypeVar("M", bound=BaseModel)
Answer = Callable[[Organisation, Request, bytes], tuple[int, Json]]


def routes(world: World) -> list[Route]:
    """Return the routes of the GoCardless API."""
    made = [
        Route(f"/{path}", _writing(world, path.partition("/")[0], model, run), methods=[method])
        for (method, path), (model, run) in operations.OPERATIONS.items()
    ]
    for collection in operations.COLLECTIONS.values():
        made.append(Route(f"/{collection.name}", _listing(world, collection), methods=["GET"]))
        made.append(Route(f"/{collection.name}/{{id}}", _retrieving(world, collection), methods=["GET"]))
    made.append(Route("/payout_items", _payout_items(world), methods=["GET"]))
    made.append(Route("/creditors", _creditors(world), methods=["GET"]))
    made.append(Route("/creditors/{id}", _creditor(world), methods=["GET"]))
    made.append(Route("/{path:path}", _unknown(world), methods=["GET", "POST", "PUT", "DELETE"]))
    return made


def _writing(world: World, envelope: str, model: type[Parameters], run: operations.Run) -> Any:
    def answer(organisation: Organisation, request: Request, body: bytes) -> tuple[int, Json]:
        creates = request.method == "POST" and "id" not in request.path_params
        key = f"{envelope}:{request.headers.get('idempotency-key', '')}"
        made = organisation.book.made_by.get(key)
        if creates and made is not None and not key.endswith(":"):
            raise RefusedError(
                "A resource has already been created with this idempotency key",
                reason="idempotent_creation_conflict",
                status=409,
                links={"conflicting_resource_id": made},
            )
        is_action = "/actions/" in request.url.path
        wanted = _validated(model, _enveloped(body, _ENVELOPE_OF_ACTIONS if is_action else envelope), envelope)
        thing = run(organisation, wanted, request.path_params.get("id", ""))
        if creates:
            organisation.book.made_by[key] = thing.id
        return (201 if creates else 200), {envelope: operations.shape(organisation, thing)}

    return _endpoint(world, answer)


def _listing(world: World, collection: operations.Collection) -> Any:
    def answer(organisation: Organisation, request: Request, _: bytes) -> tuple[int, Json]:
        entries, meta = operations.page(organisation, collection, _page(request))
        return 200, {collection.name: entries, "meta": meta}

    return _endpoint(world, answer)


def _retrieving(world: World, collection: operations.Collection) -> Any:
    def answer(organisation: Organisation, request: Request, _: bytes) -> tuple[int, Json]:
        return 200, {collection.name: operations.retrieve(organisation, collection, request.path_params["id"])}

    return _endpoint(world, answer)


def _payout_items(world: World) -> Any:
    def answer(organisation: Organisation, request: Request, _: bytes) -> tuple[int, Json]:
        entries, meta = operations.payout_items(organisation, _page(request))
        return 200, {"payout_items": entries, "meta": meta}

    return _endpoint(world, answer)


def _creditors(world: World) -> Any:
    def answer(_: Organisation, request: Request, __: bytes) -> tuple[int, Json]:
        wanted = _page(request)
        cursors = {"before": None, "after": None}
        return 200, {"creditors": [operations.creditor()], "meta": {"cursors": cursors, "limit": wanted.limit}}

    return _endpoint(world, answer)


def _creditor(world: World) -> Any:
    def answer(_: Organisation, request: Request, __: bytes) -> tuple[int, Json]:
        return 200, {"creditors": operations.creditor(request.path_params["id"])}

    return _endpoint(world, answer)


def _unknown(world: World) -> Any:
    def answer(_: Organisation, request: Request, __: bytes) -> tuple[int, Json]:
        raise RefusedError(
            f"No such path: {request.url.path}", reason="path_not_found", status=404, error_type="invalid_api_usage"
        )

    return _endpoint(world, answer)


def _endpoint(world: World, answer: Answer) -> Any:
    async def handle(request: Request) -> Response:
        request_id = world.ids.gocardless("RQ")
        headers = {"X-Request-Id": request_id, **_RATE_LIMIT}

        def respond(body: bytes) -> Response:
            try:
                _admit(request)
                status, shape = answer(world.gocardless, request, body)
            except RefusedError as error:
                status, shape = _error(error, request_id)
            return json_response(shape, status, headers)

        def refuse(message: str, status: int) -> Response:
            refused = _misuse(message, "payload_too_large", status)
            if status >= 500:
                refused = RefusedError(message, reason="unavailable", status=status, error_type="gocardless")
            return json_response(_error(refused, request_id)[1], status, headers)

        return await answered(world, "gocardless", request, respond, refuse)

    return handle


def _admit(request: Request) -> None:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise _misuse("No access token was found in the request", "missing_authorization_header", 401)
    version = request.headers.get("gocardless-version")
    if version is None:
        raise _misuse("Missing GoCardless-Version header", "missing_version_header", 400)
    if version != VERSION:
        raise _misuse(f"Version {version} was not found", "version_not_found", 400)


def _enveloped(body: bytes, envelope: str) -> Json:
    try:
        content = orjson.loads(body) if body else None
    except orjson.JSONDecodeError:
        raise _misuse("Invalid document structure", "invalid_document_structure", 400) from None
    if content is None:
        return {}
    if not isinstance(content, dict) or not isinstance(content.get(envelope, {}), dict):
        raise _misuse("Invalid document structure", "invalid_document_structure", 400)
    return dict(content.get(envelope, {}))


def _page(request: Request) -> Page:
    try:
        return _validated(Page, decode(request.url.query), "")
    except ValueError as error:
        raise _misuse(str(error), "invalid_filters", 400) from None


def _validated(model: type[M], given: Json, envelope: str) -> M:
    try:
        return model.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        raise RefusedError(
            "is required" if first["type"] == "missing" else first["msg"],
            field=".".join(str(part) for part in first["loc"]),
            error_type="validation_failed",
            reason=envelope or None,
        ) from None


def _misuse(message: str, reason: str, status: int) -> RefusedError:
    return RefusedError(message, reason=reason, status=status, error_type="invalid_api_usage")


def _error(error: RefusedError, request_id: str) -> tuple[int, Json]:
    first: Json = {"message": error.message}
    message = error.message
    anchor = error.reason or "validation_failed"
    if error.field is not None:
        pointer = error.field.replace(".", "/")
        first |= {"field": error.field.rpartition(".")[2], "request_pointer": f"/{error.reason or ''}/{pointer}"}
        message, anchor = "Validation failed", "validation_failed"
    else:
        first["reason"] = error.reason
    if error.links:
        first["links"] = error.links
    shape = {
        "message": message,
        "documentation_url": f"{_DOCUMENTATION}#{anchor}",
        "type": error.error_type,
        "code": error.status,
        "request_id": request_id,
        "errors": [first],
    }
    return error.status, {"error": shape}
