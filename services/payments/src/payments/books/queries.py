"""What moved in a span of days, by the day that it is accounted on, which is its own unless that was closed before."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

from chassis.sql import Row, Statement
from sqlalchemy.ext.asyncio import AsyncConnection

from payments.books.domain import Summed
from payments.ledger.domain import GST_INPUT_CREDITS, GST_PAYABLE

LINES_MAX: Final = 32_768
"""A place in the export is a journal's number times this, and the line."""
_PAGE_ENTRIES: Final = 1_000
_SUMS = Statement(
    """
    SELECT e.account, e.tax_code, sum(e.amount_minor)::bigint AS amount_minor
    FROM payments.journals AS j JOIN payments.ledger_entries AS e ON e.journal_id = j.id
    WHERE coalesce(j.accounted_on, j.effective_on) BETWEEN :first AND :last
      AND e.phase = 'posted' AND e.currency = :currency AND e.account = ANY(:accounts)
    GROUP BY e.account, e.tax_code
    """
)
# By the number of the journal: whatever is posted meanwhile comes at the end.
_ENTRIES = Statement(
    """
    SELECT j.number, e.line, j.id AS journal_id, coalesce(j.accounted_on, j.effective_on) AS accounted_on,
           j.effective_on, j.effective_at, j.recorded_at, j.kind, j.words, j.economic_key, j.reverses, j.member_id,
           j.payment_id, j.invoice_id, j.caused_by, e.account, e.currency, e.amount_minor, e.phase, e.tax_code
    FROM payments.journals AS j JOIN payments.ledger_entries AS e ON e.journal_id = j.id
    WHERE coalesce(j.accounted_on, j.effective_on) BETWEEN :first AND :last
      AND j.number >= :number AND (j.number > :number OR e.line > :line)
    ORDER BY j.number, e.line LIMIT :limit
    """
)


@dataclass(frozen=True, slots=True)
class Span:
    """Days, both included."""

    first: date
    last: date


async def gst_sums(connection: AsyncConnection, span: Span, currency: str) -> Sequence[Summed]:
    """What the accounts of GST moved, by tax code."""
    given = {"first": span.first, "last": span.last, "currency": currency}
    rows = await _SUMS.all(connection, {**given, "accounts": [GST_PAYABLE, GST_INPUT_CREDITS]})
    return [Summed(row.account, row.tax_code, row.amount_minor) for row in rows]


async def entries(connection: AsyncConnection, span: Span, *, after: int | None, limit: int) -> Sequence[Row]:
    """Entries in the order in which they were posted, after a place in it."""
    number, line = divmod(after or 0, LINES_MAX)
    given = {"first": span.first, "last": span.last, "number": number, "line": line}
    return await _ENTRIES.all(connection, {**given, "limit": limit})


def place_of(row: Row) -> int:
    """Where an entry stands in the export."""
    return int(row.number) * LINES_MAX + int(row.line)


async def all_entries(connection: AsyncConnection, span: Span, *, after: int | None = None) -> AsyncIterator[Row]:
    """Every entry, a page in memory at a time."""
    while True:
        rows = await entries(connection, span, after=after, limit=_PAGE_ENTRIES)
        for row in rows:
            yield row
        if len(rows) < _PAGE_ENTRIES:
            return
        after = place_of(rows[-1])
