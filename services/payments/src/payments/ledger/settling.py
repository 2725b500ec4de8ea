"""What became of one invoice: what paid it, what lowered it, and what of it went back, in the order of their time.

What is due goes to the receivable, what was given up before is recovered, what is beyond both is the member's credit.
A refund takes from the credit of its payment first and from revenue after that. Its GST is that of all that was given
back so far less what was adjusted already, so that parts sum to the cent, and the whole of it to the invoice's own GST.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from payments.collection.domain import (
    CreditNoteView,
    DisputeView,
    InvoiceView,
    Movement,
    PaymentView,
    Policy,
    RefundView,
)
from payments.collection.facts import CreditApplied, LongOverdue, PaidOutside, WrittenOff
from payments.collection.objects import Key
from payments.ledger.domain import GST_PAYABLE, REFUNDS_ALLOWANCES, Derived
from payments.ledger.moving import Part, lost_disputes, posts, refunded
from payments.ledger.walking import Walk, share


@dataclass(frozen=True, slots=True)
class _Step:
    """One thing that changed what is due. In one instant: money in, taken back, notes, void, decisions, time."""

    at: datetime
    rank: int
    subject: Key
    id: str | int
    what: (
        tuple[PaymentView, Movement]
        | tuple[PaymentView, DisputeView]
        | CreditNoteView
        | PaidOutside
        | CreditApplied
        | WrittenOff
        | LongOverdue
        | None
    )
    taken_back: bool = False


@dataclass(frozen=True, slots=True)
class Left:
    """What is left of an invoice: due still, and given up without being recovered."""

    due_minor: int
    written_off_minor: int


def settle(invoice: InvoiceView, paying: Sequence[PaymentView], subject: Key, policy: Policy) -> Iterator[Derived]:
    """Yield what paid the invoice, what lowered it and what went back. `paying` are in the invoice's currency.

    `subject` is the object under whose key the invoice's own journals are found again.
    """
    if invoice.member is None:
        return
    walk = Walk(invoice, invoice.member.id, subject, policy)
    yield from _steps(walk, invoice, paying)
    yield from _given_back(walk, paying)


def left(invoice: InvoiceView, paying: Sequence[PaymentView], policy: Policy) -> Left:
    """Return what is left of the invoice after all that is known. `paying` are in the invoice's currency."""
    walk = Walk(invoice, invoice.member.id if invoice.member else "", invoice.key, policy)
    for _ in _steps(walk, invoice, paying):
        pass
    return Left(max(walk.due, 0), walk.written)


def relief_at(invoice: InvoiceView, paying: Sequence[PaymentView], policy: Policy) -> datetime | None:
    """Return from when on the GST of what is due may be claimed back; None where there is none to claim, or it was.

    `paying` are in the invoice's currency.
    """
    walk = Walk(invoice, invoice.member.id if invoice.member else "", invoice.key, policy)
    for _ in _steps(walk, invoice, paying):
        pass
    return max(walk.long_overdue_at, walk.owed_since) if walk.relievable_minor else None


def _steps(walk: Walk, invoice: InvoiceView, paying: Sequence[PaymentView]) -> Iterator[Derived]:
    found = [*_of_payments(invoice, paying), *_of_invoice(invoice)]
    for step in sorted(found, key=lambda each: (each.at, each.rank, each.subject, str(each.id))):
        was_due = walk.due
        derived = _taken(walk, step)
        if was_due <= 0 < walk.due:
            walk.owed_since = step.at
        if derived is not None:
            yield derived


def _taken(walk: Walk, step: _Step) -> Derived | None:
    match step.what:
        case (payment, Movement() as movement):
            return walk.money(payment, movement, taken_back=step.taken_back)
        case (payment, DisputeView() as dispute):
            return walk.lost(payment, dispute)
        case CreditNoteView() as note:
            return walk.note(note, taken_back=step.taken_back)
        case PaidOutside() as fact:
            return walk.outside(fact)
        case CreditApplied() as fact:
            return walk.apply_credit(fact)
        case WrittenOff() as fact:
            return walk.write_off(fact)
        case LongOverdue() as fact:
            return walk.relieve(fact)
        case _:
            return walk.void(step.at) if step.taken_back else walk.out_of_band(step.at)


def _of_payments(invoice: InvoiceView, paying: Sequence[PaymentView]) -> Iterator[_Step]:
    for payment in paying:
        for movement in payment.movements:
            for rank, at in ((0, movement.succeeded_at), (1, movement.reversed_at)):
                if at is not None:
                    what = (payment, movement)
                    yield _Step(at, rank, movement.subject, movement.number, what, taken_back=rank == 1)
        for dispute in lost_disputes(payment):
            if dispute.lost_at is not None and dispute.entries[0].currency == invoice.currency:
                yield _Step(dispute.lost_at, 1, dispute.key, 0, (payment, dispute))


def _of_invoice(invoice: InvoiceView) -> Iterator[_Step]:
    if invoice.out_of_band_minor and invoice.paid_at:
        yield _Step(invoice.paid_at, 0, invoice.key, 0, None)
    for note in invoice.credit_notes:
        if note.credited_minor:
            yield _Step(note.at, 2, note.key, 0, note)
            if note.voided_at is not None:
                yield _Step(max(note.voided_at, note.at), 3, note.key, 0, note, taken_back=True)
    if invoice.voided_at is not None:
        yield _Step(invoice.voided_at, 4, invoice.key, 0, None, taken_back=True)
    came_in: list[PaidOutside | CreditApplied] = [*invoice.outside, *invoice.credits]
    for received in came_in:
        if received.currency == invoice.currency:
            yield _Step(received.told.at, 5, received.of, received.told.event_id, received)
    for given_up in invoice.written_off:
        yield _Step(given_up.told.at, 6, given_up.of, given_up.told.event_id, given_up)
    for passed in invoice.overdue:
        yield _Step(passed.told.at, 7, passed.of, passed.told.event_id, passed)


def _given_back(walk: Walk, paying: Sequence[PaymentView]) -> Iterator[Derived]:
    """Yield the refunds of the invoice's payments, in the order of their time at the provider, then of their ids."""
    refunds = [(payment, refund) for payment in paying for refund in payment.refunds if posts(payment, refund)]
    back, adjusted = 0, 0
    invoice = walk.invoice
    for payment, refund in sorted(refunds, key=lambda pair: _when(pair[1])):
        amount = refund.amount_minor or 0
        of_credit = min(max(walk.credited[payment.key], 0), amount)
        of_revenue = amount - of_credit
        gst = share(back + of_revenue, invoice.gst_minor, invoice.total_minor) - adjusted
        debited: tuple[Part, ...] = (
            (REFUNDS_ALLOWANCES, of_revenue - gst, walk.decreasing),
            (GST_PAYABLE, gst, walk.decreasing),
            (walk.credit, of_credit, "N-T"),
        )
        yield from refunded(payment, refund, debited, walk.payable)
        if refund.canceled_at is None:
            walk.credited[payment.key] -= of_credit
            back, adjusted = back + of_revenue, adjusted + gst


def _when(refund: RefundView) -> tuple[datetime, Key]:
    assert refund.created_at is not None  # noqa: S101 - a refund with an amount is described, and so dated
    return refund.created_at, refund.key
