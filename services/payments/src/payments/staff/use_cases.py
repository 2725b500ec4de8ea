"""Decisions of staff about invoices and payouts: looked at, kept, applied and told in one transaction."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from datetime import datetime

from chassis import versions
from chassis.transaction import Transaction

from payments.collection import use_cases as collection
from payments.collection.domain import Group, InvoiceView, Policy
from payments.collection.facts import Decision
from payments.collection.use_cases import Command, Rules
from payments.ledger.settling import Left
from payments.members import store as members
from payments.staff import domain, store
from payments.staff.domain import Asked, NoSuchInvoiceError
from payments.staff.store import Found

Decide = Callable[[Group, InvoiceView, Asked], Decision]


class NoSuchPayoutError(Exception):
    """There is no payout with this id."""


async def look(tx: Transaction, invoice_id: str, policy: Policy) -> tuple[InvoiceView, Left, int]:
    """The invoice as it stands, what is left of it, and its version. Raises NoSuchInvoiceError."""
    found = await _found(tx, invoice_id)
    group = await collection.look(tx, Rules(policy), found.about)
    invoice = domain.invoice_in(group, found.key)
    return invoice, domain.left_of(group, invoice, policy), found.version


async def write_off(
    tx: Transaction, invoice_id: str, policy: Policy, *, amount_minor: int | None, reason: str, expected: int | None
) -> None:
    """Give up what is due of an invoice, or part of it.

    Raises NoSuchInvoiceError, RefusedError, and StaleVersionError for another version than `expected`.
    """
    found = await _found(tx, invoice_id)

    def decide(group: Group, invoice: InvoiceView, asked: Asked) -> Decision:
        return domain.write_off(group, invoice, amount_minor, policy, asked)

    await _decide(tx, found, policy, decide, reason=reason, expected=expected)


async def record_payment(
    tx: Transaction,
    invoice_id: str,
    policy: Policy,
    *,
    amount_minor: int,
    currency: str,
    how: str,
    received_at: datetime | None,
    reason: str | None,
    expected: int | None,
) -> None:
    """Record money that came beside every provider. Raises as `write_off` does."""
    found = await _found(tx, invoice_id)

    def decide(group: Group, invoice: InvoiceView, asked: Asked) -> Decision:
        return domain.record_payment(group, invoice, amount_minor, currency, how, policy, asked)

    await _decide(tx, found, policy, decide, reason=reason, expected=expected, at=received_at)


async def apply_credit(
    tx: Transaction, invoice_id: str, policy: Policy, *, amount_minor: int | None, reason: str | None, expected: int
) -> None:
    """Pay an invoice from its member's credit. Raises as `write_off` does."""
    found = await _found(tx, invoice_id)
    if found.member_id is not None:
        # Of two people who spend one credit at once, the second sees what the first has left.
        await members.load(tx.connection, found.member_id, lock=True)
    held = await store.credit(tx.connection, found.member_id or "", policy.home_currency)

    def decide(group: Group, invoice: InvoiceView, asked: Asked) -> Decision:
        credit = held if invoice.currency == policy.home_currency else 0
        return domain.apply_credit(group, invoice, amount_minor, credit, policy, asked)

    await _decide(tx, found, policy, decide, reason=reason, expected=expected)


async def withdraw(
    tx: Transaction, invoice_id: str, policy: Policy, *, decision: str, reason: str, expected: int
) -> None:
    """Say that a decision was a mistake. Raises NoSuchDecisionError, and as `write_off` does."""
    found = await _found(tx, invoice_id)

    def decide(group: Group, invoice: InvoiceView, asked: Asked) -> Decision:
        return domain.withdraw(group, invoice, decision, asked)

    await _decide(tx, found, policy, decide, reason=reason, expected=expected)


async def bank(tx: Transaction, payout_id: str, policy: Policy, *, at: datetime, expected: int) -> None:
    """Say that a payout stands on the bank's statement. Raises NoSuchPayoutError, and as `write_off` does."""
    found = await store.find_payout(tx.connection, payout_id)
    if found is None:
        raise NoSuchPayoutError(payout_id)

    def decide(group: Group, command_id: str) -> Command:
        fact = domain.bank(group.payout(found.key), Asked(command_id, tx.now, at))
        return Command(domain.BANK_PAYOUT, domain.words_of(fact), None, [fact])

    await collection.command(tx, Rules(policy), found.about, decide)
    after = await store.find_payout(tx.connection, payout_id)
    versions.require("payout", payout_id, expected=expected, version=after.version - 1 if after else 0)


async def write_off_payment(tx: Transaction, payment_id: str, policy: Policy, *, reason: str) -> bool:
    """Give up what is due of the invoice that a payment is for, if anything is.

    False where it is not known which invoice that is: a card that was refused proves no debt, but the member has an
    invoice that it may have been meant for, and which one to give up is a person's decision.
    """
    invoice_id = await store.invoice_of_payment(tx.connection, payment_id)
    if invoice_id is None:
        return not await store.may_be_for_an_open_invoice(tx.connection, payment_id)
    with contextlib.suppress(domain.RefusedError, NoSuchInvoiceError):
        await write_off(tx, invoice_id, policy, amount_minor=None, reason=reason, expected=None)
    return True


async def _found(tx: Transaction, invoice_id: str) -> Found:
    found = await store.find_invoice(tx.connection, invoice_id)
    if found is None:
        raise NoSuchInvoiceError(invoice_id)
    return found


async def _decide(
    tx: Transaction,
    found: Found,
    policy: Policy,
    make: Decide,
    *,
    reason: str | None,
    expected: int | None,
    at: datetime | None = None,
) -> None:
    """Apply the decision. What it saw is known once the invoice is locked: the version that it left says it."""

    def decide(group: Group, command_id: str) -> Command:
        fact = make(group, domain.invoice_in(group, found.key), Asked(command_id, tx.now, at))
        return Command(fact.told.type, domain.words_of(fact), reason, [fact])

    await collection.command(tx, Rules(policy), found.about, decide)
    after = await store.find_invoice(tx.connection, found.id)
    versions.require("invoice", found.id, expected=expected, version=after.version - 1 if after else 0)
