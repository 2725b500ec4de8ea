"""Whether a process of the stack is ready, as it says itself."""

from __future__ import annotations

import http.client
from typing import Final
from urllib.parse import urlsplit

ASK_TIMEOUT_SECONDS: Final = 3


def is_ready(url: str, path: str = "/health/ready") -> bool:
    """Whether the origin `url` answers `path` with 200."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=ASK_TIMEOUT_SECONDS)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
