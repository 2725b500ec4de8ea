"""What staff may decide about invoices and payouts, and why not.

Each function sees the group as it stands, locked, and answers with the fact that the decision makes, or raises what
refuses it with a sentence that says what to do instead.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from payments.collection.domain import Group, InvoiceView, PayoutView, Policy
from payments.collection.facts import (
    Banked,
    CreditApplied,
    Decision,
    LongOverdue,
    PaidOutside,
    Told,
    Withdrawn,
    WrittenOff,
)
from payments.collection.invoices import implied_key
from payments.collection.objects import INVOICE, Key
from payments.ledger.settling import Left, left

WRITE_OFF: Final = "write_off"
RECORD_PAYMENT: Final = "record_payment"
APPLY_CREDIT: Final = "apply_credit"
WITHDRAW: Final = "withdraw_decision"
BANK_PAYOUT: Final = "bank_payout"
RECORDED_WITHIN: Final = timedelta(days=2 * 366)


class RefusedError(Exception):
    """A decision that cannot be: the sentence says why, and what to do instead."""


class NoSuchInvoiceError(Exception):
    """There is no invoice like that."""


class NoSuchDecisionError(Exception):
    """Nobody has decided that about this invoice, or it was withdrawn."""


def _words(minor: int, currency: str) -> str:
    whole, cents = divmod(minor, 100)
    return f"{currency} {whole}.{cents:02}"


@dataclass(frozen=True, slots=True)
class Asked:
    """A decision that is asked for: the id of its command, and now. It counts `at` a time, else now."""

    command_id: str
    now: datetime
    at: datetime | None = None

    def told(self, name: str) -> Told:
        return Told(self.command_id, name, self.at or self.now)


def invoice_in(group: Group, key: Key) -> InvoiceView:
    """Return the invoice. Raises NoSuchInvoiceError where the facts do not tell of it any more."""
    found = group.invoice(key)
    if found is None:
        raise NoSuchInvoiceError(key.text)
    return found


def left_of(group: Group, invoice: InvoiceView, policy: Policy) -> Left:
    """Return what is due of an invoice, and what of it was given up."""
    paying = [each for each in group.payments if each.invoice == invoice.key and each.currency == invoice.currency]
    return left(invoice, paying, policy)


def about(group: Group, invoice: InvoiceView) -> Key:
    """Return what a fact about the invoice names: itself, or the payment that implies it."""
    if invoice.key.kind == INVOICE:
        return invoice.key
    return next(each.key for each in group.payments if implied_key(each.key) == invoice.key)


def write_off(group: Group, invoice: InvoiceView, amount_minor: int | None, policy: Policy, asked: Asked) -> WrittenOff:
    """Give up what is due of an invoice, or part of it. Raises RefusedError."""
    due = _due(group, invoice, policy)
    _no_more_than(due, amount_minor, invoice, "write off at most that")
    return WrittenOff(asked.told(WRITE_OFF), about(group, invoice), amount_minor)


def record_payment(
    group: Group, invoice: InvoiceView, amount_minor: int, currency: str, how: str, policy: Policy, asked: Asked
) -> PaidOutside:
    """Record money that came beside every provider; what is more than is due becomes credit. Raises RefusedError."""
    if currency != invoice.currency:
        other = f"money in {currency} pays none of it, exchange it first"
        raise RefusedError(f"invoice {invoice.reference} is in {invoice.currency}: {other}")
    at = asked.at or asked.now
    if at > asked.now:
        raise RefusedError("money cannot have been received in the future: record it when it is there")
    if at < asked.now - RECORDED_WITHIN:
        raise RefusedError("money that was received more than two years ago is recorded with an accountant")
    if invoice.state == "void":
        raise RefusedError(f"invoice {invoice.reference} is void: record the payment for the one in its place")
    if left_of(group, invoice, policy) == Left(0, 0):
        raise RefusedError(f"nothing is due of invoice {invoice.reference}: record the payment for one that is open")
    return PaidOutside(asked.told(RECORD_PAYMENT), about(group, invoice), amount_minor, currency, how)


def apply_credit(
    group: Group, invoice: InvoiceView, amount_minor: int | None, credit_minor: int, policy: Policy, asked: Asked
) -> CreditApplied:
    """Use the member's credit, all that is needed where no amount is given. Raises RefusedError."""
    due = _due(group, invoice, policy)
    wanted = min(due, credit_minor) if amount_minor is None else amount_minor
    if credit_minor <= 0 or wanted > credit_minor:
        held = _words(max(credit_minor, 0), invoice.currency)
        raise RefusedError(f"the member has a credit of {held}: use no more than that")
    _no_more_than(due, wanted, invoice, "use no more credit than that")
    return CreditApplied(asked.told(APPLY_CREDIT), about(group, invoice), wanted, invoice.currency)


def withdraw(group: Group, invoice: InvoiceView, decision: str, asked: Asked) -> Withdrawn:
    """Say that a decision about an invoice was a mistake. Raises NoSuchDecisionError."""
    if all(each.told.event_id != decision for each in decisions_of(invoice)):
        raise NoSuchDecisionError(decision)
    return Withdrawn(asked.told(WITHDRAW), about(group, invoice), decision)


def decisions_of(invoice: InvoiceView) -> tuple[WrittenOff | PaidOutside | CreditApplied, ...]:
    """Return what was decided about an invoice and stands, in the order of its effect."""
    found: list[WrittenOff | PaidOutside | CreditApplied] = [*invoice.written_off, *invoice.outside, *invoice.credits]
    return tuple(sorted(found, key=lambda each: (each.told.at, each.told.event_id)))


def bank(payout: PayoutView | None, asked: Asked) -> Banked:
    """Say that a payout stands on the bank's statement. Raises RefusedError."""
    if payout is None or payout.amount_minor is None or payout.created_at is None:
        raise RefusedError("the amount of this payout is not known yet: it is being read from its provider")
    if payout.banked_at is not None:
        raise RefusedError(f"payout {payout.key.id} stands on the statement of {payout.banked_at.date()} already")
    if (asked.at or asked.now) > asked.now:
        raise RefusedError("a statement cannot be of the future: enter the day on which the money arrived")
    if (asked.at or asked.now) < payout.created_at - timedelta(days=1):
        made = payout.created_at.date()
        raise RefusedError(f"payout {payout.key.id} was made on {made}: it cannot have arrived before")
    return Banked(asked.told(BANK_PAYOUT), payout.key)


def _due(group: Group, invoice: InvoiceView, policy: Policy) -> int:
    if invoice.member is None:
        raise RefusedError(f"nobody knows whose invoice {invoice.reference} is: match it to a member first")
    due = left_of(group, invoice, policy).due_minor
    if due == 0:
        raise RefusedError(f"nothing is due of invoice {invoice.reference}: it is {invoice.state}")
    return due


def _no_more_than(due: int, amount_minor: int | None, invoice: InvoiceView, instead: str) -> None:
    if amount_minor is not None and amount_minor > due:
        raise RefusedError(f"{_words(due, invoice.currency)} is due of invoice {invoice.reference}: {instead}")


def words_of(fact: Decision) -> str:
    """Return what a decision did, as a sentence has it."""
    match fact:
        case WrittenOff():
            return "written off"
        case PaidOutside():
            return "paid outside"
        case CreditApplied():
            return "paid from credit"
        case Withdrawn():
            return "reinstated"
        case Banked():
            return "banked"
        case LongOverdue():
            return "relieved of tax"
        case _:
            return "matched"
