"""What staff decided, as part of the set of facts: whose a payment is, and what became of what was owed.

A decision counts from its own time, whenever it was entered, and one that was a mistake counts no more once it is
withdrawn: what it posted is taken back by a correction. Of two decisions about whose a payment is the later one holds.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TypeVar

from payments.collection.domain import InvoiceView, Member, PaymentView
from payments.collection.facts import (
    Banked,
    CreditApplied,
    Decision,
    Fact,
    LongOverdue,
    Matched,
    PaidOutside,
    Withdrawn,
    WrittenOff,
)
from payments.collection.objects import INVOICE, Key

D = TypeVar("D", WrittenOff, PaidOutside, CreditApplied, LongOverdue)


def standing(facts: Collection[Fact]) -> list[Decision]:
    """Return the decisions that hold, in the order of their effect."""
    gone = {each.decision for each in facts if isinstance(each, Withdrawn)}
    found = [
        each
        for each in facts
        if isinstance(each, WrittenOff | PaidOutside | CreditApplied | LongOverdue | Matched | Banked)
        and each.told.event_id not in gone
    ]
    return sorted(found, key=lambda each: (each.told.at, each.told.event_id))


def match(payments: Sequence[PaymentView], decided: Sequence[Decision]) -> list[PaymentView]:
    """Return the payments as staff matched them: to a member, and to an invoice where one was named."""
    latest = {each.payment: each for each in decided if isinstance(each, Matched)}
    if not latest:
        return list(payments)
    matched = []
    for payment in payments:
        found = next((latest[key] for key in sorted(payment.objects | {payment.key}) if key in latest), None)
        if found is not None:
            to = _invoice_of(found.to, payments) if found.to is not None else None
            member = Member(found.member_id, found.member_name)
            payment = replace(payment, matched=member, invoice=to or payment.invoice)
        matched.append(payment)
    return matched


def _invoice_of(of: Key, payments: Collection[PaymentView]) -> Key | None:
    """Return the invoice that a decision means: itself, or that of the payment that it names."""
    if of.kind == INVOICE:
        return of
    return next((each.invoice for each in payments if of == each.key or of in each.objects), None)


def settle(
    invoices: Sequence[InvoiceView], payments: Sequence[PaymentView], decided: Sequence[Decision]
) -> list[InvoiceView]:
    """Return the invoices with what staff decided about them, and the state that follows."""
    return [_settled(invoice, payments, decided) for invoice in invoices]


def _settled(invoice: InvoiceView, payments: Sequence[PaymentView], decided: Sequence[Decision]) -> InvoiceView:
    view = replace(
        invoice,
        written_off=_about(WrittenOff, invoice, payments, decided),
        outside=_about(PaidOutside, invoice, payments, decided),
        credits=_about(CreditApplied, invoice, payments, decided),
        overdue=_about(LongOverdue, invoice, payments, decided),
    )
    paying = [each for each in payments if each.invoice == invoice.key and each.currency == invoice.currency]
    by_staff = any(each.matched for each in paying) or view.written_off or view.outside or view.credits
    if view.state not in ("open", "uncollectible") or not by_staff:
        return view
    received = _received(view, paying)
    lowered = sum(each.credited_minor for each in view.credit_notes if each.voided_at is None)
    left = view.total_minor - lowered - sum(amount for _, amount in received)
    if left <= 0 and received:
        return replace(view, state="paid", paid_at=max(at for at, _ in received))
    given_up = any(each.amount_minor is None for each in view.written_off)
    if given_up or (view.written_off and left <= sum(each.amount_minor or 0 for each in view.written_off)):
        return replace(view, state="uncollectible")
    return view


def _about(
    kind: type[D], invoice: InvoiceView, payments: Sequence[PaymentView], decided: Sequence[Decision]
) -> tuple[D, ...]:
    return tuple(each for each in decided if isinstance(each, kind) and _invoice_of(each.of, payments) == invoice.key)


def _received(invoice: InvoiceView, paying: Sequence[PaymentView]) -> list[tuple[datetime, int]]:
    """Return what came in for an invoice and stayed, with its time."""
    found = [
        (each.succeeded_at, each.amount_minor)
        for payment in paying
        for each in payment.movements
        if each.succeeded_at is not None and each.reversed_at is None
    ]
    found += [(each.told.at, each.amount_minor) for each in invoice.outside if each.currency == invoice.currency]
    found += [(each.told.at, each.amount_minor) for each in invoice.credits if each.currency == invoice.currency]
    return found


def banked(decided: Sequence[Decision]) -> dict[Key, datetime]:
    """Return when each payout stood on the bank's statement."""
    return {each.payout: each.told.at for each in reversed(decided) if isinstance(each, Banked)}
