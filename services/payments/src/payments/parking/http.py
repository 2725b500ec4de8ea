"""What waits for something unknown."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final, Literal
from uuid import UUID

from chassis.web import LIST_PROBLEMS, Listed, Page, ReadTx, documents
from fastapi import APIRouter, Query
from pydantic import BaseModel

from payments.parking import store
from payments.parking.use_cases import why

router = APIRouter(tags=["parked"])
Kind = Literal["payment", "refund", "dispute", "payout"]


class ParkedView(BaseModel):
    """Something that waits. `id` is this list's, `entity_id` the object's; `asked_at` when a task was asked for."""

    id: UUID
    kind: Kind
    entity_id: UUID
    reference: str
    waits_for: str
    why: str
    since: datetime
    asked_at: datetime | None


_PARKED: Final = {
    "id": "0198c2f4-7c10-7b02-8f4e-3a5d6c7b8e96",
    "kind": "refund",
    "entity_id": "0198c2f4-7c10-7b02-8f4e-3a5d6c7b8e97",
    "reference": "re_3Qx8TzKp4VnW2mRb0c",
    "waits_for": "awaiting payment",
    "why": "what it is about has not been told",
    "since": "2026-03-04T01:00:00Z",
    "asked_at": None,
}


@router.get(
    "/parked",
    **documents(scope="payments:read", example=Listed(items=[_PARKED], next=None), problems=LIST_PROBLEMS),
)
async def list_parked(
    tx: ReadTx, page: Page, kind: Annotated[Kind | None, Query(description="Only these")] = None
) -> Listed[ParkedView]:
    """What is parked, newest first."""
    rows = await store.page(tx.connection, kind=kind, before=page.after_id(), limit=page.limit + 1)
    shown = [
        ParkedView(
            id=row.id,
            kind=row.kind,
            entity_id=row.entity_id,
            reference=row.key.split("/", 3)[3],
            waits_for=row.waits_for,
            why=why(row.waits_for),
            since=row.since,
            asked_at=row.asked_at,
        )
        for row in rows
    ]
    return page.listed(shown, key=lambda each: each.id)
