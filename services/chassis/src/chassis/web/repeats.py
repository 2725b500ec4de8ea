"""Idempotency-Key at the edge: which key a request came with, and what becomes of its answer.

`begin` is called when a write's transaction opens: it holds the key, or raises what ends the request at once, which is
the answer that was given before, or a problem. `Operation` is every route's class: it keeps the answer in that same
transaction before it commits, and tags answers with their version.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final

from fastapi import Request
from fastapi.routing import APIRoute
from pydantic import BaseModel
from starlette.responses import Response

from chassis import idempotency
from chassis.idempotency import Answer, Key, KeyInFlightError, KeyReusedError
from chassis.ids import bounded
from chassis.transaction import Transaction
from chassis.web import preconditions
from chassis.web.problems import BAD_REQUEST, KEY_IN_FLIGHT, KEY_REUSED, Problem

HEADER: Final = "Idempotency-Key"
READS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_PENDING: Final = "chassis.idempotency"
_FORM: Final = re.compile(rf"[\x21-\x7e]{{1,{idempotency.KEY_MAX_CHARACTERS}}}")
_KEPT_HEADERS: Final = ("content-type", "etag", "location")


class Replayed(Exception):  # noqa: N818 - no error: the request was answered before
    """This request was answered before; `answer` is what was said then."""

    def __init__(self, answer: Answer) -> None:
        super().__init__("answered before")
        self.answer = answer

    def response(self) -> Response:
        """The same answer, marked as one that was given before."""
        headers = {**self.answer.headers, "Idempotency-Replayed": "true"}
        return Response(self.answer.body, self.answer.status, headers)


@dataclass(frozen=True, slots=True)
class _Pending:
    """A key that is held, and the transaction that holds it."""

    tx: Transaction
    schema: str
    key: Key

    async def keep(self, response: Response) -> None:
        headers = {name: response.headers[name] for name in _KEPT_HEADERS if name in response.headers}
        answer = Answer(response.status_code, headers, bytes(response.body))
        await idempotency.keep(self.tx.connection, self.schema, self.key, answer)


async def begin(request: Request, tx: Transaction, schema: str) -> None:
    """Hold the request's key, where it has one. Raises Replayed, and Problem: 400, 409 in flight, 422 reused."""
    given = request.headers.get(HEADER)
    if given is None or request.method in READS:
        return
    if not _FORM.fullmatch(given):
        most = idempotency.KEY_MAX_CHARACTERS
        raise Problem(BAD_REQUEST, f"Idempotency-Key must be 1 to {most} printable ASCII characters without spaces.")
    key = Key(
        caller=bounded(f"{tx.actor.kind}:{tx.actor.id}"),
        operation=bounded(f"{request.method} {request.url.path}"),
        key=given,
        fingerprint=hashlib.sha256(request.url.query.encode() + b"\0" + await request.body()).digest(),
    )
    try:
        answer = await idempotency.claim(tx.connection, schema, key)
    except KeyInFlightError:
        detail = "The first request with this Idempotency-Key is still being worked on."
        raise Problem(KEY_IN_FLIGHT, detail, headers={"Retry-After": "1"}) from None
    except KeyReusedError:
        detail = "This Idempotency-Key came with another request before. Use a new key for a new request."
        raise Problem(KEY_REUSED, detail) from None
    if answer is not None:
        raise Replayed(answer)
    request.scope[_PENDING] = _Pending(tx, schema, key)


class Operation(APIRoute):
    """A route whose answer is tagged and kept before its transaction commits."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle, versioned = super().get_route_handler(), _has_version(self.response_model)

        async def answer(request: Request) -> Response:
            response = await handle(request)
            if versioned and response.status_code < 300:
                preconditions.tag(response)
            pending: _Pending | None = request.scope.get(_PENDING)
            if pending is not None:
                await pending.keep(response)
            return response

        return answer


def _has_version(model: Any) -> bool:
    return isinstance(model, type) and issubclass(model, BaseModel) and "version" in model.model_fields
