"""Journals of single payments: money that came in, was on its way, went back, or was disputed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final

from payments.collection.domain import DisputeView, Movement, PaymentView, RefundView
from payments.ledger.domain import (
    Derived,
    Entry,
    JournalKind,
    Phase,
    TaxCode,
    clearing,
    dispute_held,
)

_METHODS: Final = {"card": "by card", "au_becs_debit": "by direct debit", "link": "by Link"}
Part = tuple[str, int, TaxCode]


def moved(payment: PaymentView, movement: Movement, lines: Sequence[Part], *, taken_back: bool) -> Derived:
    """Return the journal of money that came in, or of its being taken back. `lines` are all but clearing's, signed."""
    at = movement.reversed_at if taken_back else movement.succeeded_at
    assert at is not None  # noqa: S101 - the caller has looked
    amount = -movement.amount_minor if taken_back else movement.amount_minor
    held = Entry(clearing(payment.key.provider), movement.currency, amount)
    return Derived(
        economic_key=_economic("reversal" if taken_back else "payment", movement),
        subject=movement.subject,
        effective_at=at,
        entries=(held, *entries_of(movement.currency, lines)),
        words=_words(payment, movement, taken_back=taken_back),
        kind="reversal" if taken_back else "original",
        reverses=_economic("payment", movement) if taken_back else None,
        payment=payment.key,
        invoice=payment.invoice,
        member_id=payment.member.id if payment.member else None,
    )


def entries_of(currency: str, lines: Sequence[Part]) -> tuple[Entry, ...]:
    """Return the entries of signed lines; a line of nothing is none."""
    return tuple(Entry(account, currency, amount, "posted", code) for account, amount, code in lines if amount)


def pending(payment: PaymentView, movement: Movement, counter: str) -> Iterator[Derived]:
    """Yield a direct debit's time at the bank, in the pending phase: no balance that anybody relies on."""
    steps = (
        ("pending", movement.pending_at, 1, "Direct debit on its way"),
        ("pending_end", movement.pending_ended_at, -1, "Direct debit no longer on its way"),
    )
    for what, at, sign, words in steps:
        if at is None or movement.amount_minor == 0:
            continue
        yield Derived(
            economic_key=_economic(what, movement),
            subject=movement.subject,
            effective_at=at,
            entries=_pair(
                movement, clearing(payment.key.provider), ((counter, movement.amount_minor),), "pending", sign
            ),
            words=words,
            kind="original" if sign > 0 else "reversal",
            reverses=None if sign > 0 else _economic("pending", movement),
            payment=payment.key,
            invoice=payment.invoice,
            member_id=payment.member.id if payment.member else None,
        )


def refunded(payment: PaymentView, refund: RefundView, debited: Sequence[Part], payable: str) -> Iterator[Derived]:
    """Yield the life of one refund. `debited` is what it takes back, `payable` where it waits until it is paid."""
    if not posts(payment, refund) or refund.currency is None or refund.created_at is None:
        return
    currency, amount = refund.currency, refund.amount_minor or 0
    requested = (
        *entries_of(currency, debited),
        Entry(payable, currency, -amount),
    )
    given_up = tuple(Entry(each.account, currency, -each.amount_minor, "posted", each.tax_code) for each in requested)
    held = clearing(payment.key.provider)
    paid = (Entry(payable, currency, amount), Entry(held, currency, -amount))
    back = (Entry(held, currency, amount), Entry(payable, currency, -amount))
    steps: tuple[tuple[str, datetime | None, tuple[Entry, ...], str, str | None], ...] = (
        ("refund", refund.created_at, requested, "Refund", None),
        ("refund_canceled", refund.canceled_at, given_up, "Refund cancelled", "refund"),
        ("refund_paid", refund.paid_at, paid, "Refund paid", None),
        ("refund_failed", refund.failed_at, back, "Refund came back", "refund_paid"),
    )
    for what, at, entries, words, reverses in steps:
        if at is None:
            continue
        kind: JournalKind = "reversal" if reverses else "original"
        yield Derived(
            economic_key=f"{what}:{refund.key.text}",
            subject=refund.key,
            effective_at=at,
            entries=entries,
            words=words,
            kind=kind,
            reverses=f"{reverses}:{refund.key.text}" if reverses else None,
            payment=payment.key,
            invoice=payment.invoice,
            member_id=payment.member.id if payment.member else None,
        )


def posts(payment: PaymentView, refund: RefundView) -> bool:
    """Tell whether a refund is one of money that came in, and not of more than that."""
    came_in = any(each.succeeded_at is not None for each in payment.movements)
    return came_in and bool(refund.amount_minor) and refund.state != "refused"


def lost_disputes(payment: PaymentView) -> Iterator[DisputeView]:
    """Yield the disputes that were decided against us and took money that was not given back."""
    yield from (each for each in payment.disputes if each.lost_at is not None and each.taken_minor > 0)


def lost(payment: PaymentView, dispute: DisputeView, lines: Sequence[Part]) -> Derived:
    """Return what a lost dispute leaves: the debt stands, the provider keeps what it held. `lines` are what is owed."""
    assert dispute.lost_at is not None  # noqa: S101 - the caller has looked
    currency = dispute.entries[0].currency
    held = Entry(dispute_held(payment.key.provider), currency, -dispute.taken_minor)
    return Derived(
        economic_key=f"dispute_lost:{dispute.key.text}",
        subject=dispute.key,
        effective_at=dispute.lost_at,
        entries=(*entries_of(currency, lines), held),
        words="Dispute lost",
        payment=payment.key,
        invoice=payment.invoice,
        member_id=payment.member.id if payment.member else None,
    )


def _pair(
    movement: Movement, debit: str, credited: Sequence[tuple[str, int]], phase: Phase, sign: int
) -> tuple[Entry, ...]:
    return (
        Entry(debit, movement.currency, sign * movement.amount_minor, phase),
        *(Entry(account, movement.currency, -sign * amount, phase) for account, amount in credited if amount),
    )


def _economic(what: str, movement: Movement) -> str:
    return f"{what}:{movement.subject.text}:{movement.number}"


def _words(payment: PaymentView, movement: Movement, *, taken_back: bool) -> str:
    if payment.key.provider == "gocardless":
        if not taken_back:
            return "Direct debit"
        return "Direct debit charged back" if movement.charged_back else "Direct debit failed late"
    how = _METHODS.get(payment.method or "", "")
    return " ".join(filter(None, ("Payment", how, "taken back" if taken_back else "")))
