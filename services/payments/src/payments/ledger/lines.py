"""A member's ledger as a person reads it: one line for what stands, with a running balance.

Corrections are part of the ledger and stay in it, but what a reader wants to see is what stands: entries net per
economic key and effective time, and what nets to nothing is no line. So the same facts show the same lines, whatever
order they arrived in.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Posted:
    """One entry of a member's accounts with what its journal says. `number` orders journals as they were posted."""

    journal_id: str
    number: int
    economic_key: str
    effective_at: datetime
    recorded_at: datetime
    words: str
    currency: str
    amount_minor: int
    caused_by: str | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """One line: positive is owed, negative paid. `balance_minor` is what is owed after it, in its own currency.

    `journal_ids` are all journals behind it, the first of which gave the words; `caused_by` is that one's event.
    """

    economic_key: str
    effective_at: datetime
    recorded_at: datetime
    words: str
    currency: str
    amount_minor: int
    balance_minor: int
    journal_ids: tuple[str, ...]
    caused_by: str | None


def member_lines(entries: Iterable[Posted]) -> tuple[Line, ...]:
    """Return the lines of a member's posted entries, in effective order; currencies run apart and never net."""
    together: dict[tuple[datetime, str, str], list[Posted]] = defaultdict(list)
    for entry in sorted(entries, key=lambda each: each.number):
        together[entry.effective_at, entry.economic_key, entry.currency].append(entry)
    balances: dict[str, int] = defaultdict(int)
    lines: list[Line] = []
    for (at, economic_key, currency), posted in sorted(together.items(), key=_in_time):
        amount = sum(each.amount_minor for each in posted)
        if amount == 0:
            continue
        balances[currency] += amount
        first = posted[0]
        lines.append(
            Line(
                economic_key=economic_key,
                effective_at=at,
                recorded_at=max(each.recorded_at for each in posted),
                words=first.words,
                currency=currency,
                amount_minor=amount,
                balance_minor=balances[currency],
                journal_ids=tuple(dict.fromkeys(each.journal_id for each in posted)),
                caused_by=first.caused_by,
            )
        )
    return tuple(lines)


def _in_time(item: tuple[tuple[datetime, str, str], list[Posted]]) -> tuple[datetime, int, str, str]:
    """Order by effective time; in one instant what is owed comes before what pays it, a refund before its payment."""
    (at, economic_key, currency), posted = item
    place = 2 if economic_key.startswith("refund_paid:") else int(sum(each.amount_minor for each in posted) < 0)
    return (at, place, economic_key, currency)
