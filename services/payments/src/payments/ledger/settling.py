"""What became of one invoice: what paid it, what lowered it, and what of it went back, in the order of their time.

What is due goes to the receivable, what is beyond it to the member's credit. A refund takes from the credit of its
payment first and from revenue after that. Its GST is that of all that was given back so far less what was adjusted
already, so that parts sum to the cent, and the whole of it to the invoice's own GST.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from payments.collection.domain import CreditNoteView, InvoiceView, Movement, PaymentView, Policy, RefundView
from payments.collection.objects import Key
from payments.ledger.domain import (
    GST_PAYABLE,
    OTHER_RECEIPTS,
    REFUNDS_ALLOWANCES,
    REVENUE,
    Derived,
    Entry,
    TaxCode,
    member_credit,
    receivable,
    refunds_payable,
)
from payments.ledger.moving import Part, lost, moved, posts, refunded


@dataclass(frozen=True, slots=True)
class _Step:
    """One thing that changed what is due. Of one instant: money in, money taken back, credit notes, the void."""

    at: datetime
    rank: int
    subject: Key
    number: int = 0
    payment: PaymentView | None = None
    movement: Movement | None = None
    note: CreditNoteView | None = None


def tax_code(invoice: InvoiceView, policy: Policy) -> TaxCode:
    """Return the tax code of an invoice's revenue."""
    if invoice.currency != policy.home_currency:
        return "N-T"
    return "GST" if invoice.gst_minor else "FRE"


def settle(invoice: InvoiceView, paying: Sequence[PaymentView], policy: Policy) -> Iterator[Derived]:
    """Yield what paid the invoice, what lowered it and what went back. `paying` are in the invoice's currency."""
    if invoice.member is None:
        return
    walk = _Walk(invoice, tax_code(invoice, policy))
    if invoice.out_of_band_minor and invoice.paid_at:
        walk.due -= invoice.out_of_band_minor
        yield _out_of_band(invoice)
    for step in sorted(_steps(invoice, paying), key=lambda each: (each.at, each.rank, each.subject, each.number)):
        if step.payment is not None and step.movement is not None:
            yield walk.money(step.payment, step.movement, taken_back=step.rank == 1)
        elif step.note is not None:
            yield from walk.note(step.note, taken_back=step.rank == 3)
        else:
            yield from walk.void(step.at)
    yield from _given_back(walk, paying)
    for payment in paying:
        yield from lost(payment, receivable(invoice.member.id))


def _steps(invoice: InvoiceView, paying: Sequence[PaymentView]) -> Iterator[_Step]:
    for payment in paying:
        for movement in payment.movements:
            for rank, at in ((0, movement.succeeded_at), (1, movement.reversed_at)):
                if at is not None:
                    yield _Step(at, rank, movement.subject, movement.number, payment, movement)
    for note in invoice.credit_notes:
        if note.credited_minor:
            yield _Step(note.at, 2, note.key, note=note)
            if note.voided_at is not None:
                yield _Step(max(note.voided_at, note.at), 3, note.key, note=note)
    if invoice.voided_at is not None:
        yield _Step(invoice.voided_at, 4, invoice.key)


