"""What the gateway measures about itself: whether each operation says what it must, and which tests have passed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from chassis.clock import real_now
from chassis.evidence import Measuring
from chassis.service import Runtime, Service
from chassis.transaction import Transaction
from contracts.evidence import Measurement
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from contracts import evidence
from gateway.board.results import Results
from gateway.operations import METHODS
from gateway.settings import GatewaySettings

_SAID: Final = ("x-scope", "x-audit-event", "x-limit")
_found: dict[str, tuple[str, ...]] = {}
_NAMED_MAX: Final = 5
_END: Final = "-----END PUBLIC KEY-----"


def incomplete(document: Mapping[str, Any]) -> Iterator[str]:
    """The operations, as `GET /v1/board`, without scope, audit event, rate limit or an example of success."""
    for path, item in document["paths"].items():
        for method, declared in item.items():
            if method not in METHODS:
                continue
            if not all(declared.get(name) for name in _SAID) or not _shows_a_success(declared):
                yield f"{method.upper()} {path}"


def _shows_a_success(declared: Mapping[str, Any]) -> bool:
    for status, response in declared["responses"].items():
        content = response.get("content", {}).get("application/json", {})
        if status.startswith("2") and ("example" in content or content.get("examples")):
            return True
    return False


def operations(service: Service[GatewaySettings]) -> Measuring:
    """How many operations do not say enough, and the first of them by name.

    The code decides: it is looked at once, and not while somebody waits.
    """
    found = _found.get(service.name)
    if found is None:
        found = _found[service.name] = tuple(incomplete(service.openapi()))

    async def counted(_: Transaction) -> Sequence[Measurement]:
        now, measure, where = real_now(), evidence.OPERATIONS_INCOMPLETE, "/v1/openapi.json"
        named = [measure.reading(1, now, of=each, detail_url=where) for each in found[:_NAMED_MAX]]
        return [measure.reading(len(found), now, detail_url=where), *named]

    return counted


def tests(results: Results) -> Measuring:
    """For which version each suite has passed."""

    async def passed(_: Transaction) -> Sequence[Measurement]:
        found = results.read()
        return [evidence.TESTS_PASSED.reading(each.version, each.passed_at, of=suite) for suite, each in found.items()]

    return passed


def results_of(settings: GatewaySettings) -> Results:
    """The results that this gateway was told of, and the keys that it believes."""
    pems = [f"{part.strip()}\n{_END}\n" for part in settings.test_results_public_keys.split(_END) if part.strip()]
    keys = (load_pem_public_key(pem.encode()) for pem in pems)
    return Results(settings.test_results_file, tuple(key for key in keys if isinstance(key, Ed25519PublicKey)))


def measures(runtime: Runtime[GatewaySettings]) -> Sequence[Measuring]:
    """Everything that the gateway measures beside what every service does."""
    return [operations(runtime.service), tests(results_of(runtime.settings))]
