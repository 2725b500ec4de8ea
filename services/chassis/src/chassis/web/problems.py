"""Problems: what every error looks like on the wire (RFC 9457, `application/problem+json`).

A type is declared once, with its title and status; a `Problem` is one occurrence, with a sentence and the ids that it
is about. `problem_of` decides for every other exception: what the caller can mend is a 4xx, what time may mend is a
503 with Retry-After, and the rest is a 500 that says nothing but the request's id.
"""

from __future__ import annotations

import http
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from chassis.faults import Fault, classify
from chassis.idempotency import AnswerTooLargeError
from chassis.transaction import EventTooLargeError
from chassis.versions import StaleVersionError

MEDIA_TYPE: Final = "application/problem+json"
RETRY_AFTER_SECONDS: Final = 5
_ERRORS_MAX: Final = 20


@dataclass(frozen=True, slots=True)
class ProblemType:
    """One kind of problem: `slug` identifies it for good, `title` is the same in every occurrence."""

    slug: str
    title: str
    status: int

    @property
    def uri(self) -> str:
        """The problem's `type`: a reference relative to the API."""
        return f"/problems/{self.slug}"


BAD_REQUEST: Final = ProblemType("bad-request", "The request cannot be read", 400)
BAD_CURSOR: Final = ProblemType("bad-cursor", "The cursor is not one of this list's", 400)
BAD_VALUE: Final = ProblemType("bad-value", "A value cannot be stored or looked up", 400)
UNAUTHENTICATED: Final = ProblemType("unauthenticated", "Nobody is signed in", 401)
MISSING_SCOPE: Final = ProblemType("missing-scope", "The scope for this is missing", 403)
NOT_FOUND: Final = ProblemType("not-found", "There is no such thing", 404)
METHOD_NOT_ALLOWED: Final = ProblemType("method-not-allowed", "This method is not allowed here", 405)
REQUEST_TIMEOUT: Final = ProblemType("request-timeout", "The request did not arrive in time", 408)
CONFLICT: Final = ProblemType("conflict", "Another change was made at the same time", 409)
KEY_IN_FLIGHT: Final = ProblemType("idempotency-key-in-flight", "The first request with this key is not done", 409)
PRECONDITION_FAILED: Final = ProblemType("precondition-failed", "The thing has changed since you read it", 412)
BODY_TOO_LARGE: Final = ProblemType("body-too-large", "The body is too large", 413)
UNSUPPORTED_MEDIA_TYPE: Final = ProblemType("unsupported-media-type", "The body is of another media type", 415)
INVALID: Final = ProblemType("invalid", "The request is not valid", 422)
KEY_REUSED: Final = ProblemType("idempotency-key-reused", "This key came with another request", 422)
ANSWER_TOO_LARGE: Final = ProblemType("answer-too-large", "The answer is too large to be kept under a key", 422)
EVENT_TOO_LARGE: Final = ProblemType("event-too-large", "The change is too large to be told", 422)
PRECONDITION_REQUIRED: Final = ProblemType("precondition-required", "Say which version you have read", 428)
INTERNAL: Final = ProblemType("internal", "Something went wrong here", 500)
UNAVAILABLE: Final = ProblemType("unavailable", "Something that this needs is away", 503)
OVERLOADED: Final = ProblemType("overloaded", "Too much is waiting already", 503)
TIMED_OUT: Final = ProblemType("timed-out", "The answer took too long", 503)

CATALOGUE: Final[Mapping[str, ProblemType]] = {
    each.slug: each
    for each in (
        BAD_REQUEST,
        BAD_CURSOR,
        BAD_VALUE,
        UNAUTHENTICATED,
        MISSING_SCOPE,
        NOT_FOUND,
        METHOD_NOT_ALLOWED,
        REQUEST_TIMEOUT,
        CONFLICT,
        KEY_IN_FLIGHT,
        PRECONDITION_FAILED,
        BODY_TOO_LARGE,
        UNSUPPORTED_MEDIA_TYPE,
        INVALID,
        KEY_REUSED,
        ANSWER_TOO_LARGE,
        EVENT_TOO_LARGE,
        PRECONDITION_REQUIRED,
        INTERNAL,
        UNAVAILABLE,
        OVERLOADED,
        TIMED_OUT,
    )
}
_BY_STATUS: Final[Mapping[int, ProblemType]] = {
    400: BAD_REQUEST,
    401: UNAUTHENTICATED,
    403: MISSING_SCOPE,
    404: NOT_FOUND,
    405: METHOD_NOT_ALLOWED,
    408: REQUEST_TIMEOUT,
    409: CONFLICT,
    413: BODY_TOO_LARGE,
    415: UNSUPPORTED_MEDIA_TYPE,
    422: INVALID,
    503: UNAVAILABLE,
}
# What is said of a value that the caller chose: too long (for an index, too), out of range, not a date, not text (a
# NUL). 22000 is asyncpg's own complaint about an argument, before PostgreSQL has seen it.
_VALUE_SQLSTATES: Final = frozenset(
    {"22000", "22001", "22003", "22007", "22008", "22021", "22P02", "22P03", "22P05", "54000"}
)


