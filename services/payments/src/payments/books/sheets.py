"""Comma-separated values as an accountant opens them: text that a spreadsheet would take for a formula is quoted."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final

from chassis.sql import Row
from contracts.sentences import decimals_of

from payments.books.domain import Statement

COLUMNS: Final = (
    "number", "line", "journal_id", "accounted_on", "effective_on", "effective_at", "recorded_at", "kind", "words",
    "reverses", "account", "currency", "amount", "phase", "tax_code", "member_id", "payment_id", "invoice_id",
    "caused_by",
)  # fmt: skip
_FORMULAS: Final = ("=", "+", "-", "@", "\t", "\r")


def lines(rows: Iterable[Sequence[Any]]) -> str:
    """Rows as lines of comma-separated values."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows([_cell(each) for each in row] for row in rows)
    return text.getvalue()


def entry(row: Row) -> Sequence[Any]:
    """One entry in the order of COLUMNS."""
    return [amount(row.amount_minor, row.currency) if name == "amount" else row[name] for name in COLUMNS]


def amount(minor: int, currency: str) -> Decimal:
    """An amount in whole units of its currency."""
    return Decimal(minor).scaleb(-decimals_of(currency))


def statement(found: Statement, currency: str) -> str:
    """An activity statement as comma-separated values, cents and all."""
    figures = (
        ("1A", "GST on sales", found.gst_on_sales_minor),
        ("1A", "Increasing adjustments", found.increasing_adjustments_minor),
        ("1A", "Total", found.label_1a_minor),
        ("1B", "GST credits", found.gst_credits_minor),
        ("1B", "Decreasing adjustments", found.decreasing_adjustments_minor),
        ("1B", "Total", found.label_1b_minor),
        ("", "Payable", found.payable_minor),
    )
    head = ("label", "what", "amount", "currency")
    return lines([head, *((label, what, amount(minor, currency), currency) for label, what, minor in figures)])


def _cell(value: Any) -> str:
    match value:
        case None:
            return ""
        case datetime() | date():
            return value.isoformat()
        case str() if value.startswith(_FORMULAS):
            return f"'{value}"
        case Decimal():
            return f"{value:f}"
        case _:
            return str(value)
