"""The web edge: an application factory, problems, health, pages, scopes and the transaction of a request.

It promises that an answer of 2xx is sent after the commit and never without it; that every error is problem+json with
the request's id and nothing that a caller should not see; that bodies and waiting have limits; and that every
operation says who may call it. Tested in tests/chassis/test_web_*.py against a real PostgreSQL.
"""

from __future__ import annotations

from chassis.web.app import application, described
from chassis.web.context import RequestContext
from chassis.web.health import Check
from chassis.web.operations import CallerIdentity, ReadTx, Tx, documents, undocumented, web_state
from chassis.web.pages import Listed, Page
from chassis.web.problems import (
    BAD_REQUEST,
    BODY_TOO_LARGE,
    CATALOGUE,
    CONFLICT,
    INVALID,
    NOT_FOUND,
    OVERLOADED,
    UNAVAILABLE,
    Problem,
    ProblemType,
)
from chassis.web.state import Identify, WebState

__all__ = [
    "BAD_REQUEST",
    "BODY_TOO_LARGE",
    "CATALOGUE",
    "CONFLICT",
    "INVALID",
    "NOT_FOUND",
    "OVERLOADED",
    "UNAVAILABLE",
    "CallerIdentity",
    "Check",
    "Identify",
    "Listed",
    "Page",
    "Problem",
    "ProblemType",
    "ReadTx",
    "RequestContext",
    "Tx",
    "WebState",
    "application",
    "described",
    "documents",
    "undocumented",
    "web_state",
]
