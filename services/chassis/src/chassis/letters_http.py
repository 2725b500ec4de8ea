"""Dead letters over HTTP: the same list and the same way back at every service that sets messages aside.

A retry is one transaction: the message's effect, the letter's new state and the event that says who tried commit
together. A message that fails again answers 200 with its letter still open and the newest reason; the request did
what it could. Tested in tests/chassis/test_letters_http.py.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Any, Final
from uuid import UUID

from contracts.envelope import Entity, Workflow
from contracts.events import MessageRetried
from contracts.topics import own_topic
from fastapi import APIRouter, Query
from pydantic import BaseModel

from chassis import dead_letters
from chassis.dead_letters import (
    DeadLetter,
    DeadLetterNotFoundError,
    NobodyRetriesError,
    Retried,
    Retrier,
    State,
    Summary,
)
from chassis.transaction import Draft, Transaction
from chassis.web import INVALID, LIST_PROBLEMS, NOT_FOUND, Listed, Page, Problem, ProblemType, ReadTx, Tx, documents

NOBODY_RETRIES: Final = ProblemType("nobody-retries", "Nothing here handles such messages any more", 409)


class DeadLetterView(BaseModel):
    """A message that was set aside, without its bytes. `attempts` counts retries by hand."""

    id: UUID
    owner: str
    consumer: str
    pointer: str
    reason_class: str
    reason: str
    message_type: str | None
    event_id: str | None
    state: State
    attempts: int
    created_at: datetime
    retried_at: datetime | None


class DeadLetterDetail(DeadLetterView):
    """A message whole. `text` is null where the bytes are no UTF-8; keys and headers are in base64."""

    message_base64: str
    text: str | None
    key_base64: str | None
    headers_base64: list[tuple[str, str | None]]


class RetriedView(BaseModel):
    """How a retry ended: `retried`, or still `open` with the newest reason."""

    id: UUID
    state: State
    attempts: int
    reason: str | None


_EXAMPLE: Final = DeadLetterDetail(
    id=UUID("019cadd6-1b7b-7c3e-9a52-3f0a6c1d2e4b"),
    owner="tasks",
    consumer="tasks",
    pointer="payments-events/3/1042",
    reason_class="unreadable",
    reason="The value is no event: it is not JSON",
    message_type=None,
    event_id=None,
    state="open",
    attempts=0,
    created_at=datetime(2026, 3, 2, 9, 15, 30, tzinfo=UTC),
    retried_at=None,
    message_base64="aGFsZiBhbiBldmVudA==",
    text="half an event",
    key_base64=None,
    headers_base64=[],
)
_SHOWN: Final = DeadLetterView(**_EXAMPLE.model_dump(include=set(DeadLetterView.model_fields)))
_UNKNOWN: Final = (NOT_FOUND, f"There is no dead letter {_EXAMPLE.id}.")
_NO_ID: Final = (INVALID, "Some values are missing, or are not what they should be.")


def dead_letters_router(schema: str, retriers: Mapping[str, Retrier]) -> APIRouter:
    """The endpoints `/dead-letters`; `retriers` handle a letter again, by its consumer's name."""
    router = APIRouter(tags=["dead letters"])

    @router.get(
        "/dead-letters",
        **documents(
            scope="dead-letters:read", limit="read", example=Listed(items=[_SHOWN], next=None), problems=LIST_PROBLEMS
        ),
    )
    async def list_dead_letters(
        tx: ReadTx,
        page: Page,
        state: Annotated[State | None, Query(description="`open` or `retried`; both without")] = None,
        consumer: Annotated[str | None, Query(max_length=200, description="Who set it aside")] = None,
    ) -> Listed[DeadLetterView]:
        """Messages that were set aside, newest first."""
        letters = await dead_letters.page(
            tx.connection, schema, limit=page.limit + 1, state=state, consumer=consumer, after=page.after_id()
        )
        return page.listed([DeadLetterView(**_shown(letter)) for letter in letters], key=lambda letter: letter.id)

    @router.get(
        "/dead-letters/{dead_letter_id}",
        **documents(scope="dead-letters:read", limit="read", example=_EXAMPLE, problems=[_UNKNOWN, _NO_ID]),
    )
    async def get_dead_letter(dead_letter_id: UUID, tx: ReadTx) -> DeadLetterDetail:
        """One message that was set aside, with its exact bytes."""
        return _detail(await _found(tx, schema, dead_letter_id))

    @router.post(
        "/dead-letters/{dead_letter_id}/retry",
        **documents(
            scope="dead-letters:write",
            audit=MessageRetried,
            limit="write",
            example=RetriedView(id=_EXAMPLE.id, state="open", attempts=1, reason=_EXAMPLE.reason),
            problems=[_UNKNOWN, (NOBODY_RETRIES, "Nothing here handles messages of old-consumer.")],
        ),
    )
    async def retry_dead_letter(dead_letter_id: UUID, tx: Tx) -> RetriedView:
        """Handle a message again; one that has had its effect already is left alone."""
        before = await _found(tx, schema, dead_letter_id, lock=True)
        if before.state == "retried":
            return RetriedView(id=dead_letter_id, state="retried", attempts=before.attempts, reason=None)
        try:
            after = await dead_letters.retry(tx, schema, str(dead_letter_id), retriers)
        except NobodyRetriesError as error:
            raise Problem(NOBODY_RETRIES, f"{str(error).capitalize()}.", consumer=error.consumer) from None
        tx.emit(_told(tx, before, after))
        return RetriedView(id=dead_letter_id, state=after.state, attempts=after.attempts, reason=after.reason)

    return router


async def _found(tx: Transaction, schema: str, dead_letter_id: UUID, *, lock: bool = False) -> DeadLetter:
    try:
        return await dead_letters.find(tx.connection, schema, str(dead_letter_id), lock=lock)
    except DeadLetterNotFoundError:
        raise Problem.not_found("dead letter", str(dead_letter_id)) from None


def _told(tx: Transaction, before: DeadLetter, after: Retried) -> Draft[MessageRetried]:
    return Draft(
        MessageRetried(
            owner=before.owner,
            consumer=before.consumer,
            pointer=before.pointer,
            state=after.state,
            attempts=after.attempts,
        ),
        entity=Entity(type="dead_letter", id=before.id),
        workflow=Workflow(name="dead_letter", id=before.id),
        before={"state": before.state, "attempts": before.attempts},
        after={"state": after.state, "attempts": after.attempts},
        reason=after.reason,
        topic=own_topic(tx.service),
    )


def _shown(letter: Summary) -> dict[str, Any]:
    values = asdict(letter)
    return {name: values[name] for name in DeadLetterView.model_fields}


def _detail(letter: DeadLetter) -> DeadLetterDetail:
    try:
        text = letter.message.decode()
    except UnicodeDecodeError:
        text = None
    return DeadLetterDetail(
        **_shown(letter),
        message_base64=_base64(letter.message) or "",
        text=text,
        key_base64=_base64(letter.key),
        headers_base64=[(name, _base64(value)) for name, value in letter.headers or ()],
    )


def _base64(value: bytes | None) -> str | None:
    return None if value is None else base64.b64encode(value).decode()
