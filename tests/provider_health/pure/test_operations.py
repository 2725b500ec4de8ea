"""Every operation of this service says who may call it, what it leaves in the audit log, and shows examples."""

from __future__ import annotations

from typing import Any

import pytest
from provider_health.main import service

OPERATIONS = [
    pytest.param(operation, id=f"{method.upper()} {path}")
    for path, methods in service.openapi()["paths"].items()
    if path.startswith(("/providers", "/incidents", "/pauses", "/maintenance-windows"))
    for method, operation in methods.items()
]


def examples(operation: dict[str, Any], *, ok: bool) -> list[Any]:
    found = []
    for status, response in operation["responses"].items():
        for content in response.get("content", {}).values():
            if status.startswith("2") == ok:
                found += [content["example"]] if "example" in content else list(content.get("examples", {}).values())
    return found


@pytest.mark.parametrize("operation", OPERATIONS)
def test_it_is_documented_whole(operation: dict[str, Any]) -> None:
    writes = operation["x-limit"] == "write"
    assert operation["x-scope"].endswith(":write") is writes
    assert (operation["x-audit-event"] != "none") is writes
    assert operation["x-idempotency"] == ("key" if writes else "natural")
    assert len(examples(operation, ok=True)) == 1
    assert len(examples(operation, ok=False)) >= 2
    assert not writes or "example" in operation["requestBody"]["content"]["application/json"]


def test_there_are_operations() -> None:
    assert len(OPERATIONS) == 21
