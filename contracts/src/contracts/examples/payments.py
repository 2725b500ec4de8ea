"""Examples of what the payments service tells."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Final

from contracts.envelope import Actor, Entity, Event, Money, Payload, Workflow
from contracts.events import (
    HoldState,
    InvoiceUpdated,
    MemberHoldEnded,
    MemberHoldStarted,
    MemberUpdated,
    PaymentProviderEventIngested,
    PaymentRecoveryRequested,
    PaymentUpdated,
    PayoutDescribed,
    ProviderDeliveryRejected,
    ProviderEventConflicted,
    ProviderEventReference,
    Referenced,
    ReplayCounts,
    ReplayUpdated,
)
from contracts.examples.shared import (
    COLLECTION,
    DELIVERY_ID,
    EVENT_ID,
    HOLD_ID,
    INCIDENT_ID,
    INVOICE_ID,
    JOURNAL_ID,
    MARIA,
    MARK,
    MONTHLY,
    PAYMENT,
    PAYMENT_ID,
    REPLAY_ID,
    STRIPE,
    TIME,
    example,
    payment_snapshot,
    system,
)

_HOLD: Final = HoldState(id=HOLD_ID, member=MARK, kind="medical", starts_at=TIME)

EXAMPLES: Final[tuple[Event[Payload], ...]] = (
    example(
        PaymentProviderEventIngested(
            provider="stripe",
            provider_event=ProviderEventReference(
                id="evt_3SvGq2LkdIwHu7ix0zYxWvUt",
                type="charge.failed",
                account="acct_1Qbackbone",
                livemode=False,
                api_version="2025-03-31.basil",
                delivery_id=DELIVERY_ID,
            ),
            what="a failed card payment",
            outcome="applied",
            member=MARK,
            invoice=Referenced(id=INVOICE_ID, reference="in_1SvGpzLkdIwHu7ixQwErTyUi"),
            payment=PAYMENT,
            amount=MONTHLY,
        ),
        actor=STRIPE,
        entity=Entity(type="payment", id=PAYMENT_ID),
        workflow=COLLECTION,
        before=payment_snapshot("processing"),
        after=payment_snapshot("failed", failure="insufficient_funds"),
        reason="insufficient funds",
    ),
    example(
        PaymentUpdated(change="matched", payment=PAYMENT, member=MARK, amount=MONTHLY, journal_ids=(JOURNAL_ID,)),
        actor=MARIA,
        entity=Entity(type="payment", id=PAYMENT_ID),
        workflow=COLLECTION,
        before={"state": "succeeded", "member_id": None},
        after={"state": "succeeded", "member_id": "mark-stevens"},
        reason="the bank statement names him",
    ),
    example(
        InvoiceUpdated(
            change="issued",
            reference="in_1SvGpzLkdIwHu7ixQwErTyUi",
            implied=False,
            amount_due=MONTHLY,
            gst=Money(amount_minor=1000, currency="AUD"),
            member=MARK,
            due=date(2026, 3, 2),
        ),
        actor=STRIPE,
        entity=Entity(type="invoice", id=INVOICE_ID),
        workflow=COLLECTION,
        after={"state": "open", "amount_due": {"amount_minor": 11000, "currency": "AUD"}},
    ),
    example(
        PayoutDescribed(
            change="left unexplained",
            provider="gocardless",
            reference="PO000J3Q5X2B",
            amount=Money(amount_minor=10850, currency="AUD"),
            difference=Money(amount_minor=-150, currency="AUD"),
            journal_ids=(JOURNAL_ID,),
        ),
        actor=Actor(kind="provider", id="gocardless", name="GoCardless"),
        entity=Entity(type="payout", id="0198c0de-0000-7000-8000-00000000f001"),
        workflow=Workflow(name="payout", id="0198c0de-0000-7000-8000-00000000f001"),
        before={"state": "paid", "difference_minor": None},
        after={"state": "paid", "difference_minor": -150},
    ),
    example(
        MemberUpdated(
            change="added", name="Isla Morgan", customers=(Referenced(id="stripe", reference="cus_TkM4bCdEfGhIjK"),)
        ),
        actor=MARIA,
        entity=Entity(type="member", id="isla-morgan"),
        workflow=Workflow(name="membership", id="isla-morgan"),
        after={"name": "Isla Morgan", "customers": {"stripe": ["cus_TkM4bCdEfGhIjK"]}},
    ),
    example(
        ProviderDeliveryRejected(
            provider="gocardless",
            minute=datetime(2026, 3, 2, 9, 15, tzinfo=UTC),
            count=20,
            by_reason={"signature": 18, "header_missing": 2},
        ),
        actor=system("payments"),
        entity=Entity(type="provider", id="gocardless"),
        workflow=Workflow(name="webhooks", id="gocardless"),
        reason="their signatures do not match",
    ),
    example(
        ProviderEventConflicted(
            provider="stripe",
            provider_event=ProviderEventReference(
                id="evt_3SvGq2LkdIwHu7ix0zYxWvUt",
                type="charge.failed",
                account="self",
                livemode=False,
                api_version="2025-03-31.basil",
                delivery_id=DELIVERY_ID,
            ),
        ),
        actor=STRIPE,
        entity=Entity(type="provider_event", id=EVENT_ID),
        workflow=Workflow(name="provider_event", id=EVENT_ID),
    ),
    example(
        MemberHoldStarted(hold=_HOLD),
        actor=MARIA,
        entity=Entity(type="member_hold", id=HOLD_ID),
        workflow=Workflow(name="membership", id=MARK.id),
        after={"kind": "medical", "starts_at": "2026-03-02T09:15:30.123456Z", "ends_at": None},
        reason="a knee operation",
    ),
    example(
        MemberHoldEnded(
            hold=_HOLD.model_copy(update={"ends_at": TIME}), how="ended", condition=f"member_hold:{HOLD_ID}"
        ),
        actor=MARIA,
        entity=Entity(type="member_hold", id=HOLD_ID),
        workflow=Workflow(name="membership", id=MARK.id),
        before={"ends_at": None},
        after={"ends_at": "2026-03-02T09:15:30.123456Z"},
        reason="he trains again",
    ),
    example(
        PaymentRecoveryRequested(
            payment=PAYMENT,
            why="held",
            dedupe_key=f"payment_recovery:{PAYMENT_ID}",
            member=MARK,
            invoice=Referenced(id=INVOICE_ID, reference="in_1SvGpzLkdIwHu7ixQwErTyUi"),
            amount=MONTHLY,
        ),
        actor=system("payments"),
        entity=Entity(type="payment", id=PAYMENT_ID),
        workflow=COLLECTION,
        reason="the member is on medical hold",
    ),
    example(
        ReplayUpdated(
            change="completed",
            state="completed",
            counts=ReplayCounts(matched=40, replayed=3, unchanged=37),
            purpose="the outage of GoCardless",
            provider="gocardless",
            incident_id=INCIDENT_ID,
        ),
        actor=system("payments"),
        entity=Entity(type="replay", id=REPLAY_ID),
        workflow=Workflow(name="incident", id=INCIDENT_ID),
        before={"state": "running"},
        after={"state": "completed"},
    ),
)
