"""Payouts and what explains them, and what took a payment's money back; read by staff."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any, TypeVar
from uuid import UUID

from chassis.web import LIST_PROBLEMS, Listed, Page, Problem, ReadTx, documents
from contracts.envelope import Money
from fastapi import APIRouter, Query
from pydantic import BaseModel
from sqlalchemy import Row

from payments import specimens
from payments.collection import queries as collection
from payments.collection.domain import PayoutState, RefundState
from payments.collection.facts import DisputeStatus
from payments.deliveries.domain import Provider
from payments.settlement import queries

M = TypeVar("M", bound=BaseModel)
router = APIRouter(tags=["settlement"])


class PayoutSummary(BaseModel):
    """One payout. `amount` is null until an object that states it is known; below zero it took money from the bank.

    `difference` is what the payout is more than its lines, rounded once: null until they were read, 0 where it is
    explained. `listed_minor` is their sum to a tenth of a cent, `banked_at` when it stood on the bank's statement.
    """

    id: UUID
    provider: Provider
    reference: str
    state: PayoutState
    automatic: bool
    amount: Money | None
    listed_minor: Decimal | None
    difference: Money | None
    created_at: datetime | None
    arrives_on: date | None
    banked_at: datetime | None
    version: int


class PayoutLine(BaseModel):
    """One line of a payout, to a tenth of a cent. `source` is the provider's id of what it is about."""

    line: int
    type: str
    amount_minor: Decimal
    gst_minor: Decimal
    source: str | None


class PayoutDetail(PayoutSummary):
    """One payout with its lines, as its provider listed them."""

    lines: list[PayoutLine]


class RefundRow(BaseModel):
    """One refund. `refused`: it would give back more than was paid, and a person has to look at it."""

    id: UUID
    reference: str
    state: RefundState
    amount: Money | None
    created_at: datetime | None
    paid_at: datetime | None
    failed_at: datetime | None
    failure: str | None


class DisputeRow(BaseModel):
    """One dispute. `held` is what the provider keeps because of it."""

    id: UUID
    reference: str
    status: DisputeStatus
    amount: Money
    held: Money
    reason: str | None
    refundable: bool
    created_at: datetime
    evidence_due_at: datetime | None
    lost_at: datetime | None


class Returns(BaseModel):
    """What took a payment's money back."""

    refunds: list[RefundRow]
    disputes: list[DisputeRow]


@router.get(
    "/payouts",
    **documents(
        scope="payments:read",
        limit="read",
        example=Listed(items=[specimens.PAYOUT], next=None),
        problems=LIST_PROBLEMS,
    ),
)
async def list_payouts(
    tx: ReadTx,
    page: Page,
    reference: Annotated[str | None, Query(max_length=255, description="The provider's id")] = None,
    unexplained: Annotated[bool | None, Query(description="Only those that differ from their lines")] = None,
) -> Listed[PayoutSummary]:
    """Payouts, newest first."""
    rows = await queries.list_payouts(
        tx.connection, reference=reference, unexplained=unexplained, before=page.after_id(), limit=page.limit + 1
    )
    return page.listed([PayoutSummary(**_payout(row)) for row in rows], key=lambda payout: payout.id)


@router.get(
    "/payouts/{payout_id}",
    **documents(
        scope="payments:read",
        limit="read",
        example=specimens.PAYOUT_DETAIL,
        problems=[Problem.not_found("payout", specimens.PAYOUT_ID)],
    ),
)
async def get_payout(payout_id: UUID, tx: ReadTx) -> PayoutDetail:
    """One payout with its lines."""
    row = await queries.get_payout(tx.connection, str(payout_id))
    if row is None:
        raise Problem.not_found("payout", str(payout_id))
    items = await queries.items_of(tx.connection, str(payout_id))
    return PayoutDetail(**_payout(row), lines=[_fields(PayoutLine, item) for item in items])


@router.get(
    "/payments/{payment_id}/returns",
    **documents(
        scope="payments:read",
        limit="read",
        example=specimens.RETURNS,
        problems=[Problem.not_found("payment", specimens.PAYMENT_ID)],
    ),
)
async def get_returns(payment_id: UUID, tx: ReadTx) -> Returns:
    """The refunds and disputes of a payment."""
    if await collection.get_payment(tx.connection, str(payment_id)) is None:
        raise Problem.not_found("payment", str(payment_id))
    refunds = await queries.refunds_of(tx.connection, str(payment_id))
    disputes = await queries.disputes_of(tx.connection, str(payment_id))
    return Returns(
        refunds=[_fields(RefundRow, row, amount=_money(row, row.amount_minor)) for row in refunds],
        disputes=[
            _fields(DisputeRow, row, amount=_money(row, row.amount_minor), held=_money(row, row.held_minor))
            for row in disputes
        ],
    )


def _payout(row: Row[Any]) -> dict[str, Any]:
    money = {"amount": _money(row, row.amount_minor), "difference": _money(row, row.difference_minor)}
    return {name: getattr(row, name) for name in PayoutSummary.model_fields if name not in money} | money


def _fields(model: type[M], row: Row[Any], **given: Any) -> M:
    shown = {name: getattr(row, name) for name in model.model_fields if name not in given}
    return model(**shown, **given)


def _money(row: Row[Any], amount_minor: int | None) -> Money | None:
    if amount_minor is None or row.currency is None:
        return None
    return Money(amount_minor=amount_minor, currency=row.currency)
