"""What ought to stand in the ledger, derived from payments and invoices by the posting table of the chart.

Money of somebody we do not know waits in 2400 and moves to its member's account at its original time once the member
is known. Money in another currency than the invoice's never nets with it: it waits in 2400 too.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final

from payments.collection.domain import Group, InvoiceView, Movement, PaymentView, Policy
from payments.collection.objects import Key
from payments.ledger.domain import (
    GST_PAYABLE,
    OTHER_RECEIPTS,
    REVENUE,
    Derived,
    Entry,
    Phase,
    TaxCode,
    clearing,
    member_credit,
    receivable,
    unidentified,
)

_Step = tuple[datetime, int, Key, int, PaymentView, Movement]
_METHODS: Final = {"card": "by card", "au_becs_debit": "by direct debit", "link": "by Link"}


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
        found += _settled(invoice, matching)
    for payment in group.payments:
        if payment.key not in settled:
            found += _unmatched(payment)
    return tuple(sorted(found, key=lambda each: (each.effective_at, each.economic_key)))


def _issued(invoice: InvoiceView, paying: Sequence[PaymentView], policy: Policy) -> Iterator[Derived]:
    if invoice.member is None or invoice.total_minor == 0:
        return
    taxed: TaxCode = "N-T"
    if invoice.currency == policy.home_currency:
        taxed = "GST" if invoice.gst_minor else "FRE"
    lines: tuple[tuple[str, int, TaxCode], ...] = (
        (receivable(invoice.member.id), invoice.total_minor, "N-T"),
        (REVENUE, invoice.gst_minor - invoice.total_minor, taxed),
        (GST_PAYABLE, -invoice.gst_minor, taxed),
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


def _settled(invoice: InvoiceView, paying: Sequence[PaymentView]) -> Iterator[Derived]:
    """Go through what paid the invoice, in time: what is due goes to the receivable, what is beyond it to credit."""
    if invoice.member is None:
        return
    due = invoice.total_minor
    steps: list[_Step] = []
    for payment in paying:
        for movement in payment.movements:
            yield from _pending(payment, movement, receivable(invoice.member.id))
            if movement.succeeded_at is not None:
                steps.append((movement.succeeded_at, 0, movement.subject, movement.number, payment, movement))
            if movement.reversed_at is not None:
                steps.append((movement.reversed_at, 1, movement.subject, movement.number, payment, movement))
    if invoice.out_of_band_minor and invoice.paid_at:
        due -= invoice.out_of_band_minor
        yield _out_of_band(invoice)
    applied: dict[tuple[Key, int], int] = {}
    for _, is_reversal, subject, number, payment, movement in sorted(steps, key=lambda step: step[:4]):
        if is_reversal:
            due += applied[subject, number]
        else:
            applied[subject, number] = min(max(due, 0), movement.amount_minor)
            due -= applied[subject, number]
        part = applied[subject, number]
        credited = (
            (receivable(invoice.member.id), part),
            (member_credit(invoice.member.id), movement.amount_minor - part),
        )
        yield _moved(payment, movement, credited, taken_back=bool(is_reversal))


def _unmatched(payment: PaymentView) -> Iterator[Derived]:
    waiting = unidentified(payment.key.provider)
    for movement in payment.movements:
        yield from _pending(payment, movement, waiting)
        for taken_back, at in ((False, movement.succeeded_at), (True, movement.reversed_at)):
            if at is not None:
                yield _moved(payment, movement, ((waiting, movement.amount_minor),), taken_back=taken_back)


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


def _pair(
    movement: Movement, debit: str, credited: Sequence[tuple[str, int]], phase: Phase, sign: int
) -> tuple[Entry, ...]:
    return (
        Entry(debit, movement.currency, sign * movement.amount_minor, phase),
        *(Entry(account, movement.currency, -sign * amount, phase) for account, amount in credited if amount),
    )


def _economic(what: str, movement: Movement) -> str:
    return f"{what}:{movement.subject.text}:{movement.number}"


def _moved(
    payment: PaymentView, movement: Movement, credited: Sequence[tuple[str, int]], *, taken_back: bool
) -> Derived:
    at = movement.reversed_at if taken_back else movement.succeeded_at
    assert at is not None  # noqa: S101 - the caller has looked
    return Derived(
        economic_key=_economic("reversal" if taken_back else "payment", movement),
        subject=movement.subject,
        effective_at=at,
        entries=_pair(movement, clearing(payment.key.provider), credited, "posted", -1 if taken_back else 1),
        words=_words(payment, movement, taken_back=taken_back),
        kind="reversal" if taken_back else "original",
        reverses=_economic("payment", movement) if taken_back else None,
        payment=payment.key,
        invoice=payment.invoice,
        member_id=payment.member.id if payment.member else None,
    )


def _words(payment: PaymentView, movement: Movement, *, taken_back: bool) -> str:
    if payment.key.provider == "gocardless":
        if not taken_back:
            return "Direct debit"
        return "Direct debit charged back" if movement.charged_back else "Direct debit failed late"
    how = _METHODS.get(payment.method or "", "")
    return " ".join(filter(None, ("Payment", how, "taken back" if taken_back else "")))


def _pending(payment: PaymentView, movement: Movement, counter: str) -> Iterator[Derived]:
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