class _Walk:
    """Goes through the steps and knows what is due, and what of each payment is the member's credit."""

    def __init__(self, invoice: InvoiceView, taxed: TaxCode) -> None:
        assert invoice.member is not None  # noqa: S101 - the caller has looked
        self.invoice, self.taxed = invoice, taxed
        self.owed, self.credit = receivable(invoice.member.id), member_credit(invoice.member.id)
        self.payable = refunds_payable(invoice.member.id)
        self.due = invoice.total_minor
        self.credited: dict[Key, int] = defaultdict(int)
        self.lowered_gst = 0
        self.lowered_minor = 0
        self._applied: dict[tuple[Key, int], int] = {}
        self._lowered: dict[Key, tuple[int, int]] = {}

    def money(self, payment: PaymentView, movement: Movement, *, taken_back: bool) -> Derived:
        place = (movement.subject, movement.number)
        if not taken_back:
            self._applied[place] = min(max(self.due, 0), movement.amount_minor)
        part = self._applied[place]
        self.due += part if taken_back else -part
        beyond = movement.amount_minor - part
        self.credited[payment.key] += -beyond if taken_back else beyond
        return moved(payment, movement, ((self.owed, part), (self.credit, beyond)), taken_back=taken_back)

    def note(self, note: CreditNoteView, *, taken_back: bool) -> Iterator[Derived]:
        """Lower the invoice by a credit note: what is due first, what is beyond it becomes the member's credit."""
        if not taken_back:
            part = min(max(self.due, 0), note.credited_minor)
            self._lowered[note.key] = (part, note.credited_minor - part)
        part, beyond = self._lowered[note.key]
        sign = -1 if taken_back else 1
        self.due -= sign * part
        self.lowered_minor += sign * note.credited_minor
        self.lowered_gst += sign * note.gst_minor
        what = "credit_note_voided" if taken_back else "credit_note"
        lines: tuple[Part, ...] = (
            (REFUNDS_ALLOWANCES, note.credited_minor - note.gst_minor, self.taxed),
            (GST_PAYABLE, note.gst_minor, self.taxed),
            (self.owed, -part, "N-T"),
            (self.credit, -beyond, "N-T"),
        )
        at = note.voided_at if taken_back else note.at
        yield Derived(
            economic_key=f"{what}:{note.key.text}",
            subject=note.key,
            effective_at=max(at or note.at, note.at),
            entries=_entries(self.invoice.currency, lines, sign),
            words=f"Credit note {note.number or note.key.id}{' voided' if taken_back else ''}",
            kind="reversal" if taken_back else "original",
            reverses=f"credit_note:{note.key.text}" if taken_back else None,
            invoice=self.invoice.key,
            member_id=self.invoice.member.id if self.invoice.member else None,
        )

    def void(self, at: datetime) -> Iterator[Derived]:
        """Take back what is left of the invoice."""
        total = self.invoice.total_minor - self.lowered_minor
        gst = self.invoice.gst_minor - self.lowered_gst
        self.due -= total
        if total <= 0:
            return
        lines: tuple[Part, ...] = (
            (REVENUE, total - gst, self.taxed),
            (GST_PAYABLE, gst, self.taxed),
            (self.owed, -total, "N-T"),
        )
        yield Derived(
            economic_key=f"invoice_voided:{self.invoice.key.text}",
            subject=self.invoice.key,
            effective_at=max(at, self.invoice.issued_at),
            entries=_entries(self.invoice.currency, lines, 1),
            words=f"Invoice {self.invoice.reference} voided",
            kind="reversal",
            reverses=f"invoice:{self.invoice.key.text}",
            invoice=self.invoice.key,
            member_id=self.invoice.member.id if self.invoice.member else None,
        )


def _given_back(walk: _Walk, paying: Sequence[PaymentView]) -> Iterator[Derived]:
    """Yield the refunds of the invoice's payments, in the order of their time at the provider, then of their ids."""
    refunds = [(payment, refund) for payment in paying for refund in payment.refunds if posts(payment, refund)]
    back, adjusted = 0, 0
    for payment, refund in sorted(refunds, key=lambda pair: _when(pair[1])):
        amount = refund.amount_minor or 0
        of_credit = min(max(walk.credited[payment.key], 0), amount)
        of_revenue = amount - of_credit
        gst = _share(walk.invoice, back + of_revenue) - adjusted
        debited: tuple[Part, ...] = (
            (REFUNDS_ALLOWANCES, of_revenue - gst, walk.taxed),
            (GST_PAYABLE, gst, walk.taxed),
            (walk.credit, of_credit, "N-T"),
        )
        yield from refunded(payment, refund, debited, walk.payable)
        if refund.canceled_at is None:
            walk.credited[payment.key] -= of_credit
            back, adjusted = back + of_revenue, adjusted + gst


def _when(refund: RefundView) -> tuple[datetime, Key]:
    assert refund.created_at is not None  # noqa: S101 - a refund with an amount is described, and so dated
    return refund.created_at, refund.key


def _share(invoice: InvoiceView, back_minor: int) -> int:
    """Return the GST inside what was given back so far: the invoice's own, to the nearest cent, half a cent up."""
    if invoice.total_minor <= 0:
        return 0
    return (2 * invoice.gst_minor * back_minor + invoice.total_minor) // (2 * invoice.total_minor)


def _entries(currency: str, lines: Sequence[Part], sign: int) -> tuple[Entry, ...]:
    return tuple(Entry(account, currency, sign * amount, "posted", code) for account, amount, code in lines if amount)


def _out_of_band(invoice: InvoiceView) -> Derived:
    assert invoice.member is not None and invoice.paid_at is not None  # noqa: S101, PT018 - the caller has looked
    amount = invoice.out_of_band_minor
    return Derived(
        economic_key=f"out_of_band:{invoice.key.text}",
        subject=invoice.key,
        effective_at=invoice.paid_at,
        entries=(
            Entry(OTHER_RECEIPTS, invoice.currency, amount),
            Entry(receivable(invoice.member.id), invoice.currency, -amount),
        ),
        words=f"Invoice {invoice.reference} paid outside the provider",
        invoice=invoice.key,
        member_id=invoice.member.id,
    )
