"""What the web application works with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from chassis.database import Database
from chassis.settings import Settings
from chassis.tokens import Verifier
from chassis.web.health import Check


def _none() -> Sequence[Check]:
    return ()


@dataclass(frozen=True, slots=True)
class WebState:
    """One process' database, token verifier and settings; `checks` tells how its parts are at this moment."""

    database: Database
    verifier: Verifier
    settings: Settings
    checks: Callable[[], Sequence[Check]] = field(default=_none)
