"""The first draft of the ingress: FastAPI, an ORM session and a commit per request; the floor's rows. Frozen."""

from __future__ import annotations

import hmac
import os
from collections.abc import AsyncIterator
from hashlib import sha256
from time import time
from typing import Annotated

import orjson
import uvicorn
from fastapi import Depends, FastAPI, Header, HTTPException, Request
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from uuid_utils.compat import uuid7

from tests.bench.first_draft.tables import PendingEvent, ProviderEvent, WebhookDelivery

TOLERANCE_SECONDS = 300
SECRET = os.environ["WEBHOOK_SECRET"].encode()

url = os.environ["DATABASE_URL"].replace("postgresql://", "postgresql+asyncpg://")
engine = create_async_engine(url, pool_size=20, max_overflow=0)
sessions = async_sessionmaker(engine, expire_on_commit=False)
app = FastAPI()


async def session() -> AsyncIterator[AsyncSession]:
    async with sessions() as opened:
        yield opened


@app.post("/webhooks/stripe")
async def receive(
    request: Request,
    db: Annotated[AsyncSession, Depends(session)],
    stripe_signature: Annotated[str, Header()] = "",
) -> dict[str, bool]:
    body = await request.body()
    if not signed(stripe_signature, body):
        raise HTTPException(400, "bad signature")
    event = orjson.loads(body)
    digest = sha256(body).digest()
    headers = b"\n".join(name + b": " + value for name, value in request.headers.raw)

    def delivery() -> WebhookDelivery:
        return WebhookDelivery(
            id=uuid7(),
            provider="stripe",
            headers=headers,
            body=body,
            body_sha256=digest,
            status=200,
            state="accepted",
        )

    first = delivery()
    provider_event = ProviderEvent(
        id=uuid7(),
        provider="stripe",
        account=event.get("account", ""),
        livemode=event["livemode"],
        event_id=event["id"],
        type=event["type"],
        api_version=event.get("api_version"),
        content_sha256=digest,
        delivery_id=first.id,
    )
    db.add_all([first, provider_event, PendingEvent(provider_event_id=provider_event.id)])
    try:
        await db.commit()
    except IntegrityError:
        # The event is known already: keep the delivery alone.
        await db.rollback()
        db.add(delivery())
        await db.commit()
    return {"received": True}


def signed(header: str, body: bytes) -> bool:
    """Stripe's scheme: HMAC-SHA256 over `t.body`, within five minutes."""
    parts = dict(part.split("=", 1) for part in header.split(",") if "=" in part)
    stamp, given = parts.get("t", ""), parts.get("v1", "")
    if not stamp.isdigit() or abs(time() - int(stamp)) > TOLERANCE_SECONDS:
        return False
    expected = hmac.digest(SECRET, stamp.encode() + b"." + body, "sha256").hex()
    return hmac.compare_digest(expected, given)


if __name__ == "__main__":
    uvicorn.run(app, fd=int(os.environ["LISTEN_FD"]), access_log=False, log_level="warning")
