"""What ought to stand in the ledger, derived from payments and invoices by the posting table of the chart.

Money of somebody we do not know waits in 2400 and moves to its member's account at its original time once the member
is known. Money in another currency than the invoice's never nets with it: it waits in 2400 too.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from payments.collection.domain import Group, InvoiceView, PaymentView, Policy
from payments.collection.objects import Key
from payments.ledger.balancing import entered, paid_out
from payments.ledger.domain import (
    GST_DEFERRED,
    GST_PAYABLE,
    REVENUE,
    Derived,
    Entry,
    TaxCode,
    receivable,
    refunds_payable,
    unidentified,
)
from payments.ledger.moving import lost, lost_disputes, moved, pending, refunded
from payments.ledger.settling import settle
from payments.ledger.walking import tax_code


def derive(group: Group, policy: Policy) -> tuple[Derived, ...]:
    """Return every journal that a group's facts call for, sorted by effective time and economic key."""
    paying: dict[Key, list[PaymentView]] = defaultdict(list)
    for payment in group.payments:
        if payment.invoice is not None:
            paying[payment.invoice].append(payment)
    found: list[Derived] = []
    settled: set[Key] = set()
    for invoice in group.invoices:
        if invoice.member is None:
            continue
        found += _issued(invoice, paying[invoice.key], policy)
        matching = [each for each in paying[invoice.key] if each.currency == invoice.currency]
        settled |= {payment.key for payment in matching}
        for payment in matching:
            for movement in payment.movements:
                found += pending(payment, movement, receivable(invoice.member.id))
        found += settle(invoice, matching, _subject(invoice, paying[invoice.key]), policy)
    for payment in group.payments:
        if payment.key not in settled:
            found += _unmatched(payment)
    found += [*entered(group, policy), *paid_out(group, policy)]
    return tuple(sorted(found, key=lambda each: (each.effective_at, each.economic_key)))


def _issued(invoice: InvoiceView, paying: Sequence[PaymentView], policy: Policy) -> Iterator[Derived]:
    if invoice.member is None or invoice.total_minor == 0:
        return
    taxed = tax_code(invoice, policy)
    lines: tuple[tuple[str, int, TaxCode], ...] = (
        (receivable(invoice.member.id), invoice.total_minor, "N-T"),
        (REVENUE, invoice.gst_minor - invoice.total_minor, taxed),
        (GST_DEFERRED if policy.basis == "cash" else GST_PAYABLE, -invoice.gst_minor, taxed),
    )
    yield Derived(
        economic_key=f"invoice:{invoice.key.text}",
        subject=_subject(invoice, paying),
        effective_at=invoice.issued_at,
        entries=tuple(
            Entry(account, invoice.currency, amount, "posted", code) for account, amount, code in lines if amount
        ),
        words="Membership charge" if invoice.implied else f"Invoice {invoice.reference}",
        invoice=invoice.key,
        member_id=invoice.member.id,
    )


def _subject(invoice: InvoiceView, paying: Sequence[PaymentView]) -> Key:
    """Return the object under whose key the journal is found again: no fact names an implied invoice itself."""
    return min(payment.key for payment in paying) if invoice.implied else invoice.key


def _unmatched(payment: PaymentView) -> Iterator[Derived]:
    waiting = unidentified(payment.key.provider)
    for movement in payment.movements:
        yield from pending(payment, movement, waiting)
        for taken_back, at in ((False, movement.succeeded_at), (True, movement.reversed_at)):
            if at is not None:
                waits = movement.amount_minor if taken_back else -movement.amount_minor
                yield moved(payment, movement, ((waiting, waits, "N-T"),), taken_back=taken_back)
    owner = payment.member.id if payment.member else f"unidentified:{payment.key.provider}"
    for refund in payment.refunds:
        yield from refunded(payment, refund, ((waiting, refund.amount_minor or 0, "N-T"),), refunds_payable(owner))
    for dispute in lost_disputes(payment):
        yield lost(payment, dispute, ((waiting, dispute.taken_minor, "N-T"),))
