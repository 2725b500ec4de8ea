"""The standing assertions of the money lane, looked at in the tables themselves."""

from __future__ import annotations

from collections import Counter
from typing import Any

from contracts.events import PaymentProviderEventIngested
from contracts.topics import PAYMENTS_EVENTS

from tests.payments.providers import Payments

Net = dict[tuple[str, str, str, str], int]
_BALANCES = """
SELECT coalesce(b.account, e.account), coalesce(b.amount_minor, 0), coalesce(e.amount_minor, 0)
FROM payments.balances AS b
FULL JOIN (SELECT account, currency, phase, sum(amount_minor) AS amount_minor FROM payments.ledger_entries
           GROUP BY account, currency, phase) AS e USING (account, currency, phase)
WHERE coalesce(b.amount_minor, 0) <> coalesce(e.amount_minor, 0)
"""
_NET = """
SELECT j.economic_key, e.account, j.effective_at::text, e.phase, sum(e.amount_minor)::bigint
FROM payments.ledger_entries AS e JOIN payments.journals AS j ON j.id = e.journal_id
GROUP BY 1, 2, 3, 4 HAVING sum(e.amount_minor) <> 0
"""
_DEADLOCKS = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"


async def check(payments: Payments) -> None:
    """Entries sum to zero per currency, balances are the fold of entries, each new event was told exactly once."""
    await check_ledger(payments)
    stored = await payments.rows("SELECT event_id FROM payments.provider_events")
    told = await payments.emitted(PAYMENTS_EVENTS, PaymentProviderEventIngested)
    assert Counter(event.data.body["provider_event"]["id"] for event in told) == Counter(row[0] for row in stored)


async def check_ledger(payments: Payments) -> None:
    """Entries sum to zero per currency and phase, and balances are the fold of entries."""
    sums = await payments.rows("SELECT currency, phase, sum(amount_minor) FROM payments.ledger_entries GROUP BY 1, 2")
    assert [(currency, phase) for currency, phase, total in sums if total != 0] == []
    assert await payments.rows(_BALANCES) == []


async def net(payments: Payments) -> Net:
    """What stands per economic key, account, effective time and phase: the same in every order of arrival."""
    return {(row[0], row[1], row[2], row[3]): row[4] for row in await payments.rows(_NET)}


async def view(payments: Payments) -> tuple[list[Any], list[Any]]:
    """Payments and invoices as they are shown, without what differs from run to run: ids and versions."""
    found = await payments.rows(
        "SELECT key, state, amount_minor, currency, member_id, awaiting, created_at::text, snapshot,"
        " (SELECT jsonb_agg(to_jsonb(a) - 'payment_id' ORDER BY a.number) FROM payments.payment_attempts AS a"
        "  WHERE a.payment_id = p.id) AS attempts"
        " FROM payments.payments AS p WHERE NOT superseded ORDER BY key"
    )
    invoices = await payments.rows(
        "SELECT key, reference, state, total_minor, gst_minor, issued_at::text, paid_at::text, member_id"
        " FROM payments.invoices WHERE state <> 'void' ORDER BY key"
    )
    return [list(row) for row in found], [list(row) for row in invoices]


async def deadlocks(payments: Payments) -> int:
    """How many transactions PostgreSQL has ended as deadlocked in this database."""
    ((count,),) = await payments.rows(_DEADLOCKS)
    return int(count)
