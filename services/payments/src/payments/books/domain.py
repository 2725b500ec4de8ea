"""Periods that are closed, and what a period owes the tax office.

Periods are months. Closing one closes everything up to its end, for good: what is learnt of it later is posted into the
first day that is open and keeps its effective date. So a statement that was lodged is the same for ever.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from payments.ledger.domain import GST_INPUT_CREDITS, GST_PAYABLE

_PERIOD: Final = re.compile(r"(20\d\d|21\d\d)-(0[1-9]|1[0-2])")
_NAMES: Final = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip


class NoPeriodError(ValueError):
    """A text that is no month."""

    def __init__(self, text: str) -> None:
        super().__init__(f"{text} is no period: a period is a month such as 2026-10")
        self.text = text


class PeriodNotOverError(Exception):
    """The month has not ended."""

    def __init__(self, period: Period) -> None:
        super().__init__(f"{period.words} is not over: it can be closed from {period.next_on} on")
        self.period = period


class WorkLeftError(Exception):
    """Deliveries from before the end of the month wait to be applied."""

    def __init__(self, period: Period, waiting: int) -> None:
        super().__init__(
            f"{waiting} deliveries from before the end of {period.words} wait to be applied: close it when they are"
        )
        self.period = period
        self.waiting = waiting


@dataclass(frozen=True, slots=True, order=True)
class Period:
    """One month."""

    year: int
    month: int

    @classmethod
    def parse(cls, text: str) -> Period:
        """Read `2026-10`. Raises NoPeriodError."""
        found = _PERIOD.fullmatch(text)
        if found is None:
            raise NoPeriodError(text)
        return cls(int(found[1]), int(found[2]))

    @property
    def text(self) -> str:
        return f"{self.year}-{self.month:02}"

    @property
    def words(self) -> str:
        """As a person says it: `October 2026`."""
        return f"{_NAMES[self.month - 1]} {self.year}"

    @property
    def begins_on(self) -> date:
        return date(self.year, self.month, 1)

    @property
    def next_on(self) -> date:
        """The first day after it."""
        return date(self.year + self.month // 12, self.month % 12 + 1, 1)

    @property
    def ends_on(self) -> date:
        return self.next_on - timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Closed:
    """The period was closed."""

    period: Period


def close(period: Period, *, closed_through: date | None, waiting: int, today: date) -> Closed | None:
    """Decide whether a period is closed now; None where it is already. `waiting` are deliveries from before its end.

    Raises PeriodNotOverError and WorkLeftError.
    """
    if closed_through is not None and period.ends_on <= closed_through:
        return None
    if today < period.next_on:
        raise PeriodNotOverError(period)
    if waiting:
        raise WorkLeftError(period, waiting)
    return Closed(period)


@dataclass(frozen=True, slots=True)
class Summed:
    """What one account moved under one tax code, debit positive."""

    account: str
    tax_code: str
    amount_minor: int


@dataclass(frozen=True, slots=True)
class Statement:
    """What a span of days owes the tax office, in cents. 1A less 1B is to be paid; below zero it comes back."""

    gst_on_sales_minor: int
    increasing_adjustments_minor: int
    gst_credits_minor: int
    decreasing_adjustments_minor: int

    @property
    def label_1a_minor(self) -> int:
        """GST on sales, with increasing adjustments."""
        return self.gst_on_sales_minor + self.increasing_adjustments_minor

    @property
    def label_1b_minor(self) -> int:
        """GST credits, with decreasing adjustments."""
        return self.gst_credits_minor + self.decreasing_adjustments_minor

    @property
    def payable_minor(self) -> int:
        return self.label_1a_minor - self.label_1b_minor


def statement(sums: Iterable[Summed]) -> Statement:
    """Return the statement of what moved in a span of days, in the home currency and no longer pending.

    On the cash basis 2100 moves with the money, so the same sums answer for both bases.
    """
    moved: dict[tuple[str, str], int] = {}
    for each in sums:
        place = (each.account, each.tax_code)
        moved[place] = moved.get(place, 0) + each.amount_minor
    decreasing = moved.pop((GST_PAYABLE, "GST-DEC"), 0)
    increasing = -moved.pop((GST_PAYABLE, "GST-INC"), 0)
    return Statement(
        gst_on_sales_minor=-sum(amount for (account, _), amount in moved.items() if account == GST_PAYABLE),
        increasing_adjustments_minor=increasing,
        gst_credits_minor=sum(amount for (account, _), amount in moved.items() if account == GST_INPUT_CREDITS),
        decreasing_adjustments_minor=decreasing,
    )
