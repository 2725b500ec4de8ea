"""A member's ledger as a person reads it: one line for what stands, with a running balance.

Corrections are part of the ledger and stay in it, but what a reader wants to see is what stands: entries net per
economic key and effective time, and what nets to nothing is no line. So the same facts show the same lines, whatever
order they arrived in.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

_OWED: Final = frozenset({"invoice", "reversal", "dispute_lost", "refund_canceled", "credit_note_voided"})


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where a line stands: by its time; in one instant by `rank`, so that what is owed comes before what pays it."""

    effective_at: datetime
    rank: int
    economic_key: str
    currency: str


@dataclass(frozen=True, slots=True)
class Posted:
    """What one journal moved for a member, with what it says. `number` orders journals as they were posted."""

    journal_id: str
    number: int
    economic_key: str
    effective_at: datetime
    recorded_at: datetime
    words: str
    currency: str
    amount_minor: int
    caused_by: str | None = None
    payment_id: str | None = None
    invoice_id: str | None = None

    @property
    def place(self) -> Place:
        return Place(self.effective_at, rank_of(self.economic_key), self.economic_key, self.currency)


@dataclass(frozen=True, slots=True)
class Line:
    """One line: positive is owed, negative paid. `balance_minor` is what is owed after it, in its own currency.

    `journal_ids` are all journals behind it, the first of which, with this `number`, gave the words; `caused_by` is
    that one's event.
    """

    economic_key: str
    effective_at: datetime
    recorded_at: datetime
    words: str
    currency: str
    amount_minor: int
    balance_minor: int
    journal_ids: tuple[str, ...]
    number: int
    caused_by: str | None
    payment_id: str | None
    invoice_id: str | None


def rank_of(economic_key: str) -> int:
    """Return what comes first in one instant: what is owed, then what pays it, then a refund (as `place_of` in SQL)."""
    kind = economic_key.partition(":")[0]
    return 2 if kind == "refund_paid" else 0 if kind in _OWED else 1


def member_lines(entries: Iterable[Posted], opening: Mapping[str, int] | None = None) -> tuple[Line, ...]:
    """Return the lines of a member's posted entries, in effective order; currencies run apart and never net.

    `opening` is what was owed before them, by currency.
    """
    together: dict[Place, list[Posted]] = defaultdict(list)
    for entry in sorted(entries, key=lambda each: each.number):
        together[entry.place].append(entry)
    balances: dict[str, int] = defaultdict(int, opening or {})
    lines: list[Line] = []
    for place, posted in sorted(together.items()):
        amount = sum(each.amount_minor for each in posted)
        if amount == 0:
            continue
        balances[place.currency] += amount
        first = posted[0]
        lines.append(
            Line(
                economic_key=place.economic_key,
                effective_at=place.effective_at,
                recorded_at=max(each.recorded_at for each in posted),
                words=first.words,
                currency=place.currency,
                amount_minor=amount,
                balance_minor=balances[place.currency],
                journal_ids=tuple(dict.fromkeys(each.journal_id for each in posted)),
                number=first.number,
                caused_by=first.caused_by,
                payment_id=first.payment_id,
                invoice_id=first.invoice_id,
            )
        )
    return tuple(lines)
