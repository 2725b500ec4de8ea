"""How the lines of payouts are looked for among the journals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from payments.collection.objects import Key

_NOTE = text(
    """
    INSERT INTO payments.payout_checks (payout_id, since)
    SELECT o.id, :now FROM payments.payouts AS o
    WHERE o.difference_minor = 0 AND NOT EXISTS (SELECT FROM payments.payout_checks AS c WHERE c.payout_id = o.id)
    ORDER BY o.id LIMIT :limit ON CONFLICT DO NOTHING
    """
)
_DUE = text(
    """
    SELECT o.id, o.key, o.state, o.amount_minor, o.currency, o.arrives_on, c.missing_minor
    FROM payments.payout_checks AS c JOIN payments.payouts AS o ON o.id = c.payout_id
    WHERE c.missing_minor IS DISTINCT FROM 0 AND c.since <= :before AND (CAST(:after AS uuid) IS NULL OR o.id > :after)
      AND o.difference_minor = 0
    ORDER BY o.id LIMIT :limit FOR UPDATE OF c SKIP LOCKED
    """
)
# What a line says has moved, and the journal that moves it; of other lines their balance transactions are posted.
_MISSING = text(
    """
    SELECT coalesce(sum(t.amount_minor), 0) FROM payments.payout_items AS t
    JOIN payments.payouts AS o ON o.id = t.payout_id
    JOIN (VALUES ('stripe', 'charge', 'charge', 'payment'), ('stripe', 'payment', 'charge', 'payment'),
                 ('stripe', 'refund', 'refund', 'refund_paid'), ('stripe', 'payment_refund', 'refund', 'refund_paid'),
                 ('gocardless', 'payment_paid_out', 'payment', 'payment'),
                 ('gocardless', 'payment_failed', 'payment', 'reversal'),
                 ('gocardless', 'payment_charged_back', 'payment', 'reversal'))
        AS means (provider, type, kind, journal) ON means.provider = o.provider AND means.type = t.type
    WHERE o.id = :payout AND t.source IS NOT NULL AND NOT EXISTS (
        SELECT FROM payments.journals AS j
        WHERE j.subject = o.provider || '/' || split_part(o.key, '/', 2) || '/' || means.kind || '/' || t.source
          AND split_part(j.economic_key, ':', 1) = means.journal)
    """
)
_LOOKED = text("UPDATE payments.payout_checks SET missing_minor = :missing WHERE payout_id = :payout")


@dataclass(frozen=True, slots=True)
class Checked:
    """A payout whose lines add up to it; `missing_minor` is what the last look has missed, None before the first."""

    id: str
    key: Key
    state: Any
    amount_minor: int
    currency: str
    arrives_on: date | None
    missing_minor: Decimal | None


async def note_new(connection: AsyncConnection, now: datetime, *, limit: int) -> None:
    """Keep since when payouts are known with lines that add up."""
    await connection.execute(_NOTE, {"now": now, "limit": limit})


async def due(connection: AsyncConnection, before: datetime, *, after: str | None, limit: int) -> Sequence[Checked]:
    """Payouts that are known since then and were not found whole yet, in the order of their ids; locked."""
    rows = await connection.execute(_DUE, {"before": before, "after": after, "limit": limit})
    return [
        Checked(
            str(row.id), Key.parse(row.key), row.state, row.amount_minor, row.currency, row.arrives_on,
            row.missing_minor,
        )
        for row in rows
    ]  # fmt: skip


async def missing(connection: AsyncConnection, payout_id: str) -> Decimal:
    """What the lines come to that do not stand in the ledger, to a tenth of a cent."""
    return Decimal((await connection.execute(_MISSING, {"payout": payout_id})).scalar_one())


async def looked(connection: AsyncConnection, payout_id: str, missing_minor: Decimal) -> None:
    """Keep what a look has missed."""
    await connection.execute(_LOOKED, {"payout": payout_id, "missing": missing_minor})
