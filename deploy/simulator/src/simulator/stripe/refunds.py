"""Giving money back: refunds, whole or in parts, and those that the bank sends back days later."""

from __future__ import annotations

from typing import Final

from simulator.stripe.account import Account, NoSuchThingError, RefusedError
from simulator.stripe.objects import AUTOMATIC, Charge, Metadata, Origin, Refund

FAILURES: Final = ("lost_or_stolen_card", "expired_or_canceled_card", "charge_for_pending_refund_disputed", "unknown")


def create(
    account: Account,
    by: Origin,
    *,
    charge: str | None = None,
    payment_intent: str | None = None,
    amount: int | None = None,
    reason: str | None = None,
    metadata: Metadata | None = None,
) -> Refund:
    """Refund a charge, by itself or by its PaymentIntent. Raises RefusedError for more than is left of it."""
    paid = _charge(account, charge, payment_intent)
    before = account.book.refunded(paid.id)
    left = paid.amount - before
    dispute = account.book.dispute_of(paid.id)
    if dispute is not None and not dispute.inquiry and dispute.status != "won":
        raise RefusedError(f"Charge {paid.id} has been charged back; cannot issue a refund.", code="charge_disputed")
    if left == 0:
        raise RefusedError(f"Charge {paid.id} has already been refunded.", code="charge_already_refunded")
    wanted = left if amount is None else amount
    if not 0 < wanted <= left:
        message = f"Refund amount (${wanted / 100:.2f}) is greater than unrefunded amount on charge (${left / 100:.2f})"
        raise RefusedError(message, param="amount")
    thing = Refund(
        id=account.ids.stripe("re"),
        created=account.time(),
        amount=wanted,
        currency=paid.currency,
        charge=paid.id,
        payment_intent=paid.payment_intent,
        reason=reason,
        metadata=metadata or {},
    )
    account.book.refunds[thing.id] = thing
    thing.balance_transaction = account.book_amount(
        thing.id, -wanted, paid.currency, kind="refund", category="refund", description="REFUND FOR CHARGE"
    ).id
    account.emit("refund.created", thing, by)
    account.emit("charge.refunded", paid, by, {"amount_refunded": before, "refunded": False, "receipt_url": None})
    return thing


def fail(account: Account, refund: Refund, reason: str = "lost_or_stolen_card") -> Refund:
    """Let the bank send a refund back: the money is in the balance again. Raises RefusedError for one that failed."""
    if refund.status not in ("pending", "succeeded"):
        raise RefusedError(f"Refund {refund.id} is {refund.status}: it cannot fail.")
    was = refund.status
    refund.status, refund.failure_reason = "failed", reason
    refund.failure_balance_transaction = account.book_amount(
        refund.id, refund.amount, refund.currency, kind="refund_failure", category="refund_failure"
    ).id
    previous = {"status": was}
    account.emit("refund.failed", refund, AUTOMATIC)
    account.emit("refund.updated", refund, AUTOMATIC, previous)
    account.emit("charge.refund.updated", refund, AUTOMATIC, previous)
    return refund


def held(account: Account, refund_id: str) -> Refund:
    """Return a refund. Raises NoSuchThingError."""
    if refund_id not in account.book.refunds:
        raise NoSuchThingError("refund", refund_id, "id")
    return account.book.refunds[refund_id]


def _charge(account: Account, charge: str | None, payment_intent: str | None) -> Charge:
    if charge is None and payment_intent is None:
        raise RefusedError("One of the following params should be provided: charge, payment_intent.")
    if charge is None:
        intent = account.book.payment_intents.get(payment_intent or "")
        if intent is None:
            raise NoSuchThingError("payment_intent", payment_intent or "", "payment_intent")
        charge = intent.latest_charge or ""
    paid = account.book.charges.get(charge)
    if paid is None:
        raise NoSuchThingError("charge", charge, "charge")
    if paid.status != "succeeded":
        raise RefusedError(f"Charge {paid.id} has not succeeded: there is nothing to refund.", param="charge")
    return paid
