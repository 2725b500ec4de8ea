"""What other services tell, as the tests of provider-health have them tell it."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

from chassis.clock import real_now
from chassis.ids import new_id
from contracts.envelope import Actor, Data, Entity, Event, Money, Payload, Workflow
from contracts.events import (
    AutomationPauseAcknowledged,
    Named,
    OperationalTaskUpdated,
    PaymentProviderEventIngested,
    PaymentUpdated,
    ProviderDeliveryRejected,
    ProviderEventReference,
    Referenced,
    ReplayCounts,
    ReplayUpdated,
    TaskSource,
    TaskState,
)
from contracts.registry import type_of
from payments.collection.domain import PayoutView
from payments.collection.objects import PAYOUT, Key
from payments.collection.translate import payout_updated

MINUTE = datetime(2026, 3, 2, 9, tzinfo=UTC)
PLATFORM = Actor(kind="staff", id="platform", name="Platform")


def told(
    body: Payload,
    entity: Entity,
    *,
    service: str,
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
) -> Event[Payload]:
    """An event as `service` tells it."""
    declared = type_of(type(body))
    return Event[Payload](
        id=new_id(),
        source=f"/{service}",
        type=declared.name,
        subject=entity.id,
        time=real_now(),
        dataschema=declared.dataschema,
        correlationid=new_id(),
        partitionkey=entity.id,
        data=Data(
            actor=PLATFORM,
            entity=entity,
            workflow=Workflow(name="tests", id=entity.id),
            before=before,
            after=after,
            body=body,
        ),
    )


def a_prevention_task(
    incident_id: str,
    change: str = "opened",
    *,
    dedupe_key: str | None = None,
    task_id: str = "task_1",
    state: str = "open",
    owner: str | None = "Operations",
    due_on: date | None = date(2026, 12, 10),
    version: int = 1,
) -> Event[Payload]:
    entity = Entity(type="incident", id=incident_id)
    task = TaskState(
        id=task_id,
        kind="incident_prevention",
        title="Prevent another GoCardless does not answer",
        queue="Operations",
        state=state,
        priority="normal",
        owner=None if owner is None else Named(id=owner.lower(), name=owner),
        due_on=due_on,
        source=TaskSource(workflow=Workflow(name="incident", id=incident_id), entity=entity),
        dedupe_key=dedupe_key or f"prevention:{incident_id}",
        version=version,
    )
    return told(OperationalTaskUpdated(change=change, task=task), Entity(type="task", id=task_id), service="tasks")


def a_replay(incident_id: str | None, *, replayed: int, state: str = "completed") -> Event[Payload]:
    body = ReplayUpdated(
        change=state,
        state=state,
        counts=ReplayCounts(matched=40, replayed=replayed, unchanged=40 - replayed),
        purpose="the outage",
        provider="gocardless",
        incident_id=incident_id,
    )
    return told(body, Entity(type="replay", id="replay_1"), service="payments")


def rejections(count: int = 23, provider: str = "stripe", *, age: timedelta = timedelta()) -> Event[Payload]:
    body = ProviderDeliveryRejected(
        provider=provider,
        minute=MINUTE,
        count=count,
        by_reason={"bad_signature": count},
    )
    made = told(body, Entity(type="provider", id=provider), service="payments")
    return made.model_copy(update={"time": made.time - age})


def a_provider_event(
    payment: str, state: str, *, retry: str | None = None, provider: str = "gocardless", before: str | None = None
) -> Event[Payload]:
    """A provider's event that brought a payment of A$110.00 into this state, and its retry into that."""
    body = PaymentProviderEventIngested(
        provider=provider,
        provider_event=ProviderEventReference(
            id=f"EV-{payment}-{state}", type=f"payments.{state}", account="self", livemode=False, delivery_id="d1"
        ),
        what=f"a direct debit that {state}",
        outcome="applied",
        payment=Referenced(id=payment, reference=payment),
        amount=Money(amount_minor=11_000, currency="AUD"),
    )
    was = None if before is None else {"state": before}
    entity = Entity(type="payment", id=payment)
    return told(body, entity, service="payments", before=was, after=standing(state, retry))


def a_payment_update(
    payment: str, state: str, *, retry: str | None = None, change: str = "described"
) -> Event[Payload]:
    body = PaymentUpdated(change=change, payment=Referenced(id=payment, reference=payment))
    return told(body, Entity(type="payment", id=payment), service="payments", after=standing(state, retry))


def standing(state: str, retry: str | None) -> dict[str, Any]:
    return {"state": state, **({} if retry is None else {"retry": {"state": retry}})}


def an_acknowledgement(instance: str, epoch: int, *, after_seconds: float = 0.4) -> Event[Payload]:
    body = AutomationPauseAcknowledged(
        service="payments",
        instance=instance,
        epoch=epoch,
        lease_seconds=3_600,
        applied_at=real_now() + timedelta(seconds=after_seconds),
    )
    return told(body, Entity(type="automation_pause", id=instance), service="payments")


def a_payout(difference_minor: int | None, reference: str = "po_1") -> Event[Payload]:
    """What payments tells of a payout of A$107.83 at Stripe, as its own code writes it."""
    view = PayoutView(
        key=Key("stripe", "self", PAYOUT, reference),
        state="paid",
        amount_minor=10_783,
        currency="AUD",
        difference_minor=difference_minor,
    )
    draft = payout_updated(view, f"payout-{reference}", None, ())
    return told(draft.body, draft.entity, service="payments", after=draft.after)
