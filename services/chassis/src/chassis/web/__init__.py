"""The web edge: an application factory, problems, health, pages, scopes and the transaction of a request.

It promises that an answer of 2xx is sent after the commit and never without it; that every error is problem+json with
the request's id and nothing that a caller should not see; that bodies and waiting have limits; and that every
operation says who may call it. A write that is repeated under its Idempotency-Key has its effect once, and one that
has seen another version than there is changes nothing. Tested in tests/chassis/test_web_*.py and
tests/chassis/test_idempotency.py against a real PostgreSQL.
"""

from __future__ import annotations

from chassis.web.app import application, described
from chassis.web.context import RequestContext
from chassis.web.documented import documents, undocumented
from chassis.web.health import Check
from chassis.web.operations import CallerIdentity, ReadTx, Tx, web_state
from chassis.web.pages import LIST_PROBLEMS, Listed, Page, PageRequest
from chassis.web.preconditions import IfMatch
from chassis.web.problems import (
    BAD_CURSOR,
    BAD_REQUEST,
    BODY_TOO_LARGE,
    CATALOGUE,
    CONFLICT,
    INVALID,
    KEY_IN_FLIGHT,
    KEY_REUSED,
    MISSING_SCOPE,
    NOT_FOUND,
    OVERLOADED,
    PRECONDITION_FAILED,
    PRECONDITION_REQUIRED,
    UNAUTHENTICATED,
    UNAVAILABLE,
    Problem,
    ProblemType,
)
from chassis.web.state import Identify, Refused, WebState

__all__ = [
    "BAD_CURSOR",
    "BAD_REQUEST",
    "BODY_TOO_LARGE",
    "CATALOGUE",
    "CONFLICT",
    "INVALID",
    "KEY_IN_FLIGHT",
    "KEY_REUSED",
    "LIST_PROBLEMS",
    "MISSING_SCOPE",
    "NOT_FOUND",
    "OVERLOADED",
    "PRECONDITION_FAILED",
    "PRECONDITION_REQUIRED",
    "UNAUTHENTICATED",
    "UNAVAILABLE",
    "CallerIdentity",
    "Check",
    "Identify",
    "IfMatch",
    "Listed",
    "Page",
    "PageRequest",
    "Problem",
    "ProblemType",
    "ReadTx",
    "Refused",
    "RequestContext",
    "Tx",
    "WebState",
    "application",
    "described",
    "documents",
    "undocumented",
    "web_state",
]
