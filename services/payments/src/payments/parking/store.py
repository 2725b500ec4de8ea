"""How parked objects are found among what is derived, and how it is kept since when they are.

A payment waits for its customer, its charge, the order of its events or a review; a refund and a dispute for their
payment; a payout for its amount, or for what explains it; and a refund that came back for whoever pays it again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from chassis.ids import new_id
from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

_PARKED: Final = """
    SELECT 'payment' AS kind, id AS entity_id, key, reference, amount_minor, currency,
           array_to_string(awaiting, ', ') AS waits_for, NULL::bigint AS difference_minor
    FROM payments.payments WHERE awaiting <> '{}' AND NOT superseded
    UNION ALL
    SELECT 'refund', id, key, reference, amount_minor, currency,
           CASE WHEN payment_id IS NULL THEN 'awaiting payment' ELSE 'came back' END, NULL
    FROM payments.refunds WHERE payment_id IS NULL OR state = 'failed'
    UNION ALL
    SELECT 'dispute', id, key, reference, amount_minor, currency, 'awaiting payment', NULL
    FROM payments.disputes WHERE payment_id IS NULL
    UNION ALL
    SELECT 'payout', id, key, reference, amount_minor, currency,
           CASE WHEN amount_minor IS NULL THEN 'awaiting payout' ELSE 'awaiting explanation' END, difference_minor
    FROM payments.payouts WHERE amount_minor IS NULL OR difference_minor <> 0
"""
_NEW = text(
    f"""
    SELECT now_parked.key, kind, entity_id, waits_for FROM ({_PARKED}) AS now_parked
    WHERE NOT EXISTS (SELECT FROM payments.parked AS p WHERE p.key = now_parked.key) ORDER BY key LIMIT :limit
    """
)
_NOTE = text(
    """
    INSERT INTO payments.parked (id, key, kind, entity_id, waits_for, since)
    VALUES (:id, :key, :kind, :entity_id, :waits_for, :now) ON CONFLICT (key) DO NOTHING
    """
)
_DUE = text(
    f"""
    SELECT p.id, p.key, p.kind, p.entity_id, p.since, s.waits_for, s.reference, s.amount_minor, s.currency,
           s.difference_minor
    FROM payments.parked AS p JOIN ({_PARKED}) AS s ON s.key = p.key
    WHERE p.asked_at IS NULL AND p.since <= :before ORDER BY p.since, p.key LIMIT :limit FOR UPDATE OF p SKIP LOCKED
    """
)
_ASKED = text("UPDATE payments.parked SET asked_at = :now WHERE id = :id")
_OVER = text(
    f"""
    WITH over AS MATERIALIZED (
        SELECT id FROM payments.parked AS p
        WHERE NOT EXISTS (SELECT FROM ({_PARKED}) AS s WHERE s.key = p.key)
        ORDER BY key LIMIT :limit FOR UPDATE SKIP LOCKED
    )
    DELETE FROM payments.parked AS p USING over WHERE p.id = over.id
    RETURNING p.id, p.key, p.kind, p.entity_id, p.since, p.asked_at
    """
)
_LIST = text(
    """
    SELECT id, key, kind, entity_id, waits_for, since, asked_at FROM payments.parked
    WHERE (CAST(:kind AS text) IS NULL OR kind = :kind) AND (CAST(:before AS uuid) IS NULL OR id < :before)
    ORDER BY id DESC LIMIT :limit
    """
)


@dataclass(frozen=True, slots=True)
class Parked:
    """One object that waits; `entity_id` is our id of it."""

    id: str
    key: str
    kind: str
    entity_id: str
    reference: str
    waits_for: str
    amount_minor: int | None = None
    currency: str | None = None
    difference_minor: int | None = None


async def note_new(connection: AsyncConnection, now: datetime, *, limit: int) -> int:
    """Keep since when things are parked; returns how many are new."""
    found = (await connection.execute(_NEW, {"limit": limit})).all()
    rows = [{**row._mapping, "id": new_id(), "now": now} for row in found]
    if rows:
        await connection.execute(_NOTE, rows)
    return len(rows)


async def due(connection: AsyncConnection, before: datetime, *, limit: int) -> Sequence[Parked]:
    """What is parked since then, and nobody was asked about; locked."""
    rows = await connection.execute(_DUE, {"before": before, "limit": limit})
    return [
        Parked(
            str(row.id), row.key, row.kind, str(row.entity_id), row.reference, row.waits_for, row.amount_minor,
            row.currency, row.difference_minor,
        )
        for row in rows
    ]  # fmt: skip


async def asked(connection: AsyncConnection, parked_id: str, now: datetime) -> None:
    """Somebody was asked about it."""
    await connection.execute(_ASKED, {"id": parked_id, "now": now})


async def take_over(connection: AsyncConnection, *, limit: int) -> Sequence[Row[Any]]:
    """Forget what is parked no more, and return it."""
    return (await connection.execute(_OVER, {"limit": limit})).all()


async def page(connection: AsyncConnection, *, kind: str | None, before: str | None, limit: int) -> Sequence[Row[Any]]:
    """What is parked, newest first."""
    return (await connection.execute(_LIST, {"kind": kind, "before": before, "limit": limit})).all()
