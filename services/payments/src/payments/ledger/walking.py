"""One invoice from step to step: what is still due of it, what was given up, and what of each payment is credit.

On the cash basis GST is owed for what was received: what is due keeps its share of the invoice's GST deferred, and
whatever changes what is due moves the difference, so that the shares always sum to the invoice's own GST. The same
shares are the relief for a bad debt on the accrual basis, where the GST of what nobody paid was owed before: once a
debt was written off, or is twelve months overdue. From then on what is still due of it is deferred as on the cash
basis, and what comes in after all is owed again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import date, datetime, time, timedelta

from payments.collection.domain import CreditNoteView, DisputeView, InvoiceView, Movement, PaymentView, Policy
from payments.collection.facts import CreditApplied, Decision, LongOverdue, PaidOutside, WrittenOff
from payments.collection.objects import Key
from payments.ledger.domain import (
    BAD_DEBTS,
    BAD_DEBTS_RECOVERED,
    GST_DEFERRED,
    GST_PAYABLE,
    OTHER_RECEIPTS,
    REFUNDS_ALLOWANCES,
    REVENUE,
    Derived,
    JournalKind,
    TaxCode,
    member_credit,
    receivable,
    refunds_payable,
)
from payments.ledger.moving import Part, entries_of, lost, moved


def tax_code(invoice: InvoiceView, policy: Policy) -> TaxCode:
    """Return the tax code of an invoice's revenue."""
    if invoice.currency != policy.home_currency:
        return "N-T"
    return "GST" if invoice.gst_minor else "FRE"


def share(part: int, of: int, total: int) -> int:
    """Return the part of `of` that `part` is of `total`, to the nearest cent, half a cent up; nothing of nothing."""
    return (2 * of * part + total) // (2 * total) if total > 0 else 0


def long_overdue_at(invoice: InvoiceView, policy: Policy) -> datetime:
    """Return when an invoice has been overdue for twelve whole months: one without a due date was due when issued."""
    due_on = invoice.due_on or invoice.issued_at.astimezone(policy.zone).date()
    last = date(due_on.year + 1, 3, 1) if (due_on.month, due_on.day) == (2, 29) else due_on.replace(due_on.year + 1)
    return datetime.combine(last + timedelta(days=1), time(), policy.zone)


