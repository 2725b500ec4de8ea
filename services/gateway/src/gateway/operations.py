"""The operations behind the door, as the services' own OpenAPI documents list them.

What carries a scope and is meant for people appears at `/v1` with the same path; audit's under `/v1/audit`, and what
every service has alike under `/v1/services/<service>`. Webhooks, health and evidence are no business of this door.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from contracts import openapi
from gateway.settings import UPSTREAMS

PREFIX: Final = "/v1"
METHODS: Final = ("get", "post", "put", "patch", "delete")
COMMON: Final = ("/dead-letters", "/outbox")
NOT_FOR_PEOPLE: Final = ("/evidence", "/webhooks", "/health", "/metrics")
_PARAMETER: Final = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation: where it is at the gateway (`path`) and at its service (`target`), and what it declares."""

    service: str
    method: str
    path: str
    target: str
    scope: str
    limit: str
    summary: str
    declared: Mapping[str, Any]

    @property
    def words(self) -> str:
        """What it does, as a sentence has it: `claim task`."""
        return self.summary.lower()

    @property
    def parameters(self) -> Sequence[str]:
        """The names in its path."""
        return _PARAMETER.findall(self.target)


@cache
def all_operations() -> tuple[Operation, ...]:
    """Every operation of every service that is reached through this door."""
    return tuple(each for service in UPSTREAMS for each in operations_of(service, openapi.document(service)))


def operations_of(service: str, document: Mapping[str, Any]) -> Sequence[Operation]:
    """The operations of one document that are for people."""
    return [
        Operation(
            service=service,
            method=method.upper(),
            path=path_at_the_gateway(service, target),
            target=target,
            scope=declared["x-scope"],
            limit=declared.get("x-limit", "read" if method == "get" else "write"),
            summary=declared.get("summary", target),
            declared=declared,
        )
        for target, item in document["paths"].items()
        for method, declared in item.items()
        if method in METHODS and "x-scope" in declared and not _begins(target, NOT_FOR_PEOPLE)
    ]


def path_at_the_gateway(service: str, target: str) -> str:
    """Where an operation of `service` is reached."""
    if _begins(target, COMMON):
        return f"{PREFIX}/services/{service}{target}"
    return f"{PREFIX}/audit{target}" if service == "audit" else f"{PREFIX}{target}"


@cache
def scopes_by_service() -> Mapping[str, frozenset[str]]:
    """The scopes that each service asks for anywhere: what a token for it may carry."""
    return {
        service: frozenset(
            declared["x-scope"]
            for item in openapi.document(service)["paths"].values()
            for declared in item.values()
            if isinstance(declared, dict) and "x-scope" in declared
        )
        for service in UPSTREAMS
    }


def _begins(target: str, prefixes: Sequence[str]) -> bool:
    return any(target == prefix or target.startswith(f"{prefix}/") for prefix in prefixes)
