"""What the three origins share: bounded bodies, and the outage that makes a provider's API unreachable."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

Handler = Callable[[Request], Awaitable[Response]]


class BodyTooLargeError(Exception):
    """A request body is larger than the simulator reads."""

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(f"The request body is larger than {limit_bytes} bytes.")


async def read_body(request: Request, limit_bytes: int) -> bytes:
    """Return the body. Raises BodyTooLargeError as soon as it passes `limit_bytes`."""
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit_bytes:
            raise BodyTooLargeError(limit_bytes)
        chunks.append(chunk)
    return b"".join(chunks)


def json_response(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Return `body` as JSON, indented as both providers answer."""
    content = orjson.dumps(body, option=orjson.OPT_INDENT_2)
    return Response(content, status, headers, media_type="application/json")
