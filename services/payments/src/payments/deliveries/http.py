"""Provider deliveries and dead letters, read by staff; a dead letter can be tried again."""

from __future__ import annotations

import base64
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from chassis.web import LIST_PROBLEMS, Listed, Page, Problem, ReadTx, documents
from fastapi import APIRouter, Query
from pydantic import BaseModel
from sqlalchemy import Row

from payments import specimens
from payments.deliveries import queries
from payments.deliveries.domain import DeliveryState, Provider

router = APIRouter(tags=["deliveries"])


class DeliveryView(BaseModel):
    """One HTTP delivery. `attempts` counts equal rejected ones; `refusal` says why it was not believed."""

    id: UUID
    provider: Provider
    state: DeliveryState
    received_at: datetime
    last_received_at: datetime
    attempts: int
    status_answered: int
    verified_by: str | None
    refusal: str | None
    body_bytes: int
    sha256: str
    events: int


class ProviderEventView(BaseModel):
    """One provider event. `delivery_id` brought it first, `deliveries` counts how often it came in all.

    `outcome` is null until it was applied.
    """

    id: UUID
    delivery_id: UUID
    event_id: str
    type: str
    account: str
    livemode: bool
    api_version: str | None
    deliveries: int
    outcome: str | None
    outcome_words: str | None
    payment_id: UUID | None
    ingested_at: datetime | None


class DeliveryDetail(DeliveryView):
    """One delivery whole. `body` is base64 of the exact bytes, null where only the hash was kept."""

    headers: list[tuple[str, str]]
    body: str | None
    provider_events: list[ProviderEventView]


@router.get(
    "/deliveries",
    **documents(
        scope="deliveries:read",
        limit="read",
        example=Listed(items=[specimens.DELIVERY], next=None),
        problems=LIST_PROBLEMS,
    ),
)
async def list_deliveries(
    tx: ReadTx,
    page: Page,
    provider: Annotated[Provider | None, Query(description="Only this provider's")] = None,
    state: Annotated[DeliveryState | None, Query(description="Only deliveries in this state")] = None,
) -> Listed[DeliveryView]:
    """Deliveries, newest first."""
    rows = await queries.list_deliveries(
        tx.connection, provider=provider, state=state, before=page.after_id(), limit=page.limit + 1
    )
    return page.listed([DeliveryView(**_shown(row)) for row in rows], key=lambda delivery: delivery.id)


@router.get(
    "/deliveries/{delivery_id}",
    **documents(
        scope="deliveries:read",
        limit="read",
        example=specimens.DELIVERY_DETAIL,
        problems=[Problem.not_found("delivery", specimens.DELIVERY_ID)],
    ),
)
async def get_delivery(delivery_id: UUID, tx: ReadTx) -> DeliveryDetail:
    """One delivery with its exact bytes and its provider events, those that another brought first among them."""
    row = await queries.get_delivery(tx.connection, str(delivery_id))
    if row is None:
        raise Problem.not_found("delivery", str(delivery_id))
    events = await queries.events_of(tx.connection, row)
    return DeliveryDetail(
        **_shown(row),
        headers=_headers(row.headers),
        body=None if row.body is None else base64.b64encode(row.body).decode(),
        provider_events=[ProviderEventView.model_validate(dict(event._mapping)) for event in events],
    )


def _shown(row: Row[Any]) -> dict[str, Any]:
    shown = {name: getattr(row, name) for name in DeliveryView.model_fields if name != "sha256"}
    return {**shown, "sha256": row.sha256.hex()}


def _headers(raw: bytes) -> list[tuple[str, str]]:
    lines = (line.partition(b": ") for line in raw.split(b"\r\n") if line)
    return [(name.decode("latin-1"), value.decode("latin-1")) for name, _, value in lines]
