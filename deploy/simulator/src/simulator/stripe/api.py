"""The Stripe API: which operations exist, and how requests become answers.

Bearer keys, `Stripe-Version`, form bodies, idempotency keys and error bodies are as at Stripe, so that the official
client works against it unchanged.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from simulator import forms
from simulator.answering import answered
from simulator.http import json_response
from simulator.stripe import operations, payment_shapes
from simulator.stripe.account import (
    Account,
    CardDeclinedError,
    NoSuchThingError,
    RefusedError,
    render_notification,
)
from simulator.stripe.book import Reply
from simulator.stripe.collections import COLLECTIONS, Collection, balance, expand, page, retrieve
from simulator.stripe.objects import Json, Origin
from simulator.stripe.parameters import Nothing, Page, Parameters
from simulator.world import World

P = TypeVar("P", bound=Parameters)
_KEY_LIVES_SECONDS: Final = 24 * 3600
_DOCUMENTATION: Final = "https://stripe.com/docs/error-codes"


@dataclass(frozen=True, slots=True)
class Call:
    """One request that has been let in."""

    account: Account
    by: Origin
    api_version: str
    key: str


def routes(world: World) -> list[Route]:
    """Return the routes of the Stripe API."""
    made = [
        Route(f"/v1/{path}", _posting(world, model, run), methods=["POST"])
        for path, (model, run) in operations.OPERATIONS.items()
    ]
    for collection in COLLECTIONS.values():
        made.append(Route(f"/v1/{collection.path}", _listing(world, collection), methods=["GET"]))
        made.append(Route(f"/v1/{collection.path}/{{id}}", _retrieving(world, collection), methods=["GET"]))
    made.append(Route("/v1/balance", _balance(world), methods=["GET"]))
    made.append(Route("/v2/core/events/{id}", _notification(world), methods=["GET"]))
    made.append(Route("/{path:path}", _unknown(world), methods=["GET", "POST", "DELETE", "PUT", "PATCH"]))
    return made


def _posting(world: World, model: type[Parameters], run: operations.Run) -> Any:
    def answer(call: Call, request: Request, given: Json) -> tuple[int, Json]:
        wanted = _validated(model, given)
        thing = run(call.account, call.by, wanted, request.path_params.get("id", ""))
        shape = call.account.render(thing, call.api_version)
        return 200, expand(call.account, shape, wanted.expand, call.api_version)

    return _endpoint(world, answer)


def _listing(world: World, collection: Collection) -> Any:
    def answer(call: Call, _: Request, given: Json) -> tuple[int, Json]:
        wanted = _validated(Page, given)
        shape = page(call.account, collection, wanted, call.api_version)
        return 200, expand(call.account, shape, wanted.expand, call.api_version)

    return _endpoint(world, answer)


def _retrieving(world: World, collection: Collection) -> Any:
    def answer(call: Call, request: Request, given: Json) -> tuple[int, Json]:
        wanted = _validated(Nothing, given)
        shape = retrieve(call.account, collection, request.path_params["id"], call.api_version)
        return 200, expand(call.account, shape, wanted.expand, call.api_version)

    return _endpoint(world, answer)


def _balance(world: World) -> Any:
    def answer(call: Call, _: Request, given: Json) -> tuple[int, Json]:
        _validated(Nothing, given)
        return 200, balance(call.account)

    return _endpoint(world, answer)


def _notification(world: World) -> Any:
    def answer(call: Call, request: Request, _: Json) -> tuple[int, Json]:
        event = call.account.book.events.get(request.path_params["id"])
        if event is None:
            raise NoSuchThingError("event", request.path_params["id"], "id")
        return 200, {**render_notification(event), "changes": None, "data": {}}

    return _endpoint(world, answer)


def _unknown(world: World) -> Any:
    def answer(_: Call, request: Request, __: Json) -> tuple[int, Json]:
        raise RefusedError(f"Unrecognized request URL ({request.method}: {request.url.path}).", status=404)

    return _endpoint(world, answer)


def _endpoint(world: World, answer: Callable[[Call, Request, Json], tuple[int, Json]]) -> Any:
    async def handle(request: Request) -> Response:
        request_id = world.ids.stripe("req")
        headers = {"Request-Id": request_id, "Stripe-Version": world.stripe.api_version}
        if "idempotency-key" in request.headers:
            headers["Idempotency-Key"] = request.headers["idempotency-key"]

        def respond(body: bytes) -> Response:
            try:
                call = _admitted(world, request, request_id)
                headers["Stripe-Version"] = call.api_version
                status, shape, replayed = _once(call, request, _given(request, body), answer)
            except RefusedError as error:
                return json_response({"error": _error(error, request_id)}, error.status, headers)
            return json_response(shape, status, headers | ({"Idempotent-Replayed": "true"} if replayed else {}))

        def refuse(message: str, status: int) -> Response:
            error_type = "api_error" if status >= 500 else "invalid_request_error"
            refused = RefusedError(message, status=status, error_type=error_type)
            return json_response({"error": _error(refused, request_id)}, status, headers)

        return await answered(world, "stripe", request, respond, refuse)

    return handle


def _admitted(world: World, request: Request, request_id: str) -> Call:
    key = _api_key(request.headers.get("authorization", ""))
    if not key:
        raise RefusedError(
            "You did not provide an API key. You need to provide your API key in the Authorization header, using "
            "Bearer auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY').",
            status=401,
        )
    if not key.startswith(("sk_test_", "rk_test_")):
        raise RefusedError(f"Invalid API Key provided: {key[:8]}***", status=401)
    by = Origin(request_id, request.headers.get("idempotency-key"))
    return Call(world.stripe, by, request.headers.get("stripe-version", world.stripe.api_version), key)


def _api_key(authorization: str) -> str:
    scheme, _, value = authorization.partition(" ")
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(value, validate=True).decode().partition(":")[0]
        except ValueError:
            return ""
    return value.strip() if scheme.lower() == "bearer" else ""


def _given(request: Request, body: bytes) -> Json:
    try:
        return forms.decode(body.decode() if request.method == "POST" else request.url.query)
    except ValueError as error:
        raise RefusedError(str(error), code="parameter_unknown") from None


def _once(
    call: Call, request: Request, given: Json, answer: Callable[[Call, Request, Json], tuple[int, Json]]
) -> tuple[int, Json, bool]:
    """Answer, or give the answer that was given to the same idempotency key; the last part tells which."""
    key = call.by.idempotency_key
    if request.method != "POST" or key is None:
        return *_answered(call, request, given, answer), False
    replies, now = call.account.book.replies, call.account.time()
    asked = f"{request.url.path}?{sorted(given.items())}"
    fingerprint = hashlib.sha256(asked.encode()).hexdigest()
    slot = f"{call.key}:{key}"
    held = replies.get(slot)
    if held is not None and now - held.at < _KEY_LIVES_SECONDS:
        if held.fingerprint != fingerprint:
            raise RefusedError(
                f"Keys for idempotent requests can only be used with the same parameters they were first used with. "
                f"Try using a key other than '{key}' if you meant to execute a different request.",
                error_type="idempotency_error",
            )
        return held.status, held.body, True
    status, shape = _answered(call, request, given, answer)
    _forget_old(replies, now)
    replies.pop(slot, None)
    replies[slot] = Reply(fingerprint, status, shape, now)
    return status, shape, False


def _forget_old(replies: dict[str, Reply], now: int) -> None:
    while replies:
        oldest = next(iter(replies))
        if now - replies[oldest].at < _KEY_LIVES_SECONDS:
            return
        del replies[oldest]


def _answered(
    call: Call, request: Request, given: Json, answer: Callable[[Call, Request, Json], tuple[int, Json]]
) -> tuple[int, Json]:
    """Answer; a declined card is an answer too, since the attempt has been made."""
    try:
        return answer(call, request, given)
    except CardDeclinedError as declined:
        error = payment_shapes.decline(call.account.book, declined.charge)
        error["payment_intent"] = call.account.render(declined.intent, call.api_version)
        error["request_log_url"] = f"https://dashboard.stripe.com/test/logs/{call.by.request_id}"
        return 402, {"error": error}


def _validated(model: type[P], given: Json) -> P:
    try:
        return model.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        place, *parts = (str(part) for part in first["loc"])
        param = place + "".join(f"[{part}]" for part in parts)
        if first["type"] == "extra_forbidden":
            message, code = f"Received unknown parameter: {param}", "parameter_unknown"
        elif first["type"] == "missing":
            message, code = f"Missing required param: {param}.", "parameter_missing"
        elif first["type"] == "int_parsing":
            message, code = f"Invalid integer: {first['input']}", "parameter_invalid_integer"
        else:
            message, code = f"Invalid {param}: {first['msg']}", "parameter_invalid"
        raise RefusedError(message, code=code, param=param) from None


def _error(error: RefusedError, request_id: str) -> Json:
    shape: Json = {"message": error.message, "type": error.error_type}
    if error.code:
        shape |= {"code": error.code, "doc_url": f"{_DOCUMENTATION}/{error.code.replace('_', '-')}"}
    if error.param:
        shape["param"] = error.param
    shape["request_log_url"] = f"https://dashboard.stripe.com/test/logs/{request_id}"
    return dict(sorted(shape.items()))
