"""The floor of the ingress: as little Python as a durable, deduplicated webhook can do with.

A bare ASGI function: HMAC, orjson, one 3 ms group commit of delivery, provider event and pending event. Frozen.
"""

from __future__ import annotations

import asyncio
import hmac
import os
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from hashlib import sha256
from time import time
from typing import Any
from uuid import UUID

import asyncpg
import orjson
import uvicorn
from uuid_utils.compat import uuid7

GATHER_SECONDS = 0.003
BATCH_MAX_ROWS = 500
TOLERANCE_SECONDS = 300
SECRET = os.environ["WEBHOOK_SECRET"].encode()

# Ids of a batch are sorted, so that two writers of the same events wait for each other instead of deadlocking.
INSERT = """
WITH incoming AS (
    SELECT * FROM unnest(
        $1::uuid[], $2::timestamptz[], $3::bytea[], $4::bytea[], $5::bytea[],
        $6::uuid[], $7::text[], $8::boolean[], $9::text[], $10::text[], $11::text[]
    ) AS row (delivery_id, received_at, headers, body, body_sha256, id, account, livemode, event_id, type, api_version)
), delivered AS (
    INSERT INTO webhook_deliveries (id, provider, received_at, headers, body, body_sha256, status, state)
    SELECT delivery_id, 'stripe', received_at, headers, body, body_sha256, 200, 'accepted' FROM incoming
), fresh AS (
    INSERT INTO provider_events (
        id, provider, account, livemode, event_id, type, api_version, content_sha256, delivery_id, received_at
    )
    SELECT id, 'stripe', account, livemode, event_id, type, api_version, body_sha256, delivery_id, received_at
    FROM incoming ORDER BY event_id
    ON CONFLICT (provider, account, livemode, event_id) DO NOTHING
    RETURNING id, received_at
)
INSERT INTO pending_events (provider_event_id, available_at) SELECT id, received_at FROM fresh
"""

Row = tuple[UUID, datetime, bytes, bytes, bytes, UUID, str, bool, str, str, str | None]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Receive = Callable[[], Awaitable[dict[str, Any]]]


class GroupCommit:
    """Rows that arrive within 3 ms of each other share one statement and one commit."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection
        self._waiting: list[tuple[Row, asyncio.Future[None]]] = []
        self._arrived = asyncio.Event()

    def add(self, row: Row) -> asyncio.Future[None]:
        committed = asyncio.get_running_loop().create_future()
        self._waiting.append((row, committed))
        self._arrived.set()
        return committed

    async def run(self) -> None:
        while True:
            await self._arrived.wait()
            await asyncio.sleep(GATHER_SECONDS)
            batch, self._waiting = self._waiting[:BATCH_MAX_ROWS], self._waiting[BATCH_MAX_ROWS:]
            if not self._waiting:
                self._arrived.clear()
            try:
                await self._connection.execute(INSERT, *zip(*(row for row, _ in batch), strict=True))
            except (asyncpg.PostgresError, OSError) as error:
                for _, committed in batch:
                    committed.set_exception(error)
            else:
                for _, committed in batch:
                    committed.set_result(None)


class Ingress:
    """The ASGI application."""

    commits: GroupCommit
    _committing: asyncio.Task[None]

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        else:
            await self._delivery(scope, receive, send)

    async def _delivery(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        body = b""
        more = True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        signature = next((value for name, value in scope["headers"] if name == b"stripe-signature"), b"")
        if not signed(signature, body):
            await answer(send, 400)
            return
        event = orjson.loads(body)
        headers = b"\n".join(name + b": " + value for name, value in scope["headers"])
        account, livemode = event.get("account", ""), event["livemode"]
        row = (uuid7(), datetime.now(UTC), headers, body, sha256(body).digest(), uuid7(), account, livemode)
        await self.commits.add((*row, event["id"], event["type"], event.get("api_version")))
        await answer(send, 200)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        connection = await asyncpg.connect(os.environ["DATABASE_URL"])
        self.commits = GroupCommit(connection)
        self._committing = asyncio.create_task(self.commits.run())
        await send({"type": "lifespan.startup.complete"})
        await receive()
        self._committing.cancel()
        await connection.close()
        await send({"type": "lifespan.shutdown.complete"})


def signed(header: bytes, body: bytes) -> bool:
    """Stripe's scheme: HMAC-SHA256 over `t.body`, within five minutes."""
    parts = dict(part.split(b"=", 1) for part in header.split(b",") if b"=" in part)
    stamp, given = parts.get(b"t", b""), parts.get(b"v1", b"")
    if not stamp.isdigit() or abs(time() - int(stamp)) > TOLERANCE_SECONDS:
        return False
    expected = hmac.digest(SECRET, stamp + b"." + body, "sha256").hex().encode()
    return hmac.compare_digest(expected, given)


async def answer(send: Send, status: int) -> None:
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})


if __name__ == "__main__":
    uvicorn.run(
        Ingress(),
        fd=int(os.environ["LISTEN_FD"]),
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="warning",
    )
