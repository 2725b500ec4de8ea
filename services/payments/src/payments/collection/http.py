"""Payments, read by staff."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from chassis.web import LIST_PROBLEMS, Listed, Page, Problem, ReadTx, documents
from contracts.envelope import Money
from fastapi import APIRouter, Query
from pydantic import BaseModel
from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from payments import specimens
from payments.collection import queries
from payments.collection.domain import AttemptState, Awaiting, InvoiceState, PaymentState
from payments.deliveries.domain import Provider
from payments.recovery import store as recovery
from payments.recovery.domain import AttemptState as OwnAttemptState
from payments.recovery.domain import Owner, State

router = APIRouter(tags=["payments"])


class PaymentSummary(BaseModel):
    """One payment. `reference` is the provider's id; `amount` is null until an object that states it is known.

    `awaiting` says what the payment is parked for; empty where nothing is missing.
    """

    id: UUID
    provider: Provider
    account: str
    reference: str
    state: PaymentState
    amount: Money | None
    member_id: str | None
    customer: str | None
    invoice_id: UUID | None
    created_at: datetime
    awaiting: list[Awaiting]
    version: int


class AttemptView(BaseModel):
    """One try to collect, with the provider's own codes of its failure."""

    attempt: str
    state: AttemptState
    at: datetime
    failure_code: str | None
    decline_code: str | None
    failure_message: str | None


class InvoiceSummary(BaseModel):
    """What a payment is for; an implied invoice stands for a payment that came without any."""

    id: UUID
    reference: str
    state: InvoiceState
    implied: bool
    total: Money
    gst: Money
    gst_rule: str
    issued_at: datetime
    paid_at: datetime | None


class RetryView(BaseModel):
    """Who tries again to collect a failed payment, and when. `why` is a code, `held_by` what holds it back."""

    state: State
    owner: Owner
    why: str
    number: int
    planned_for: datetime | None
    held_by: str | None
    decline_class: str | None
    decline_table: str


class OwnAttemptView(BaseModel):
    """One attempt of ours to collect again; `told` is what the provider answered."""

    number: int
    manual: bool
    idempotency_key: str
    state: OwnAttemptState
    recorded_at: datetime
    told: str | None


class PaymentDetail(PaymentSummary):
    """One payment with its attempts, its invoice, and what is done where it has failed (`retry` is null until then)."""

    superseded: bool
    attempts: list[AttemptView]
    invoice: InvoiceSummary | None
    retry: RetryView | None
    retries: list[OwnAttemptView]


@router.get(
    "/payments",
    **documents(
        scope="payments:read",
        limit="read",
        example=Listed(items=[specimens.PAYMENT], next=None),
        problems=LIST_PROBLEMS,
    ),
)
async def list_payments(
    tx: ReadTx,
    page: Page,
    reference: Annotated[str | None, Query(max_length=255, description="Any id the provider knows it by")] = None,
    member_id: Annotated[str | None, Query(max_length=200, description="Only this member's")] = None,
    awaiting: Annotated[bool | None, Query(description="Only parked ones, or only those that are not")] = None,
) -> Listed[PaymentSummary]:
    """Payments, newest first."""
    rows = await queries.list_payments(
        tx.connection,
        reference=reference,
        member_id=member_id,
        awaiting=awaiting,
        before=page.after_id(),
        limit=page.limit + 1,
    )
    return page.listed([PaymentSummary(**_summary(row)) for row in rows], key=lambda payment: payment.id)


@router.get(
    "/payments/{payment_id}",
    **documents(
        scope="payments:read",
        limit="read",
        example=specimens.PAYMENT_DETAIL,
        problems=[Problem.not_found("payment", specimens.PAYMENT_ID)],
    ),
)
async def get_payment(payment_id: UUID, tx: ReadTx) -> PaymentDetail:
    """One payment with its attempts and its invoice."""
    row = await queries.get_payment(tx.connection, str(payment_id))
    if row is None:
        raise Problem.not_found("payment", str(payment_id))
    invoice = await queries.get_invoice(tx.connection, str(row.invoice_id)) if row.invoice_id else None
    attempts = await queries.attempts_of(tx.connection, str(payment_id))
    return PaymentDetail(
        **_summary(row),
        superseded=row.superseded,
        attempts=[AttemptView.model_validate(dict(attempt._mapping)) for attempt in attempts],
        invoice=None if invoice is None else _invoice(invoice),
        retry=await _retry(tx.connection, str(payment_id)),
        retries=[
            OwnAttemptView.model_validate(dict(made))
            for made in await recovery.attempts_of(tx.connection, str(payment_id))
        ],
    )


async def _retry(connection: AsyncConnection, payment_id: str) -> RetryView | None:
    stored = (await recovery.load(connection, [payment_id])).get(payment_id)
    if stored is None:
        return None
    plan = stored.plan
    return RetryView(
        state=plan.state,
        owner=plan.owner,
        why=plan.why,
        number=plan.number,
        planned_for=plan.planned_for,
        held_by=plan.held_by,
        decline_class=plan.decline,
        decline_table=plan.table,
    )


def _summary(row: Row[Any]) -> dict[str, Any]:
    shown = {name: getattr(row, name) for name in PaymentSummary.model_fields if name != "amount"}
    amount = None if row.amount_minor is None else Money(amount_minor=row.amount_minor, currency=row.currency)
    return {**shown, "amount": amount}


def _invoice(row: Row[Any]) -> InvoiceSummary:
    shown = {name: getattr(row, name) for name in InvoiceSummary.model_fields if name not in {"total", "gst"}}
    return InvoiceSummary(
        **shown,
        total=Money(amount_minor=row.total_minor, currency=row.currency),
        gst=Money(amount_minor=row.gst_minor, currency=row.currency),
    )
