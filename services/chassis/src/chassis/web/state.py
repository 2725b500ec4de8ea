"""What the web application works with."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from contracts.evidence import Measurement
from starlette.requests import Request

from chassis.database import Database
from chassis.settings import Settings
from chassis.tokens import Identity, Verifier
from chassis.web.health import Check
from chassis.web.problems import Problem
from chassis.web.recent import RecentAnswers

Identify = Callable[[Request], Awaitable[Identity]]
"""Who the caller of a request is. Raises Problem where nobody can be made out."""

Refused = Callable[[Request, Problem], None]
"""Is shown every problem that an operation was answered with."""


def _none() -> Sequence[Check]:
    return ()


async def _nothing() -> list[Measurement]:
    return []


@dataclass(frozen=True, slots=True)
class WebState:
    """One process' database, token verifier and settings; `checks` tells how its parts are at this moment.

    `resources` is what the service opened; `identify`, where given, stands in for the verifier. `recent` counts what
    the process has answered lately; `evidence` measures the service and the process.
    `keeps_keys`: the schema has the table of idempotency keys, so every write honours them.
    The process is ready without the checks named in `spared`; `refused` is shown problems.
    """

    database: Database
    verifier: Verifier
    settings: Settings
    checks: Callable[[], Sequence[Check]] = field(default=_none)
    resources: object = None
    identify: Identify | None = None
    recent: RecentAnswers = field(default_factory=RecentAnswers)
    evidence: Callable[[], Awaitable[list[Measurement]]] = field(default=_nothing)
    keeps_keys: bool = False
    refused: Refused | None = None
    spared: frozenset[str] = frozenset()
