"""Refunds that staff ask for."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final
from uuid import UUID

from chassis.web import CONFLICT, INVALID, Listed, Problem, ReadTx, Tx, documents
from contracts.envelope import Money
from contracts.events import RefundRequestUpdated
from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from payments import specimens
from payments.booking import BookingPolicy
from payments.matching import store as matching
from payments.refunding import store, use_cases
from payments.refunding.domain import RefusedRefundError, Request, State
from payments.refunding.use_cases import NoSuchPaymentError

router = APIRouter(tags=["refunds"])
Words = Annotated[str, Field(min_length=1, max_length=500, pattern=r"^[^\x00-\x1f\x7f]+$")]


class RefundGiven(BaseModel):
    """How much to give back, and why."""

    model_config = ConfigDict(extra="forbid")

    amount_minor: Annotated[int, Field(ge=1, le=10**12, description="In cents")]
    reason: Words


class RefundRequestView(BaseModel):
    """A refund that was asked for. `refund` is the provider's id of what it made of it: that is what is posted."""

    id: UUID
    payment_id: UUID
    amount: Money
    state: State
    reason: str
    asked_by: str
    asked_by_name: str
    asked_at: datetime
    refund: str | None
    told: str | None
    version: int


_ASKED: Final[dict[str, Any]] = {
    "id": "0198c2f4-7c10-7b02-8f4e-3a5d6c7b8e98",
    "payment_id": specimens.PAYMENT_ID,
    "amount": {"amount_minor": 3_333, "currency": "AUD"},
    "state": "asked",
    "reason": "a class was cancelled",
    "asked_by": "maria-rossi",
    "asked_by_name": "Maria Rossi",
    "asked_at": "2026-03-04T01:00:00Z",
    "refund": None,
    "told": None,
    "version": 1,
}
_NO_PAYMENT: Final = Problem.not_found("payment", specimens.PAYMENT_ID)


@router.post(
    "/payments/{payment_id}/refunds",
    **documents(
        scope="payments:write",
        audit=RefundRequestUpdated,
        limit="write",
        status=201,
        request={"amount_minor": 3_333, "reason": "a class was cancelled"},
        example=_ASKED,
        problems=[
            _NO_PAYMENT,
            (CONFLICT, "AUD 0.01 of this payment can still be given back: ask for no more than that."),
            (INVALID, "Some values are missing, or are not what they should be."),
        ],
    ),
)
async def ask_for_refund(payment_id: UUID, given: RefundGiven, tx: Tx, policy: BookingPolicy) -> RefundRequestView:
    """Give part of a payment back, or all of it. Its provider is asked at once, and makes it once."""
    try:
        request = await use_cases.ask(tx, str(payment_id), policy, amount_minor=given.amount_minor, reason=given.reason)
    except NoSuchPaymentError:
        raise Problem.not_found("payment", str(payment_id)) from None
    except RefusedRefundError as error:
        text = str(error)
        raise Problem(CONFLICT, f"{text[:1].upper()}{text[1:]}.") from None
    return _view(request)


@router.get(
    "/payments/{payment_id}/refunds",
    **documents(scope="payments:read", example=Listed(items=[_ASKED], next=None), problems=[_NO_PAYMENT]),
)
async def list_refund_requests(payment_id: UUID, tx: ReadTx) -> Listed[RefundRequestView]:
    """The refunds that were asked for of a payment, in the order of asking."""
    if await matching.payment_key(tx.connection, str(payment_id)) is None:
        raise Problem.not_found("payment", str(payment_id))
    found = await store.of_payment(tx.connection, str(payment_id))
    return Listed(items=[_view(each) for each in found], next=None)


def _view(request: Request) -> RefundRequestView:
    return RefundRequestView(
        id=UUID(request.id),
        payment_id=UUID(request.payment_id),
        amount=Money(amount_minor=request.amount_minor, currency=request.currency),
        state=request.state,
        reason=request.reason,
        asked_by=request.asked_by,
        asked_by_name=request.asked_by_name,
        asked_at=request.asked_at,
        refund=request.refund,
        told=request.told,
        version=request.version,
    )
