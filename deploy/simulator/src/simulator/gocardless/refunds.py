"""Refunds of debits: paid to the customer, taken out of a later payout, and some that come back."""

from __future__ import annotations

from typing import Final

from simulator.gocardless.objects import Metadata, Payment, Refund
from simulator.gocardless.organisation import NoSuchThingError, Organisation, RefusedError

ACTIONS: Final = ("pay", "fail", "return_funds")


def create(
    organisation: Organisation,
    payment: Payment,
    *,
    amount: int,
    confirmed_minor: int | None = None,
    reference: str | None = None,
    metadata: Metadata | None = None,
) -> Refund:
    """Give part of a collected debit back. Raises RefusedError for more than is left of it."""
    alive = ("created", "paid")
    others = [each for each in organisation.book.refunds.values() if each.payment == payment.id]
    total = amount + sum(each.amount for each in others if each.status in alive)
    if payment.status not in ("confirmed", "paid_out"):
        raise RefusedError(f"Payment {payment.id} is {payment.status}", reason="refund_payment_invalid_state")
    if total > payment.amount:
        raise RefusedError("The refund exceeds what is left of the payment", reason="refund_is_larger_than_payment")
    if confirmed_minor is not None and confirmed_minor != total:
        raise RefusedError(
            "The confirmation is not the total of all refunds", reason="total_amount_confirmation_invalid"
        )
    thing = Refund(
        id=organisation.new_id("RF"),
        created_at=organisation.instant(),
        amount=amount,
        currency=payment.currency,
        payment=payment.id,
        mandate=payment.mandate,
        reference=reference,
        metadata=metadata or {},
    )
    organisation.book.refunds[thing.id] = thing
    organisation.emit("refunds", "created", {"refund": thing.id}, metadata=thing.metadata)
    return thing


def act(organisation: Organisation, refund: Refund, action: str) -> Refund:
    """Let something happen to a refund: it is paid, does not arrive, or its funds come back to us."""
    match action, refund.status:
        case "pay", "created":
            refund.status, told = "paid", "paid"
        case "fail", "created" | "paid":
            refund.status, told = "failed", "failed"
        case "return_funds", "paid" | "failed":
            refund.owed_to_us = refund.settled
            refund.status, told = "funds_returned", "funds_returned"
        case _:
            raise RefusedError(f"Cannot {action} refund {refund.id}: it is {refund.status}", reason="invalid_state")
    organisation.emit("refunds", told, {"refund": refund.id}, metadata=refund.metadata)
    return refund


def held(organisation: Organisation, refund_id: str) -> Refund:
    """Return a refund. Raises NoSuchThingError."""
    if refund_id not in organisation.book.refunds:
        raise NoSuchThingError
    return organisation.book.refunds[refund_id]
