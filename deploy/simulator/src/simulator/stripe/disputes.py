"""Disputes: an inquiry moves nothing; a chargeback takes the money and a fee, and winning brings the money back."""

from __future__ import annotations

from typing import Final, Literal

from simulator.stripe.account import Account, NoSuchThingError, RefusedError
from simulator.stripe.objects import AUTOMATIC, Charge, Dispute, Metadata, Origin

FEE_MINOR: Final = 2_500
Verdict = Literal["won", "lost"]
_OPEN: Final = frozenset({"needs_response", "under_review"})
_RESPOND_WITHIN_SECONDS: Final = 14 * 86_400
_EVIDENCE: Final = ("product_description", "customer_name", "customer_email_address", "uncategorized_text")


def open_(
    account: Account, charge: Charge, *, inquiry: bool = False, reason: str = "fraudulent", amount: int | None = None
) -> Dispute:
    """Let the cardholder's bank dispute a charge; anything but an inquiry takes the funds at once."""
    if charge.status != "succeeded":
        raise RefusedError(f"Charge {charge.id} has not succeeded: there is nothing to dispute.")
    now = account.time()
    thing = Dispute(
        id=account.ids.stripe("du"),
        created=now,
        amount=amount or charge.amount,
        currency=charge.currency,
        charge=charge.id,
        payment_intent=charge.payment_intent,
        status="warning_needs_response" if inquiry else "needs_response",
        reason=reason,
        evidence_due_by=now + _RESPOND_WITHIN_SECONDS,
        evidence=dict.fromkeys(_EVIDENCE, ""),
    )
    account.book.disputes[thing.id] = thing
    account.emit("charge.dispute.created", thing, AUTOMATIC)
    if not inquiry:
        withdraw(account, thing)
    return thing


def withdraw(account: Account, dispute: Dispute) -> Dispute:
    """Take the disputed amount and the fee out of the balance. Raises RefusedError where that has happened."""
    if dispute.balance_transactions or dispute.inquiry:
        raise RefusedError(f"Dispute {dispute.id} is {dispute.status}: nothing is withdrawn for it.")
    entry = account.book_amount(
        dispute.id,
        -dispute.amount,
        dispute.currency,
        kind="adjustment",
        category="dispute",
        fee=FEE_MINOR,
        description=f"Chargeback withdrawal for {dispute.charge}",
    )
    dispute.balance_transactions.append(entry.id)
    account.emit("charge.dispute.funds_withdrawn", dispute, AUTOMATIC)
    return dispute


def escalate(account: Account, dispute: Dispute) -> Dispute:
    """Let an inquiry become a chargeback."""
    if not dispute.inquiry or dispute.status == "warning_closed":
        raise RefusedError(f"Dispute {dispute.id} is {dispute.status}: only an open inquiry becomes a chargeback.")
    was, dispute.status = dispute.status, "needs_response"
    account.emit("charge.dispute.updated", dispute, AUTOMATIC, {"status": was})
    return withdraw(account, dispute)


def submit(account: Account, by: Origin, dispute: Dispute, evidence: Metadata, metadata: Metadata) -> Dispute:
    """Counter a dispute with evidence."""
    if dispute.status not in _OPEN | {"warning_needs_response"}:
        raise RefusedError("This dispute is already closed")
    was = dispute.status
    dispute.evidence |= evidence
    dispute.metadata |= metadata
    dispute.submission_count += 1
    dispute.status = "warning_under_review" if dispute.inquiry else "under_review"
    account.emit("charge.dispute.updated", dispute, by, {"status": was})
    return dispute


def decide(account: Account, dispute: Dispute, verdict: Verdict, by: Origin = AUTOMATIC) -> Dispute:
    """Close a dispute; what was won comes back with its fee."""
    if dispute.status not in _OPEN:
        raise RefusedError(f"Dispute {dispute.id} is {dispute.status}: it cannot be decided.")
    was, dispute.status = dispute.status, verdict
    if verdict == "won":
        entry = account.book_amount(
            dispute.id,
            dispute.amount,
            dispute.currency,
            kind="adjustment",
            category="dispute_reversal",
            fee=-FEE_MINOR,
            description=f"Chargeback reversal for {dispute.charge}",
        )
        dispute.balance_transactions.append(entry.id)
        account.emit("charge.dispute.funds_reinstated", dispute, AUTOMATIC)
    account.emit("charge.dispute.closed", dispute, by, {"status": was})
    return dispute


def close_inquiry(account: Account, dispute: Dispute) -> Dispute:
    """Let an inquiry end without a chargeback."""
    if not dispute.inquiry or dispute.status == "warning_closed":
        raise RefusedError(f"Dispute {dispute.id} is {dispute.status}: it is no open inquiry.")
    was, dispute.status = dispute.status, "warning_closed"
    account.emit("charge.dispute.closed", dispute, AUTOMATIC, {"status": was})
    return dispute


def held(account: Account, dispute_id: str) -> Dispute:
    """Return a dispute. Raises NoSuchThingError."""
    if dispute_id not in account.book.disputes:
        raise NoSuchThingError("dispute", dispute_id, "id")
    return account.book.disputes[dispute_id]
