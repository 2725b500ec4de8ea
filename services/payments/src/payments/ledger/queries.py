"""A member's entries, newest first, and what they sum to: by index, however many there are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from chassis.sql import Row, Statement
from sqlalchemy.ext.asyncio import AsyncConnection

from payments.ledger.domain import member_credit, receivable, refunds_payable
from payments.ledger.lines import Place, Posted

_EVER: Final = datetime(9999, 12, 31, tzinfo=UTC)
_FIRST, _BEHIND_ALL = -(2**63), 2**15 - 1
_BEFORE: Final = """
    member_id = :member AND recorded_at <= :recorded_until
    AND (effective_at, place, economic_key, currency, number) < (:at, :place, :key, :currency, :number)
"""
# Whatever the tables hold by then, a page is found by index: its rows first, and then the journal of each.
_ENTRIES: Final = Statement(
    f"""
    SELECT m.*, j.id AS journal_id, j.words, j.caused_by, j.payment_id, j.invoice_id
    FROM (
        SELECT effective_at, place, economic_key, currency, number, recorded_at, amount_minor
        FROM payments.member_entries WHERE {_BEFORE}
        ORDER BY member_id DESC, effective_at DESC, place DESC, economic_key DESC, currency DESC, number DESC
        LIMIT :limit
    ) AS m CROSS JOIN LATERAL (
        SELECT id, words, caused_by, payment_id, invoice_id FROM payments.journals WHERE number = m.number LIMIT 1
    ) AS j
    """
)
_SUMS: Final = Statement(
    f"SELECT currency, sum(amount_minor)::bigint AS amount_minor FROM payments.member_entries WHERE {_BEFORE}"
    " GROUP BY currency"
)
_TOTALS: Final = Statement(
    """
    SELECT currency, sum(amount_minor)::bigint AS amount_minor FROM payments.balances
    WHERE account = ANY(:accounts) AND phase = 'posted' GROUP BY currency
    """
)
_PLACE: Final = Statement(
    """
    SELECT m.effective_at, m.place, m.economic_key, m.currency
    FROM payments.journals AS j JOIN payments.member_entries AS m
      ON m.member_id = :member AND m.effective_at = j.effective_at AND m.place = payments.place_of(j.economic_key)
         AND m.economic_key = j.economic_key AND m.number = j.number
    WHERE j.number = :number LIMIT 1
    """
)


@dataclass(frozen=True, slots=True, order=True)
class Bound:
    """Entries before this one are looked at. `number` is the journal's."""

    place: Place
    number: int

    @classmethod
    def before(cls, place: Place) -> Bound:
        """Before every entry of the line that stands there."""
        return cls(place, _FIRST)

    @classmethod
    def until(cls, at: datetime | None) -> Bound:
        """All that had taken effect by then, or ever will."""
        return cls(Place(at or _EVER, _BEHIND_ALL, "", ""), _FIRST)


def _given(member_id: str, before: Bound, recorded_until: datetime | None) -> Mapping[str, Any]:
    place = before.place
    return {
        "member": member_id,
        "recorded_until": recorded_until or _EVER,
        "at": place.effective_at,
        "place": place.rank,
        "key": place.economic_key,
        "currency": place.currency,
        "number": before.number,
    }


async def entries(
    connection: AsyncConnection, member_id: str, *, before: Bound, recorded_until: datetime | None, limit: int
) -> Sequence[Posted]:
    """What journals moved for a member, newest effect first."""
    given = {**_given(member_id, before, recorded_until), "limit": limit}
    found = [_posted(row) for row in await _ENTRIES.all(connection, given)]
    return sorted(found, key=lambda each: (each.place, each.number), reverse=True)


async def sums(
    connection: AsyncConnection, member_id: str, *, before: Bound, recorded_until: datetime | None
) -> Mapping[str, int]:
    """What a member owes by all that comes before, by currency."""
    rows = await _SUMS.all(connection, _given(member_id, before, recorded_until))
    return {row.currency: row.amount_minor for row in rows}


async def totals(connection: AsyncConnection, member_id: str) -> Mapping[str, int]:
    """What a member owes by all that stands, by currency."""
    accounts = [receivable(member_id), member_credit(member_id), refunds_payable(member_id)]
    return {row.currency: row.amount_minor for row in await _TOTALS.all(connection, {"accounts": accounts})}


async def place_of(connection: AsyncConnection, member_id: str, number: int) -> Place | None:
    """Where the line stands to which the journal with this number belongs; None where it is none of the member's."""
    rows = await _PLACE.all(connection, {"member": member_id, "number": number})
    return Place(rows[0].effective_at, rows[0].place, rows[0].economic_key, rows[0].currency) if rows else None


def _posted(row: Row) -> Posted:
    return Posted(
        journal_id=str(row.journal_id),
        number=row.number,
        economic_key=row.economic_key,
        effective_at=row.effective_at,
        recorded_at=row.recorded_at,
        words=row.words,
        currency=row.currency,
        amount_minor=row.amount_minor,
        caused_by=row.caused_by and str(row.caused_by),
        payment_id=row.payment_id and str(row.payment_id),
        invoice_id=row.invoice_id and str(row.invoice_id),
    )
