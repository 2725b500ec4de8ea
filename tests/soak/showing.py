"""GoCardless' API for a soak: shows each payment and each mandate that its deliveries name."""

from __future__ import annotations

from starlette.types import Receive, Scope, Send

from tests.soak.month import Chaos


class Showing:
    """Answers `GET /payments/...` and `GET /mandates/...` for whoever asks."""

    def __init__(self, chaos: Chaos) -> None:
        self._chaos = chaos
        self.answered = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = self._chaos.shown(scope["path"].rpartition("/")[2])
        self.answered += body is not None
        status, length = (404, 0) if body is None else (200, len(body))
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % length)]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body or b""})
