"""Credit notes, and giving up an invoice: what takes back a debt without any money moving."""

from __future__ import annotations

from simulator.stripe import refunds
from simulator.stripe.account import Account, NoSuchThingError, RefusedError
from simulator.stripe.billing import held
from simulator.stripe.objects import CreditNote, Invoice, Metadata, Origin, gst_within


def create(
    account: Account,
    by: Origin,
    *,
    invoice: str,
    amount: int,
    reason: str | None = None,
    memo: str | None = None,
    refund_amount: int | None = None,
    metadata: Metadata | None = None,
) -> CreditNote:
    """Credit part or all of a finalised invoice. Raises RefusedError for more than is left of it."""
    credited = held(account, invoice)
    if credited.status not in ("open", "paid"):
        raise RefusedError(f"You cannot create a credit note for an invoice that is {credited.status}.")
    if not 0 < amount <= credited.total - credited.credited:
        raise RefusedError("The credit note is greater than what is left of the invoice.", param="amount")
    number = sum(1 for note in account.book.credit_notes.values() if note.invoice == invoice) + 1
    refund = None
    if refund_amount:
        refund = refunds.create(account, by, payment_intent=credited.payment_intent, amount=refund_amount).id
    note = CreditNote(
        id=account.ids.stripe("cn"),
        created=account.time(),
        invoice=invoice,
        customer=credited.customer,
        amount=amount,
        tax=gst_within(amount) if credited.automatic_tax else 0,
        currency=credited.currency,
        number=f"{credited.number}-CN-{number:02d}",
        type="pre_payment" if credited.status == "open" else "post_payment",
        reason=reason,
        memo=memo,
        refund=refund,
        metadata=metadata or {},
    )
    credited.credited += amount
    account.book.credit_notes[note.id] = note
    account.emit("credit_note.created", note, by)
    return note


def void(account: Account, by: Origin, note: CreditNote) -> CreditNote:
    """Take a credit note back."""
    if note.status == "void":
        raise RefusedError("This credit note is void already.")
    note.status, note.voided_at = "void", account.time()
    account.book.invoices[note.invoice].credited -= note.amount
    account.emit("credit_note.voided", note, by)
    return note


def give_up(account: Account, by: Origin, invoice: Invoice) -> Invoice:
    """Mark an open invoice as uncollectible."""
    if invoice.status != "open":
        raise RefusedError(f"This invoice is {invoice.status}: it cannot be marked uncollectible.")
    invoice.status, invoice.marked_uncollectible_at = "uncollectible", account.time()
    invoice.next_payment_attempt = None
    account.emit("invoice.marked_uncollectible", invoice, by)
    return invoice


def held_note(account: Account, note_id: str) -> CreditNote:
    """Return a credit note. Raises NoSuchThingError."""
    if note_id not in account.book.credit_notes:
        raise NoSuchThingError("credit_note", note_id, "id")
    return account.book.credit_notes[note_id]
