"""One example of every event type, as its owner would send it: the golden files keep their bytes and sentences."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any, Final

from contracts.envelope import Actor, Entity, Event, Money, Payload, Snapshot, Workflow
from contracts.events import (
    AuditEventRecorded,
    InvoiceUpdated,
    MemberUpdated,
    MessageDeadLettered,
    MessageRetried,
    Named,
    OutboxKeyReleased,
    PaymentProviderEventIngested,
    PaymentUpdated,
    ProviderDeliveryRejected,
    ProviderEventConflicted,
    ProviderEventReference,
    Referenced,
)
from contracts.registry import EventType, type_of

_TIME: Final = datetime(2026, 3, 2, 9, 15, 30, 123456, tzinfo=UTC)
_EVENT_ID: Final = "019cadd6-1b7b-7c3e-9a52-3f0a6c1d2e4b"
_CORRELATION_ID: Final = "019cadd6-1a04-7d11-8f6b-52c9e07ab613"
_PAYMENT_ID: Final = "019cadd5-f0c2-7a58-b1c4-7d20e9a3f5c6"
_INVOICE_ID: Final = "019cadd5-f0c1-7f3a-a6d8-0b9e4c7712aa"
_JOURNAL_ID: Final = "019cadd6-1b7a-7b90-8e15-c4d1f60a9b73"
_DELIVERY_ID: Final = "019cadd6-1a03-7e47-93d0-1f8b5a6ce2d9"
_DEAD_LETTER_ID: Final = "019cadd6-1c02-7d5f-a2b7-6e93d08f41bc"

_MARK: Final = Named(id="mark-stevens", name="Mark Stevens")
_MARIA: Final = Actor(kind="staff", id="maria-rossi", name="Maria Rossi")
_STRIPE: Final = Actor(kind="provider", id="stripe", name="Stripe")
_MONTHLY: Final = Money(amount_minor=11000, currency="AUD")


def _system(service: str) -> Actor:
    return Actor(kind="system", id=service, name=service.capitalize())


def _example(
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
        id=_EVENT_ID,
        source=f"/{declared.topics[0].owner}",
        type=declared.name,
        subject=entity.id,
        time=_TIME,
        dataschema=declared.dataschema,
        correlationid=_CORRELATION_ID,
        causationid=_DELIVERY_ID,
        partitionkey=entity.id,
        traceparent="00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        data=data,
    )


def _payment(state: str, **more: Any) -> Snapshot:
    return {"state": state, "amount": {"amount_minor": 11000, "currency": "AUD"}, "failure": None, **more}


_COLLECTION: Final = Workflow(name="collection", id=_PAYMENT_ID)
_PAYMENT: Final = Referenced(id=_PAYMENT_ID, reference="ch_3SvGq2LkdIwHu7ix0a1bCdEf")

EXAMPLES: Final[tuple[Event[Payload], ...]] = (
    _example(
        PaymentProviderEventIngested(
            provider="stripe",
            provider_event=ProviderEventReference(
                id="evt_3SvGq2LkdIwHu7ix0zYxWvUt",
                type="charge.failed",
                account="acct_1Qbackbone",
                livemode=False,
                api_version="2025-03-31.basil",
                delivery_id=_DELIVERY_ID,
            ),
            what="a failed card payment",
            outcome="applied",
            member=_MARK,
            invoice=Referenced(id=_INVOICE_ID, reference="in_1SvGpzLkdIwHu7ixQwErTyUi"),
            payment=_PAYMENT,
            amount=_MONTHLY,
        ),
        actor=_STRIPE,
        entity=Entity(type="payment", id=_PAYMENT_ID),
        workflow=_COLLECTION,
        before=_payment("processing"),
        after=_payment("failed", failure="insufficient_funds"),
        reason="insufficient funds",
    ),
    _example(
        PaymentUpdated(change="matched", payment=_PAYMENT, member=_MARK, amount=_MONTHLY, journal_ids=(_JOURNAL_ID,)),
        actor=_MARIA,
        entity=Entity(type="payment", id=_PAYMENT_ID),
        workflow=_COLLECTION,
        before={"state": "succeeded", "member_id": None},
        after={"state": "succeeded", "member_id": "mark-stevens"},
        reason="the bank statement names him",
    ),
    _example(
        InvoiceUpdated(
            change="issued",
            reference="in_1SvGpzLkdIwHu7ixQwErTyUi",
            implied=False,
            amount_due=_MONTHLY,
            gst=Money(amount_minor=1000, currency="AUD"),
            member=_MARK,
            due=date(2026, 3, 2),
        ),
        actor=_STRIPE,
        entity=Entity(type="invoice", id=_INVOICE_ID),
        workflow=_COLLECTION,
        after={"state": "open", "amount_due": {"amount_minor": 11000, "currency": "AUD"}},
    ),
    _example(
        MemberUpdated(
            change="added", name="Isla Morgan", customers=(Referenced(id="stripe", reference="cus_TkM4bCdEfGhIjK"),)
        ),
        actor=_MARIA,
        entity=Entity(type="member", id="isla-morgan"),
        workflow=Workflow(name="membership", id="isla-morgan"),
        after={"name": "Isla Morgan", "customers": {"stripe": ["cus_TkM4bCdEfGhIjK"]}},
    ),
    _example(
        ProviderDeliveryRejected(
            provider="gocardless",
            minute=datetime(2026, 3, 2, 9, 15, tzinfo=UTC),
            count=20,
            by_reason={"signature": 18, "header_missing": 2},
        ),
        actor=_system("payments"),
        entity=Entity(type="provider", id="gocardless"),
        workflow=Workflow(name="webhooks", id="gocardless"),
        reason="their signatures do not match",
    ),
    _example(
        ProviderEventConflicted(
            provider="stripe",
            provider_event=ProviderEventReference(
                id="evt_3SvGq2LkdIwHu7ix0zYxWvUt",
                type="charge.failed",
                account="self",
                livemode=False,
                api_version="2025-03-31.basil",
                delivery_id=_DELIVERY_ID,
            ),
        ),
        actor=_STRIPE,
        entity=Entity(type="provider_event", id=_EVENT_ID),
        workflow=Workflow(name="provider_event", id=_EVENT_ID),
    ),
    _example(
        MessageDeadLettered(
            owner="payments",
            consumer="payments.worker",
            pointer=f"webhook_deliveries/{_DELIVERY_ID}",
            reason_class="UnreadableDelivery",
        ),
        actor=_system("payments"),
        entity=Entity(type="dead_letter", id=_DEAD_LETTER_ID),
        workflow=Workflow(name="webhooks", id=_DELIVERY_ID),
        reason="it is not JSON",
    ),
    _example(
        MessageRetried(
            owner="payments",
            consumer="payments.worker",
            pointer=f"webhook_deliveries/{_DELIVERY_ID}",
            state="retried",
            attempts=1,
        ),
        actor=_MARIA,
        entity=Entity(type="dead_letter", id=_DEAD_LETTER_ID),
        workflow=Workflow(name="dead_letter", id=_DEAD_LETTER_ID),
        before={"state": "open", "attempts": 0},
        after={"state": "retried", "attempts": 1},
    ),
    _example(
        OutboxKeyReleased(owner="payments", topic="payments-events", key=_PAYMENT_ID, event_id=_EVENT_ID),
        actor=_MARIA,
        entity=Entity(type="outbox_key", id=f"payments-events/{_PAYMENT_ID}"),
        workflow=Workflow(name="outbox_key", id=f"payments-events/{_PAYMENT_ID}"),
        before={"parked_reason": "the topic takes no message of this size"},
    ),
    _example(
        AuditEventRecorded(records=500, first_seq=120001, last_seq=120500, recorded_at=_TIME),
        actor=_system("audit"),
        entity=Entity(type="audit_log", id="payments-events/3"),
        workflow=Workflow(name="recording", id="payments-events/3"),
    ),
)


def example_of(declared: EventType) -> Event[Payload]:
    """The example of one event type. Raises LookupError when it has none."""
    for example in EXAMPLES:
        if example.dataschema == declared.dataschema:
            return example
    raise LookupError(f"{declared.name}/{declared.version} has no example in contracts/src/contracts/examples.py")