class Walk:
    """Goes through the steps. `due` is owed still, `written` was given up and not recovered since.

    `credited` is what of each payment is the member's credit. `of_member` is the invoice's: it has one. `owed_since` is
    when what is due began to be.
    """

    def __init__(self, invoice: InvoiceView, member_id: str, subject: Key, policy: Policy) -> None:
        self.invoice, self.member_id, self.subject = invoice, member_id, subject
        self.taxed = tax_code(invoice, policy)
        self.owed, self.credit = receivable(member_id), member_credit(member_id)
        self.payable = refunds_payable(member_id)
        self.due = invoice.total_minor
        self.owed_since = invoice.issued_at
        self.long_overdue_at = long_overdue_at(invoice, policy)
        self.written = 0
        self.credited: dict[Key, int] = defaultdict(int)
        self._cash = policy.basis == "cash"
        self._defers = self._cash
        self._written_gst = 0
        self._lowered_minor, self._lowered_gst = 0, 0
        self._parts: dict[tuple[Key, int], tuple[int, int, int]] = {}
        self._notes: dict[Key, tuple[int, int, bool]] = {}

    @property
    def decreasing(self) -> TaxCode:
        """The tax code of GST that is not owed any more."""
        return "GST-DEC" if self.taxed == "GST" else self.taxed

    @property
    def relievable_minor(self) -> int:
        """The GST within what is due that could be claimed back: none where it never was owed, or was claimed."""
        return 0 if self._defers else self._deferred(self.due) if self.due > 0 else 0

    def money(self, payment: PaymentView, movement: Movement, *, taken_back: bool) -> Derived:
        """What a payment brought, or what was taken back of it: the same parts again."""
        place = (movement.subject, movement.number)
        if not taken_back:
            self._parts[place] = self._split(movement.amount_minor)
        part, recovered, gst = self._parts[place]
        beyond = movement.amount_minor - part - recovered
        sign = 1 if taken_back else -1
        self.credited[payment.key] -= sign * beyond
        return moved(payment, movement, self._received(part, recovered, gst, beyond, sign), taken_back=taken_back)

    def outside(self, fact: PaidOutside) -> Derived:
        """Money that reached us beside every provider."""
        part, recovered, gst = self._split(fact.amount_minor)
        beyond = fact.amount_minor - part - recovered
        lines = ((OTHER_RECEIPTS, fact.amount_minor, "N-T"), *self._received(part, recovered, gst, beyond, -1))
        return self._decided("paid_outside", fact, lines, f"Paid by {fact.how}")

    def out_of_band(self, at: datetime) -> Derived:
        """What the provider says was paid beside it."""
        amount = self.invoice.out_of_band_minor
        before = self.due
        self.due -= amount
        lines: tuple[Part, ...] = (
            (OTHER_RECEIPTS, amount, "N-T"),
            (self.owed, -amount, "N-T"),
            *self._attributed(before),
        )
        return self._of("out_of_band", at, lines, f"Invoice {self.invoice.reference} paid outside the provider")

    def apply_credit(self, fact: CreditApplied) -> Derived | None:
        """What of a member's credit pays the invoice: no more than is due."""
        part = min(max(self.due, 0), fact.amount_minor)
        if part == 0:
            return None
        before = self.due
        self.due -= part
        lines: tuple[Part, ...] = ((self.credit, part, "N-T"), (self.owed, -part, "N-T"), *self._attributed(before))
        return self._decided("credit_applied", fact, lines, f"Credit used for {self._named}")

    def write_off(self, fact: WrittenOff) -> Derived | None:
        """What is given up: no more than is due. Its GST was owed (accrual basis), or never will be (cash basis)."""
        due = max(self.due, 0)
        amount = due if fact.amount_minor is None else min(due, fact.amount_minor)
        if amount == 0:
            return None
        gst = self._deferred(self.due) - self._deferred(self.due - amount)
        self.due -= amount
        self.written += amount
        self._written_gst += gst
        relief: Part = (GST_DEFERRED, gst, self.taxed) if self._defers else (GST_PAYABLE, gst, self.decreasing)
        lines: tuple[Part, ...] = (
            (BAD_DEBTS, amount - gst, self.taxed if self._defers else self.decreasing),
            relief,
            (self.owed, -amount, "N-T"),
        )
        return self._decided("write_off", fact, lines, f"{self._named} written off")

    def relieve(self, fact: LongOverdue) -> Derived | None:
        """Claim back the GST of what is due: it stays deferred, and is owed again with what comes in after all."""
        gst = self.relievable_minor
        if gst == 0 or fact.told.at < self.long_overdue_at:
            return None
        self._defers = True
        lines: tuple[Part, ...] = ((GST_PAYABLE, gst, self.decreasing), (GST_DEFERRED, -gst, self.taxed))
        return self._decided("bad_debt_relief", fact, lines, f"GST of {self._named} claimed back: a year overdue")

    def lost(self, payment: PaymentView, dispute: DisputeView) -> Derived:
        """A dispute that was lost: what it took is owed again."""
        before = self.due
        self.due += dispute.taken_minor
        return lost(payment, dispute, ((self.owed, dispute.taken_minor, "N-T"), *self._attributed(before)))

    def note(self, note: CreditNoteView, *, taken_back: bool) -> Derived:
        """Lower the invoice by a credit note: what is due first, what is beyond it becomes the member's credit."""
        if not taken_back:
            part = min(max(self.due, 0), note.credited_minor)
            gst = self._deferred(self.due) - self._deferred(self.due - part) if self._defers else 0
            self._notes[note.key] = (part, gst, self._defers)
        part, deferred, defers = self._notes[note.key]
        if self._defers and not defers:
            deferred = self._deferred(self.due + part) - self._deferred(self.due)
        sign = -1 if taken_back else 1
        self.due -= sign * part
        self._lowered_minor += sign * note.credited_minor
        self._lowered_gst += sign * note.gst_minor
        lines: tuple[Part, ...] = (
            (REFUNDS_ALLOWANCES, sign * (note.credited_minor - note.gst_minor), self.decreasing),
            (GST_DEFERRED, sign * deferred, self.taxed),
            (GST_PAYABLE, sign * (note.gst_minor - deferred), self.decreasing),
            (self.owed, -sign * part, "N-T"),
            (self.credit, -sign * (note.credited_minor - part), "N-T"),
        )
        what = "credit_note_voided" if taken_back else "credit_note"
        return Derived(
            economic_key=f"{what}:{note.key.text}",
            subject=note.key,
            effective_at=max((note.voided_at if taken_back else note.at) or note.at, note.at),
            entries=entries_of(self.invoice.currency, lines),
            words=f"Credit note {note.number or note.key.id}{' voided' if taken_back else ''}",
            kind="reversal" if taken_back else "original",
            reverses=f"credit_note:{note.key.text}" if taken_back else None,
            invoice=self.invoice.key,
            member_id=self.member_id,
        )

    def void(self, at: datetime) -> Derived | None:
        """Take back what is left of the invoice."""
        total = self.invoice.total_minor - self._lowered_minor
        gst = self.invoice.gst_minor - self._lowered_gst
        if total <= 0:
            self.due -= total
            return None
        deferred = self._deferred(self.due) - self._deferred(self.due - total) if self._defers else 0
        self.due -= total
        lines: tuple[Part, ...] = (
            (REVENUE, total - gst, self.decreasing),
            (GST_DEFERRED, deferred, self.taxed),
            (GST_PAYABLE, gst - deferred, self.decreasing),
            (self.owed, -total, "N-T"),
        )
        at = max(at, self.invoice.issued_at)
        words = f"Invoice {self.invoice.reference} voided"
        return self._of("invoice_voided", at, lines, words, kind="reversal", reverses="invoice")

    def _split(self, amount: int) -> tuple[int, int, int]:
        """Return what of an amount pays what is due, what recovers what was given up, and the GST within that."""
        part = min(max(self.due, 0), amount)
        recovered = min(self.written, amount - part)
        return part, recovered, share(recovered, self._written_gst, self.written)

    def _received(self, part: int, recovered: int, gst: int, beyond: int, sign: int) -> tuple[Part, ...]:
        """Count what came in (sign -1) or was taken back again (1), and return its lines."""
        before = self.due
        self.due += sign * part
        self.written += sign * recovered
        self._written_gst += sign * gst
        return (
            (self.owed, sign * part, "N-T"),
            (BAD_DEBTS_RECOVERED, sign * (recovered - gst), self._owed_again),
            (GST_PAYABLE, sign * gst, self._owed_again),
            (self.credit, sign * beyond, "N-T"),
            *self._attributed(before),
        )

    def _deferred(self, due: int) -> int:
        """Return the GST within what is due."""
        unpaid = min(max(due, 0), self.invoice.total_minor)
        paid = self.invoice.total_minor - unpaid
        return self.invoice.gst_minor - share(paid, self.invoice.gst_minor, self.invoice.total_minor)

    def _attributed(self, before: int) -> tuple[Part, ...]:
        """Return, where GST is deferred, what becomes owed to the tax office, or is deferred again, by what was due."""
        if not self._defers:
            return ()
        gst = self._deferred(before) - self._deferred(self.due)
        return (GST_DEFERRED, gst, self.taxed), (GST_PAYABLE, -gst, self._owed_again if gst > 0 else self.decreasing)

    @property
    def _owed_again(self) -> TaxCode:
        """The tax code of GST that is owed with money that came in: on the accrual basis it was owed before."""
        return self.taxed if self._cash or self.taxed != "GST" else "GST-INC"

    @property
    def _named(self) -> str:
        return "Membership charge" if self.invoice.implied else f"Invoice {self.invoice.reference}"

    def _decided(self, what: str, fact: Decision, lines: Sequence[Part], words: str) -> Derived:
        """Return the journal of a decision of staff: found again under what the decision names."""
        # The others post nothing.
        assert isinstance(fact, WrittenOff | PaidOutside | CreditApplied | LongOverdue)  # noqa: S101
        return Derived(
            economic_key=f"{what}:{fact.told.event_id}",
            subject=fact.of,
            effective_at=fact.told.at,
            entries=entries_of(self.invoice.currency, lines),
            words=words,
            invoice=self.invoice.key,
            member_id=self.member_id,
        )

    def _of(
        self,
        what: str,
        at: datetime,
        lines: Sequence[Part],
        words: str,
        *,
        kind: JournalKind = "original",
        reverses: str | None = None,
    ) -> Derived:
        return Derived(
            economic_key=f"{what}:{self.invoice.key.text}",
            subject=self.subject,
            effective_at=at,
            entries=entries_of(self.invoice.currency, lines),
            words=words,
            kind=kind,
            reverses=f"{reverses}:{self.invoice.key.text}" if reverses else None,
            invoice=self.invoice.key,
            member_id=self.member_id,
        )
