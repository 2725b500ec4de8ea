"""Payouts: automatic ones carry what is in the balance and keep the link to it, manual ones a round sum."""

from __future__ import annotations

from typing import Final

from simulator.stripe.account import Account, NoSuchThingError, RefusedError
from simulator.stripe.objects import AUTOMATIC, Origin, Payout

_ARRIVES_AFTER_SECONDS: Final = 2 * 86_400
_UNCARRIED: Final = frozenset({"payout", "payout_failure"})


def pay_out(account: Account, currency: str = "aud") -> Payout:
    """Pay out everything that no payout has carried yet; more taken than earned makes a payout below zero."""
    entries = [
        entry
        for entry in account.book.balance_transactions.values()
        if entry.payout is None and entry.currency == currency and entry.type not in _UNCARRIED
    ]
    if not entries:
        raise RefusedError("There is nothing to pay out.", code="balance_insufficient")
    payout = _payout(account, AUTOMATIC, sum(entry.amount - entry.fee for entry in entries), currency, automatic=True)
    for entry in entries:
        entry.payout = payout.id
    return payout


def create(account: Account, by: Origin, *, amount: int, currency: str, description: str | None = None) -> Payout:
    """Pay out a sum by hand: its transactions cannot be listed."""
    if amount <= 0:
        raise RefusedError("This value must be greater than or equal to 1.", param="amount")
    payout = _payout(account, by, amount, currency, automatic=False)
    payout.description = description
    return payout


def arrive(account: Account, payout: Payout) -> Payout:
    """Let a payout reach the bank, and say which transactions it carried."""
    _expect(payout, "pending", "in_transit")
    was, payout.status = payout.status, "paid"
    account.emit("payout.updated", payout, AUTOMATIC, {"status": was})
    account.emit("payout.paid", payout, AUTOMATIC)
    if payout.automatic:
        reconcile(account, payout)
    return payout


def reconcile(account: Account, payout: Payout) -> Payout:
    """Say that a payout's transactions can be listed, whatever its status."""
    if payout.reconciliation_status != "in_progress":
        raise RefusedError(f"Payout {payout.id}: reconciliation is {payout.reconciliation_status}.")
    payout.reconciliation_status = "completed"
    account.emit("payout.reconciliation_completed", payout, AUTOMATIC, {"reconciliation_status": "in_progress"})
    return payout


def fail(account: Account, payout: Payout) -> Payout:
    """Let the bank refuse a payout, even one that counted as paid: the money is in the balance again."""
    _expect(payout, "pending", "in_transit", "paid")
    payout.status, payout.failure_code = "failed", "account_closed"
    _give_back(account, payout)
    account.emit("payout.failed", payout, AUTOMATIC)
    return payout


def cancel(account: Account, by: Origin, payout: Payout) -> Payout:
    """Stop a payout that has not left."""
    _expect(payout, "pending", "in_transit")
    payout.status = "canceled"
    _give_back(account, payout)
    account.emit("payout.canceled", payout, by)
    return payout


def held(account: Account, payout_id: str) -> Payout:
    """Return a payout. Raises NoSuchThingError."""
    if payout_id not in account.book.payouts:
        raise NoSuchThingError("payout", payout_id, "id")
    return account.book.payouts[payout_id]


def _payout(account: Account, by: Origin, amount: int, currency: str, *, automatic: bool) -> Payout:
    payout_id = account.ids.stripe("po")
    entry = account.book_amount(
        payout_id, -amount, currency, kind="payout", category="payout", description="STRIPE PAYOUT"
    )
    payout = Payout(
        id=payout_id,
        created=account.time(),
        amount=amount,
        currency=currency,
        arrival_date=account.time() // 86_400 * 86_400 + _ARRIVES_AFTER_SECONDS,
        automatic=automatic,
        balance_transaction=entry.id,
        reconciliation_status="in_progress" if automatic else "not_applicable",
    )
    if automatic:
        entry.payout = payout.id
    account.book.payouts[payout.id] = payout
    account.emit("payout.created", payout, by)
    return payout


def _give_back(account: Account, payout: Payout) -> None:
    entry = account.book_amount(
        payout.id, payout.amount, payout.currency, kind="payout_failure", category="payout_reversal"
    )
    payout.failure_balance_transaction = entry.id


def _expect(payout: Payout, *statuses: str) -> None:
    if payout.status not in statuses:
        raise RefusedError(f"Payout {payout.id} is {payout.status}.")
