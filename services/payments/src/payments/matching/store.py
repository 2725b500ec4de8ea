"""How proposals of whose a payment is are kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from payments.collection.domain import Member
from payments.collection.objects import Key
from payments.matching.domain import Match

_SELECT = """
    SELECT m.id, m.payment_id, p.key, m.member_id, b.name AS member_name, m.invoice_id, m.state, m.reason,
           m.proposed_by, m.proposed_by_name, m.proposed_at, m.decided_by, m.decided_by_name, m.decided_at, m.version
    FROM payments.payment_matches AS m
    JOIN payments.payments AS p ON p.id = m.payment_id
    JOIN payments.members AS b ON b.id = m.member_id
"""
_FIND = text(f"{_SELECT} WHERE m.id = :id")
_LOCK = text("SELECT FROM payments.payment_matches WHERE id = :id FOR UPDATE")
_WAITING = text(f"{_SELECT} WHERE m.payment_id = :payment AND m.state = 'proposed'")
_LIST = text(
    f"""
    {_SELECT}
    WHERE (CAST(:state AS text) IS NULL OR m.state = :state) AND (CAST(:before AS uuid) IS NULL OR m.id < :before)
    ORDER BY m.id DESC LIMIT :limit
    """
)
_SAVE = text(
    """
    INSERT INTO payments.payment_matches AS held
        (id, payment_id, member_id, invoice_id, state, reason, proposed_by, proposed_by_name, proposed_at, version)
    VALUES (:id, :payment, :member, :invoice, :state, :reason, :by, :by_name, :at, 1)
    ON CONFLICT (id) DO UPDATE SET
        state = excluded.state, decided_by = :decided_by, decided_by_name = :decided_by_name, decided_at = :decided_at,
        version = held.version + 1
    """
)
_PAYMENT = text("SELECT id, key, reference FROM payments.payments WHERE id = :id AND NOT superseded")


async def find(connection: AsyncConnection, match_id: str, *, lock: bool = False) -> Match | None:
    """The proposal; with `lock` nobody else decides about it until the transaction ends."""
    if lock:
        await connection.execute(_LOCK, {"id": match_id})
    row = (await connection.execute(_FIND, {"id": match_id})).one_or_none()
    return None if row is None else _match(row)


async def waiting(connection: AsyncConnection, payment_id: str) -> Match | None:
    """The proposal about a payment that waits for an answer."""
    row = (await connection.execute(_WAITING, {"payment": payment_id})).one_or_none()
    return None if row is None else _match(row)


async def page(connection: AsyncConnection, *, state: str | None, before: str | None, limit: int) -> Sequence[Match]:
    """Proposals, newest first."""
    given = {"state": state, "before": before, "limit": limit}
    return [_match(row) for row in await connection.execute(_LIST, given)]


async def save(connection: AsyncConnection, match: Match) -> None:
    """Write a proposal, or what was decided about it."""
    await connection.execute(
        _SAVE,
        {
            "id": match.id,
            "payment": match.payment_id,
            "member": match.member.id,
            "invoice": match.invoice_id,
            "state": match.state,
            "reason": match.reason,
            "by": match.proposed_by,
            "by_name": match.proposed_by_name,
            "at": match.proposed_at,
            "decided_by": match.decided_by,
            "decided_by_name": match.decided_by_name,
            "decided_at": match.decided_at,
        },
    )


async def payment_key(connection: AsyncConnection, payment_id: str) -> Key | None:
    """The key of a payment by our id."""
    row = (await connection.execute(_PAYMENT, {"id": payment_id})).one_or_none()
    return None if row is None else Key.parse(row.key)


def _match(row: Row[Any]) -> Match:
    return Match(
        id=str(row.id),
        payment_id=str(row.payment_id),
        payment=Key.parse(row.key),
        member=Member(row.member_id, row.member_name),
        proposed_by=row.proposed_by,
        proposed_by_name=row.proposed_by_name,
        proposed_at=row.proposed_at,
        reason=row.reason,
        state=row.state,
        invoice_id=row.invoice_id and str(row.invoice_id),
        decided_by=row.decided_by,
        decided_by_name=row.decided_by_name,
        decided_at=row.decided_at,
        version=row.version,
    )
