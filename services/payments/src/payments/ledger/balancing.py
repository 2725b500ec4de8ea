"""Journals of what a provider's balance did by itself: fees, disputes and payouts.

They are posted from balance transactions and from payouts, never from events about charges: a fee, and what a dispute
took, stand nowhere else. GST is read from what the provider states, never assumed; without registration it is cost.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from payments.collection.domain import EntryView, Group, PaymentView, PayoutView, Policy
from payments.collection.objects import DISPUTE
from payments.ledger.domain import (
    BANK,
    DISPUTE_FEES,
    GST_INPUT_CREDITS,
    PAYOUT_IN_TRANSIT,
    PROVIDER_FEES,
    Derived,
    Entry,
    TaxCode,
    clearing,
    dispute_held,
)


def entered(group: Group, policy: Policy) -> Iterator[Derived]:
    """Yield the fees of a group's objects, and what disputes took and gave back."""
    for fee in group.fees:
        payment = group.payment(fee.source) if fee.source else None
        yield from _fee(fee, payment, policy)
    for dispute in group.disputes:
        for entry in dispute.entries:
            yield _disputed(entry, None, policy)
    for payment in group.payments:
        for dispute in payment.disputes:
            for entry in dispute.entries:
                yield _disputed(entry, payment, policy)


def paid_out(group: Group, policy: Policy) -> Iterator[Derived]:
    """Yield payouts, those that came back, and the fees that only a payout tells."""
    for payout in group.payouts:
        if payout.amount_minor is None or payout.currency is None or payout.created_at is None:
            continue
        amount, currency, held = payout.amount_minor, payout.currency, clearing(payout.key.provider)
        sent = (Entry(PAYOUT_IN_TRANSIT, currency, amount), Entry(held, currency, -amount))
        back = (Entry(held, currency, amount), Entry(PAYOUT_IN_TRANSIT, currency, -amount))
        if amount:
            yield _of(payout, "payout", payout.created_at, sent, "Payout to the bank")
        stood = (Entry(BANK, currency, amount), Entry(PAYOUT_IN_TRANSIT, currency, -amount))
        if amount and payout.banked_at is not None:
            at = max(payout.banked_at, payout.created_at)
            yield _of(payout, "payout_banked", at, stood, "Payout on the bank's statement")
        if amount and payout.ended_at is not None:
            at = max(payout.ended_at, payout.banked_at or payout.created_at, payout.created_at)
            if payout.banked_at is not None:
                left = tuple(Entry(each.account, currency, -each.amount_minor) for each in stood)
                yield _of(payout, "payout_unbanked", at, left, "Payout gone from the bank", reverses="payout_banked")
            yield _of(payout, "payout_failed", at, back, "Payout came back", reverses="payout")
        cost = _cost(currency, payout.fee_minor, payout.gst_minor, PROVIDER_FEES, policy)
        if payout.fee_minor:
            entries = (*cost, Entry(held, currency, -payout.fee_minor))
            yield _of(payout, "payout_fees", payout.created_at, entries, "Fees of a payout")


def _of(
    payout: PayoutView, what: str, at: datetime, entries: tuple[Entry, ...], words: str, reverses: str | None = None
) -> Derived:
    return Derived(
        economic_key=f"{what}:{payout.key.text}",
        subject=payout.key,
        effective_at=at,
        entries=entries,
        words=words,
        kind="reversal" if reverses else "original",
        reverses=f"{reverses}:{payout.key.text}" if reverses else None,
    )


def _fee(fee: EntryView, payment: PaymentView | None, policy: Policy) -> Iterator[Derived]:
    """Yield one fee. One that belongs to no object is a balance transaction by itself, below zero by its amount."""
    of_the_account = fee.type in ("stripe_fee", "tax_fee")
    cost = fee.fee_minor - (fee.amount_minor if of_the_account else 0)
    gst = cost if fee.type == "tax_fee" else fee.gst_minor
    if cost == 0:
        return
    disputed = fee.source is not None and fee.source.kind == DISPUTE
    words = "Fee of the provider" if of_the_account else "Fee of a payment"
    if disputed:
        words = "Fee of a dispute" if cost > 0 else "Fee of a dispute returned"
    yield Derived(
        economic_key=f"fee:{fee.key.text}",
        subject=fee.key,
        effective_at=fee.at,
        entries=(
            *_cost(fee.currency, cost, gst, DISPUTE_FEES if disputed else PROVIDER_FEES, policy),
            Entry(clearing(fee.key.provider), fee.currency, -cost),
        ),
        words=words,
        payment=payment.key if payment else None,
        invoice=payment.invoice if payment else None,
    )


def _disputed(entry: EntryView, payment: PaymentView | None, policy: Policy) -> Derived:
    """Return what a dispute took (amount below zero) or gave back, with its fee."""
    held, fee = dispute_held(entry.key.provider), entry.fee_minor
    moved = (
        Entry(held, entry.currency, -entry.amount_minor),
        *_cost(entry.currency, fee, entry.gst_minor, DISPUTE_FEES, policy),
        Entry(clearing(entry.key.provider), entry.currency, entry.amount_minor - fee),
    )
    return Derived(
        economic_key=f"dispute:{entry.key.text}",
        subject=entry.key,
        effective_at=entry.at,
        entries=tuple(each for each in moved if each.amount_minor),
        words=_dispute_words(entry),
        payment=payment.key if payment else None,
        invoice=payment.invoice if payment else None,
    )


def _dispute_words(entry: EntryView) -> str:
    if entry.amount_minor == 0:
        return "Fee of a dispute" if entry.fee_minor > 0 else "Fee of a dispute returned"
    return "Disputed funds taken" if entry.amount_minor < 0 else "Disputed funds returned"


def _cost(currency: str, cost: int, gst: int, account: str, policy: Policy) -> tuple[Entry, ...]:
    """Return what something cost, the GST inside it apart where it can be claimed."""
    claimed = gst if policy.gst_registered and currency == policy.home_currency else 0
    code: TaxCode = "GST" if claimed else "N-T"
    lines = (Entry(account, currency, cost - claimed, "posted", code),)
    return tuple(
        each for each in (*lines, Entry(GST_INPUT_CREDITS, currency, claimed, "posted", code)) if each.amount_minor
    )
