"""Which invoices may be long overdue: a search by what stands in the ledger, which the fold has the last word on."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from chassis.sql import Statement
from sqlalchemy.ext.asyncio import AsyncConnection

from payments.ledger.domain import GST_DEFERRED

# Few members owe anything; of their old invoices those count of which something is due and no GST was claimed back.
_CANDIDATES = Statement(
    """
    SELECT i.id FROM payments.invoices AS i
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(e.amount_minor) FILTER (WHERE left(e.account, 5) = '1100 '), 0) AS due,
               coalesce(sum(e.amount_minor) FILTER (WHERE e.account = :deferred), 0) AS deferred
        FROM payments.journals AS j JOIN payments.ledger_entries AS e ON e.journal_id = j.id
        WHERE j.invoice_id = i.id AND e.phase = 'posted'
    ) AS stands
    WHERE i.member_id IN (
            SELECT substr(b.account, strpos(b.account, ':') + 1) FROM payments.balances AS b
            WHERE b.account >= '1100 ' AND b.account < '1101' AND b.currency = :currency AND b.phase = 'posted'
              AND b.amount_minor <> 0)
      AND i.currency = :currency AND i.gst_minor > 0 AND i.state <> 'void'
      AND coalesce(i.due_on, CAST(i.issued_at AT TIME ZONE CAST(:zone AS text) AS date)) < :before
      AND (CAST(:after AS uuid) IS NULL OR i.id > :after)
      AND stands.due > 0 AND stands.deferred = 0
    ORDER BY i.id LIMIT :limit
    """
)


async def candidates(
    connection: AsyncConnection, *, due_before: date, zone: str, currency: str, after: str | None, limit: int
) -> Sequence[str]:
    """Our ids of invoices that were due before this day and of which something is due still, in their order."""
    given = {"before": due_before, "zone": zone, "currency": currency, "after": after, "limit": limit}
    return [str(row.id) for row in await _CANDIDATES.all(connection, {**given, "deferred": GST_DEFERRED})]
