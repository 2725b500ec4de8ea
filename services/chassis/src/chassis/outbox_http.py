"""Parked keys over HTTP: which keys of the outbox stand aside and why, and the way back once the reason is mended.

A release commits with the event that says who did it; the relay then sends the key's events in their order, or parks
the key again with a new reason. Tested in tests/chassis/test_outbox_http.py.
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from contracts.envelope import Entity, Workflow
from contracts.events import OutboxKeyReleased
from contracts.topics import own_topic
from fastapi import APIRouter
from pydantic import BaseModel, Field

from chassis import outbox
from chassis.ids import bounded
from chassis.outbox import ParkedKey
from chassis.transaction import Draft, Transaction
from chassis.web import INVALID, LIST_PROBLEMS, NOT_FOUND, Listed, Page, Problem, ReadTx, Tx, documents


class ParkedKeyView(BaseModel):
    """A key whose events stand aside: the first of them that cannot be sent, and why."""

    topic: str
    key: str
    event_id: UUID
    reason: str
    parked_at: datetime


class ReleaseKey(BaseModel):
    """Which key is to go on."""

    topic: str = Field(min_length=1, max_length=249)
    key: str = Field(min_length=1, max_length=10_000)


_EXAMPLE: Final = ParkedKeyView(
    topic="tasks-events",
    key="019cadd7-1a22-7b63-9e1d-5c3f7a80d4b2",
    event_id=UUID("019cadd6-1b7b-7c3e-9a52-3f0a6c1d2e4b"),
    reason="The topic takes no record of this size",
    parked_at=datetime(2026, 3, 2, 9, 15, 30, tzinfo=UTC),
)


def outbox_router(schema: str) -> APIRouter:
    """The endpoints `/outbox/parked`."""
    router = APIRouter(tags=["outbox"])

    @router.get(
        "/outbox/parked",
        **documents(
            scope="dead-letters:read",
            limit="read",
            example=Listed(items=[_EXAMPLE], next=None),
            problems=LIST_PROBLEMS,
        ),
    )
    async def list_parked_keys(tx: ReadTx, page: Page) -> Listed[ParkedKeyView]:
        """Keys whose events stand aside, that with the oldest event first."""
        found = await outbox.parked(tx.connection, schema, limit=page.limit + 1, after=page.after_id())
        return page.listed([_shown(each) for each in found], key=lambda parked: parked.event_id)

    @router.post(
        "/outbox/parked/release",
        **documents(
            scope="dead-letters:write",
            audit=OutboxKeyReleased,
            limit="write",
            request=ReleaseKey(topic=_EXAMPLE.topic, key=_EXAMPLE.key),
            example=_EXAMPLE,
            problems=[
                (NOT_FOUND, f"There is no parked key {_EXAMPLE.key}."),
                (INVALID, "Some values are missing, or are not what they should be."),
            ],
        ),
    )
    async def release_parked_key(wanted: ReleaseKey, tx: Tx) -> ParkedKeyView:
        """Let the events of a key go on, in their order; answers with what it was parked for."""
        released = await outbox.unpark(tx.connection, schema, wanted.topic, wanted.key)
        if released is None:
            raise Problem.not_found("parked key", wanted.key)
        tx.emit(_told(tx, released))
        return _shown(released)

    return router


def _shown(parked: ParkedKey) -> ParkedKeyView:
    return ParkedKeyView(**asdict(parked))


def _told(tx: Transaction, released: ParkedKey) -> Draft[OutboxKeyReleased]:
    # Under a key of its own: under the released one it would wait behind events that may be parked again.
    identity = bounded(f"{released.topic}/{released.key}")
    return Draft(
        OutboxKeyReleased(owner=tx.service, topic=released.topic, key=released.key, event_id=released.event_id),
        entity=Entity(type="outbox_key", id=identity),
        workflow=Workflow(name="outbox_key", id=identity),
        before={"parked_reason": released.reason},
        topic=own_topic(tx.service),
    )
