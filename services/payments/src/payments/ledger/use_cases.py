"""Reading the ledger as people do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from chassis.sql import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from payments.ledger import store
from payments.ledger.domain import member_credit, receivable, refunds_payable
from payments.ledger.lines import Line, Posted, member_lines


@dataclass(frozen=True, slots=True)
class LinkedLine:
    """A line of a member's ledger with what it belongs to."""

    line: Line
    payment_id: str | None
    invoice_id: str | None


async def member_ledger(
    connection: AsyncConnection, member_id: str, *, as_of: datetime | None, recorded_as_of: datetime | None
) -> Sequence[LinkedLine]:
    """The member's lines in the order of their effect; both dates are inclusive, None is now."""
    rows = await store.member_entries(
        connection,
        [receivable(member_id), member_credit(member_id), refunds_payable(member_id)],
        effective_until=as_of,
        recorded_until=recorded_as_of,
    )
    links = {str(row.journal_id): row for row in rows}
    posted = [
        Posted(
            journal_id=str(row.journal_id),
            number=row.number,
            economic_key=row.economic_key,
            effective_at=row.effective_at,
            recorded_at=row.recorded_at,
            words=row.words,
            currency=row.currency,
            amount_minor=row.amount_minor,
            caused_by=row.caused_by and str(row.caused_by),
        )
        for row in rows
    ]
    return [_linked(line, links) for line in member_lines(posted)]


def _linked(line: Line, links: Mapping[str, Row]) -> LinkedLine:
    row = links[line.journal_ids[0]]
    return LinkedLine(line, row.payment_id and str(row.payment_id), row.invoice_id and str(row.invoice_id))
