"""Claiming GST back of a debt that is long overdue: a command of ours, kept, numbered and told like those of staff."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from chassis.transaction import Transaction

from payments.collection import use_cases as collection
from payments.collection.domain import Group, Policy
from payments.collection.use_cases import Command, Rules
from payments.reliefs import domain, store
from payments.staff import domain as staff
from payments.staff import store as invoices
from payments.staff.domain import Asked

AT_ONCE: Final = 100
_A_YEAR: Final = timedelta(days=365)
_REASON: Final = "it is twelve months overdue"


async def candidates(tx: Transaction, policy: Policy, after: str | None) -> Sequence[str]:
    """The next invoices to look at, behind `after`: those that were due a year ago, or a day less."""
    return await store.candidates(
        tx.connection,
        due_before=tx.now.astimezone(policy.zone).date() - _A_YEAR,
        zone=policy.zone.key,
        currency=policy.home_currency,
        after=after,
        limit=AT_ONCE,
    )


async def relieve(tx: Transaction, invoice_id: str, policy: Policy) -> bool:
    """Claim back the GST of what is due of an invoice, once; False where there is nothing to claim."""
    found = await invoices.find_invoice(tx.connection, invoice_id)
    if found is None:
        return False

    def decide(group: Group, command_id: str) -> Command:
        invoice = group.invoice(found.key)
        fact = None if invoice is None else domain.relieve(group, invoice, policy, Asked(command_id, tx.now))
        facts = [] if fact is None else [fact]
        return Command(domain.RELIEVE, staff.words_of(fact) if fact else "", _REASON, facts)

    return await collection.command(tx, Rules(policy), found.about, decide) is not None
