"""What the examples are made of: one moment, the product's own people, and one payment of theirs."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from contracts.envelope import Actor, Entity, Event, Money, Payload, Snapshot, Workflow
from contracts.events import Named, Referenced
from contracts.registry import type_of

TIME: Final = datetime(2026, 3, 2, 9, 15, 30, 123456, tzinfo=UTC)
EVENT_ID: Final = "019cadd6-1b7b-7c3e-9a52-3f0a6c1d2e4b"
CORRELATION_ID: Final = "019cadd6-1a04-7d11-8f6b-52c9e07ab613"
PAYMENT_ID: Final = "019cadd5-f0c2-7a58-b1c4-7d20e9a3f5c6"
INVOICE_ID: Final = "019cadd5-f0c1-7f3a-a6d8-0b9e4c7712aa"
JOURNAL_ID: Final = "019cadd6-1b7a-7b90-8e15-c4d1f60a9b73"
DELIVERY_ID: Final = "019cadd6-1a03-7e47-93d0-1f8b5a6ce2d9"
DEAD_LETTER_ID: Final = "019cadd6-1c02-7d5f-a2b7-6e93d08f41bc"
HOLD_ID: Final = "019cadd7-0f11-7c52-8f7e-a4d2b06c31e9"
TASK_ID: Final = "019cadd7-1a22-7b63-9e1d-5c3f7a80d4b2"
INCIDENT_ID: Final = "019cadd7-2b33-7a74-8d2c-6b4e9f71c5a3"
PAUSE_ID: Final = "019cadd7-3c44-7985-9c3b-7a5d8e62b694"
REPLAY_ID: Final = "019cadd7-4d55-7896-8b4a-896c7d53a785"

MARK: Final = Named(id="mark-stevens", name="Mark Stevens")
MARIA: Final = Actor(kind="staff", id="maria-rossi", name="Maria Rossi")
OPERATIONS: Final = Actor(kind="staff", id="operations", name="Operations")
STRIPE: Final = Actor(kind="provider", id="stripe", name="Stripe")
MONTHLY: Final = Money(amount_minor=11000, currency="AUD")


def system(service: str) -> Actor:
    return Actor(kind="system", id=service, name=service.replace("-", " ").capitalize())


def example(
    body: Payload,
    *,
    actor: Actor,
    entity: Entity,
    workflow: Workflow,
    before: Snapshot | None = None,
    after: Snapshot | None = None,
    reason: str | None = None,
) -> Event[Payload]:
    declared = type_of(type(body))
    data = declared.data(
        actor=actor, entity=entity, workflow=workflow, before=before, after=after, reason=reason, body=body
    )
    return declared.event(
        id=EVENT_ID,
        source=f"/{declared.topics[0].owner}",
        type=declared.name,
        subject=entity.id,
        time=TIME,
        dataschema=declared.dataschema,
        correlationid=CORRELATION_ID,
        causationid=DELIVERY_ID,
        partitionkey=entity.id,
        traceparent="00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        data=data,
    )


def payment_snapshot(state: str, **more: Any) -> Snapshot:
    return {"state": state, "amount": {"amount_minor": 11000, "currency": "AUD"}, "failure": None, **more}


COLLECTION: Final = Workflow(name="collection", id=PAYMENT_ID)
PAYMENT: Final = Referenced(id=PAYMENT_ID, reference="ch_3SvGq2LkdIwHu7ix0a1bCdEf")
