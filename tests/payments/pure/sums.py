"""A simple model of money: bills, charges and debits with plain sums, and no ledger."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Final

STRIPE, GOCARDLESS = "1200 clearing:stripe", "1200 clearing:gocardless"
# What may happen next to a debit: what is told, where it stands then, and what moves at GoCardless and on the way.
LIFE: Final[dict[str, list[tuple[str, str, int, int]]]] = {
    "created": [("submitted", "submitted", 0, 1), ("cancelled", "over", 0, 0)],
    "submitted": [("confirmed", "confirmed", 1, -1), ("failed", "failed", 0, -1)],
    "confirmed": [("paid_out", "paid_out", 0, 0), ("failed", "failed", -1, 0), ("charged_back", "disputed", -1, 0)],
    "paid_out": [("failed", "late", -1, 0), ("charged_back", "disputed", -1, 0)],
    "late": [("late_failure_settled", "failed", 0, 0)],
    "failed": [("resubmission_requested", "again", 0, 0)],
    "again": [("submitted", "submitted", 0, 1)],
    "disputed": [("chargeback_cancelled", "restored", 1, 0), ("chargeback_settled", "over", 0, 0)],
    "restored": [("charged_back", "over", -1, 0)],
    "over": [],
}
# The accounts of each kind, by how their names begin; and the kinds that do not ask whose the money is.
KINDS: Final[dict[str, tuple[str, ...]]] = {
    "stripe": (STRIPE,),
    "gocardless": (GOCARDLESS,),
    "pending": (GOCARDLESS,),
    "owed": ("1100", "2200", "2400"),
    "payable": ("2300",),
    "outside": ("1290",),
    "transit": ("1250",),
    "bank": ("1300",),
    "claimed": ("1400",),
    "held": ("1500",),
    "gst": ("2100",),
    "revenue": ("4100",),
    "allowances": ("4190",),
    "recovered": ("4300",),
    "fees": ("5100",),
    "dispute_fees": ("5110",),
    "bad_debts": ("5200",),
}
ANYBODYS: Final = ("stripe", "gocardless", "pending", "transit", "bank", "claimed", "held", "fees", "dispute_fees")


def gst_of(inclusive: int) -> int:
    """One eleventh, half a cent up."""
    return (2 * inclusive + 11) // 22


def share(gst: int, part: int, total: int) -> int:
    """What of an invoice's GST is inside a part of it."""
    return (2 * gst * part + total) // (2 * total)


@dataclass
class Bill:
    """An invoice, or what a payment without one is for."""

    customer: str
    total: int
    gst: int
    id: str | None = None
    due: int = field(init=False)
    closed: bool = False
    given_back: int = 0

    def __post_init__(self) -> None:
        self.due = self.total

    @property
    def untouched(self) -> bool:
        """Whether nothing was paid for it, or decided about it."""
        return self.id is not None and self.due == self.total and not self.closed

    def pays(self, amount: int) -> int:
        """Let money come in for it; returns what is beyond what is due."""
        beyond = max(0, amount - max(0, self.due))
        self.due -= amount - beyond
        return beyond


@dataclass
class Charge:
    """A card payment that succeeded: what of it paid its bill, what is the member's credit, what went back."""

    id: str
    bill: Bill
    amount: int
    credit: int
    at: int
    back: int = 0
    disputed: str | None = None
    fee_known: bool = False


@dataclass
class Debit:
    """A direct debit, by where it stands."""

    id: str
    amount: int
    state: str = "created"


@dataclass
class Sums:
    """The simple model: what each kind of account must come to once everything has arrived."""

    of: Counter[str] = field(default_factory=Counter)

    def add(self, **amounts: int) -> None:
        self.of.update(amounts)

    def bill(self, bill: Bill) -> None:
        self.add(owed=bill.total, revenue=bill.gst - bill.total, gst=-bill.gst)