class Problem(Exception):  # noqa: N818 - the word of RFC 9457
    """One occurrence of a problem; raised anywhere in a request it rolls back and becomes the answer."""

    def __init__(
        self, problem_type: ProblemType, detail: str, /, *, headers: Mapping[str, str] | None = None, **members: Any
    ) -> None:
        super().__init__(detail)
        self.type = problem_type
        self.detail = detail
        self.headers = dict(headers or {})
        self.members = members

    @classmethod
    def not_found(cls, kind: str, id: str) -> Problem:  # noqa: A002 - the member's name
        """There is no `kind` with this id."""
        return cls(NOT_FOUND, f"There is no {kind} {id}.", kind=kind, id=id)

    def content(self, request_id: str) -> dict[str, Any]:
        """The body of the answer; its members can never replace the standard ones."""
        return {
            **self.members,
            "type": self.type.uri,
            "title": self.type.title,
            "status": self.type.status,
            "detail": self.detail,
            "request_id": request_id,
        }

    def response(self, request_id: str) -> Response:
        """The answer."""
        headers = dict(self.headers)
        if self.type.status == http.HTTPStatus.SERVICE_UNAVAILABLE:
            headers.setdefault("Retry-After", str(RETRY_AFTER_SECONDS))
        return Response(_dumped(self.content(request_id)), self.type.status, headers, MEDIA_TYPE)


def _dumped(content: dict[str, Any]) -> bytes:
    try:
        return orjson.dumps(content)
    except TypeError:  # text that is not Unicode, in an id from the caller: escaped, it is
        return orjson.dumps({name: _escaped(value) for name, value in content.items()}, default=_escaped)


def _escaped(value: object) -> object:
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value


def problem_of(error: BaseException) -> Problem:
    """The problem that `error` is to the caller; the catalogue's INTERNAL where it is a fault of ours."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, HTTPException):
        return _of_status(error)
    if isinstance(error, RequestValidationError):
        return _of_validation(error)
    if isinstance(error, EventTooLargeError):
        return Problem(EVENT_TOO_LARGE, f"{error}.")
    if isinstance(error, AnswerTooLargeError):
        return Problem(ANSWER_TOO_LARGE, f"{error}.")
    if isinstance(error, StaleVersionError):
        detail = f"{error}: read it again, then decide."
        return Problem(PRECONDITION_FAILED, detail, kind=error.kind, id=error.id, version=error.version)
    if _is_about_a_value(error):
        return Problem(BAD_VALUE, "A value in the path, the query or the body is out of range or not text.")
    match classify(error):
        case Fault.CONFLICT:
            return Problem(CONFLICT, "Nothing was changed: another change was made at the same time. Try again.")
        case Fault.INFRASTRUCTURE:
            return Problem(UNAVAILABLE, "Something that this needs is away for the moment. Try again.")
        case Fault.POISON:
            return Problem(INTERNAL, "Nothing can be said about it here; the log has it under the request's id.")


def _of_status(error: HTTPException) -> Problem:
    status = http.HTTPStatus(error.status_code)
    kind = _BY_STATUS.get(status) or ProblemType(f"http-{status.value}", status.phrase, status.value)
    return Problem(kind, f"{error.detail}".rstrip(".") + ".", headers=error.headers)


def _of_validation(error: RequestValidationError) -> Problem:
    """Where each fault is and what it is; never the input, which may hold what no log and no screen should."""
    found = error.errors()
    if any(each["type"] == "json_invalid" for each in found):
        return Problem(BAD_REQUEST, "The body is not JSON.")
    errors = [{"at": [str(part) for part in each["loc"]], "detail": each["msg"]} for each in found[:_ERRORS_MAX]]
    return Problem(INVALID, "Some values are missing, or are not what they should be.", errors=errors)


def _is_about_a_value(error: BaseException) -> bool:
    if isinstance(error, ValidationError):
        return False  # ours: a model that our own code has filled wrongly
    link: BaseException | None = error
    for _ in range(5):
        if link is None:
            return False
        if getattr(link, "sqlstate", None) in _VALUE_SQLSTATES or isinstance(link, UnicodeEncodeError):
            return True
        original = getattr(link, "orig", None)
        link = original if isinstance(original, BaseException) else link.__cause__
    return False
