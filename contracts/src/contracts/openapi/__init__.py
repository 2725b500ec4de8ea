"""The OpenAPI document of every service, generated from its code (`make generate`) and committed.

Whoever stands in front of a service learns from it which operations there are, without importing the service.
"""

from __future__ import annotations

import json
from importlib import resources
from typing import Any


def document(service: str) -> dict[str, Any]:
    """The OpenAPI document of `service`. Raises KeyError for a service that has none."""
    file = resources.files(__package__).joinpath(f"{service.replace('-', '_')}.json")
    if not file.is_file():
        raise KeyError(service)
    found: dict[str, Any] = json.loads(file.read_text())
    return found
