"""From what the domain says to the events that other services read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from chassis.transaction import Cause, Draft
from contracts.envelope import Actor, Entity, Money, Snapshot, Workflow
from contracts.events import (
    InvoiceUpdated,
    Named,
    PaymentProviderEventIngested,
    PaymentUpdated,
    PayoutDescribed,
    ProviderEventConflicted,
    ProviderEventReference,
    Referenced,
)

from payments.collection.domain import InvoiceView, Member, PaymentView, PayoutView
from payments.collection.store import Ids
from payments.collection.telling import InvoiceChange, Telling, payout_snapshot, snapshot
from payments.deliveries.domain import Provider
from payments.deliveries.inputs import EventInput

_NAMES: Final[dict[Provider, str]] = {"stripe": "Stripe", "gocardless": "GoCardless"}
COLLECTION: Final = "payment_collection"


def provider_actor(provider: Provider) -> Actor:
    """The provider as the one who acts."""
    return Actor(kind="provider", id=provider, name=_NAMES[provider])


def cause_of(given: EventInput) -> Cause:
    """A delivery starts the chain and carries its trace, its event comes just before what follows."""
    return Cause(given.delivery_id, given.provider_event_id, given.traceparent)


def ingested(
    given: EventInput,
    telling: Telling,
    ids: Ids,
    journal_ids: Sequence[str],
    planned: tuple[Mapping[str, Any], Mapping[str, Any]] | None = None,
) -> Draft[PaymentProviderEventIngested]:
    """What a provider's event did. Its entity is the payment that it moved, else the provider event.

    `planned` is what became of the payment's retry, before and after.
    """
    payment = telling.payment
    body = PaymentProviderEventIngested(
        provider=given.event.identity.provider,
        provider_event=_reference(given),
        what=telling.what,
        outcome=telling.outcome,
        outcome_words=telling.outcome_words,
        member=_named(telling.member),
        invoice=None if telling.invoice is None else _invoice_reference(telling.invoice, ids),
        payment=None if payment is None else _payment_reference(payment, ids),
        amount=None if telling.amount is None else Money(amount_minor=telling.amount[0], currency=telling.amount[1]),
        journal_ids=tuple(journal_ids),
    )
    moved = payment is not None and telling.outcome == "applied"
    payment_id = None if payment is None else ids.payment(payment.key)
    entity = Entity(type="payment", id=payment_id) if moved and payment_id else _event_entity(given)
    workflow = Workflow(name=COLLECTION, id=payment_id or given.provider_event_id)
    return Draft(
        body,
        entity,
        workflow,
        key=payment_id,
        before=telling.before if planned is None or telling.before is None else {**telling.before, **planned[0]},
        after=telling.after if planned is None or telling.after is None else {**telling.after, **planned[1]},
        reason=telling.reason,
    )


def conflicted(given: EventInput) -> Draft[ProviderEventConflicted]:
    """Other content came under a known event id."""
    body = ProviderEventConflicted(provider=given.event.identity.provider, provider_event=_reference(given))
    return Draft(body, _event_entity(given), Workflow(name="provider_event", id=given.provider_event_id))


def payment_updated(
    payment: PaymentView, ids: Ids, change: str, before: Snapshot | None, after: Snapshot, journal_ids: Sequence[str]
) -> Draft[PaymentUpdated]:
    """A payment changed without a provider's event."""
    payment_id = ids.payment(payment.key)
    amount = None
    if payment.amount_minor is not None and payment.currency is not None:
        amount = Money(amount_minor=payment.amount_minor, currency=payment.currency)
    body = PaymentUpdated(
        change=change,
        payment=_payment_reference(payment, ids),
        member=_named(payment.member),
        amount=amount,
        journal_ids=tuple(journal_ids),
    )
    entity, workflow = Entity(type="payment", id=payment_id), Workflow(name=COLLECTION, id=payment_id)
    return Draft(body, entity, workflow, before=before, after=after)


def merged(gone: PaymentView, into: PaymentView | None, ids: Ids) -> Snapshot:
    """A payment that turned out to be part of another one, as after shows it."""
    return {**snapshot(gone), "merged_into": None if into is None else ids.payment(into.key)}


def payout_updated(
    payout: PayoutView,
    payout_id: str,
    before: PayoutView | None,
    journal_ids: Sequence[str],
    decided: str | None = None,
) -> Draft[PayoutDescribed]:
    """A payout was described by its provider, or staff `decided` something about it."""
    amount = difference = None
    if payout.amount_minor is not None and payout.currency is not None:
        amount = Money(amount_minor=payout.amount_minor, currency=payout.currency)
        if payout.difference_minor:
            difference = Money(amount_minor=payout.difference_minor, currency=payout.currency)
    change = decided or "described"
    if decided is None and payout.difference_minor is not None:
        change = "left unexplained" if payout.difference_minor else "reconciled"
    body = PayoutDescribed(
        change=change,
        provider=payout.key.provider,
        reference=payout.key.id,
        amount=amount,
        difference=difference,
        journal_ids=tuple(journal_ids),
    )
    entity, workflow = Entity(type="payout", id=payout_id), Workflow(name="payout", id=payout_id)
    was = None if before is None else payout_snapshot(before)
    return Draft(body, entity, workflow, before=was, after=payout_snapshot(payout))


def invoice_updated(
    changed: InvoiceChange,
    ids: Ids,
    before: InvoiceView | None,
    payment_id: str | None,
    journal_ids: Sequence[str] = (),
) -> Draft[InvoiceUpdated]:
    """An invoice was issued or its state changed."""
    invoice = changed.invoice
    invoice_id = ids.invoice(invoice.key)
    body = InvoiceUpdated(
        change=changed.change,
        reference=invoice.reference,
        implied=invoice.implied,
        amount_due=Money(amount_minor=invoice.total_minor, currency=invoice.currency),
        gst=Money(amount_minor=invoice.gst_minor, currency=invoice.currency),
        member=_named(invoice.member),
        due=invoice.due_on,
        journal_ids=tuple(journal_ids),
    )
    entity = Entity(type="invoice", id=invoice_id)
    workflow = Workflow(name=COLLECTION, id=payment_id or invoice_id)
    was = None if before is None else invoice_snapshot(before)
    return Draft(body, entity, workflow, before=was, after=invoice_snapshot(invoice))


def invoice_snapshot(invoice: InvoiceView) -> Snapshot:
    """The invoice as before and after show it."""
    return {
        "state": invoice.state,
        "total": {"amount_minor": invoice.total_minor, "currency": invoice.currency},
        "gst_minor": invoice.gst_minor,
        "gst_rule": invoice.gst_rule,
        "member": invoice.member.id if invoice.member else None,
        "paid_at": invoice.paid_at.isoformat() if invoice.paid_at else None,
    }


def _reference(given: EventInput) -> ProviderEventReference:
    identity = given.event.identity
    return ProviderEventReference(
        id=identity.id,
        type=given.event.type,
        account=identity.account,
        livemode=identity.livemode,
        api_version=given.event.api_version,
        delivery_id=given.delivery_id,
    )


def _event_entity(given: EventInput) -> Entity:
    return Entity(type="provider_event", id=given.provider_event_id)


def _named(member: Member | None) -> Named | None:
    return None if member is None else Named(id=member.id, name=member.name)


def _payment_reference(payment: PaymentView, ids: Ids) -> Referenced:
    return Referenced(id=ids.payment(payment.key), reference=payment.key.id)


def _invoice_reference(invoice: InvoiceView, ids: Ids) -> Referenced:
    return Referenced(id=ids.invoice(invoice.key), reference=invoice.reference)
