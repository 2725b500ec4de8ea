"""How the story looks on the terminal: lines as things happen, tables at the end, commands that can be copied whole."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final
from zoneinfo import ZoneInfo

import httpx
from rich.console import Console
from rich.table import Table
from rich.text import Text

from backbone.story.shown import Line, Record, Sent

SYDNEY: Final = ZoneInfo("Australia/Sydney")
_NOT_A_TERMINAL_COLUMNS: Final = 150
_WHO_COLUMNS: Final = 17
_PROVIDERS: Final = {"stripe": "Stripe", "gocardless": "GoCardless"}
_STATE_STYLES: Final = {"ready": "green", "watch": "yellow", "blocked": "red"}
Shown = Mapping[str, Any]


def new_console() -> Console:
    """Standard output; wide enough where no terminal says how wide it is."""
    width = None if sys.stdout.isatty() or "COLUMNS" in os.environ else _NOT_A_TERMINAL_COLUMNS
    return Console(highlight=False, width=width)


@dataclass(slots=True)
class Page:
    """The terminal; `today` says what day it is in business."""

    console: Console
    today: Callable[[], datetime]

    def title(self, words: str) -> None:
        """Head a chapter."""
        self.console.print(f"\n{words}", style="bold", soft_wrap=True, markup=False)

    def tell(self, who: str, what: str, style: str = "") -> None:
        """One line under the business day: who did or shows what."""
        self._line(who, Text(what, style=style))

    def delivery(self, sent: Sent) -> None:
        """One line for one delivery and its answer."""
        good = sent.status is not None and httpx.codes.is_success(sent.status)
        remark = "forged" if sent.forged else "the same again" if sent.is_copy else ""
        if sent.attempts > 1 and not sent.forged:
            remark = f"{remark}, " * bool(remark) + f"attempt {sent.attempts}"
        line = Text.assemble(
            f"{', '.join(sent.event_types):<44}  ",
            (f"{sent.status or 'no answer'}", "green" if good else "red"),
            f"  {sent.milliseconds:6.1f} ms  ",
            (remark, "yellow"),
        )
        self._line(_PROVIDERS[sent.provider], line)

    def board(self, board: Shown) -> None:
        """The readiness board: each item's state and the reason that decides it."""
        counts = ", ".join(f"{number} {state}" for state, number in board["counts"].items())
        table = self._table(f"The readiness board: {counts}", "lane", "item", "owner or queue", "state", "because")
        for lane in board["lanes"]:
            for item in lane["items"]:
                because = _because(item)
                state = Text(item["state"].capitalize(), style=_STATE_STYLES[item["state"]])
                table.add_row(lane["lane"], item["title"], item["owner"], state, because)
        self._show(table)

    def ledger(self, name: str, before: int, lines: Sequence[Line], gst: Mapping[str, int]) -> None:
        """A member's ledger with running balance; what stood before is brought forward. `gst` is that of invoices."""
        table = self._table(f"The ledger of {name}", "effective in Sydney", "what")
        for column in ("GST inside", "amount", "balance owed"):
            table.add_column(column, justify="right")
        if before:
            table.add_row("", "brought forward", "", "", money(before), style="dim")
        for line in lines:
            tax = None if line.payment_id else gst.get(line.invoice_id or "")
            inside = "" if tax is None else money(tax)
            amounts = (inside, money(line.amount_minor), money(line.balance_minor))
            table.add_row(at(line.effective_at), line.words, *amounts)
        self._show(table)

    def payout(self, title: str, payout: Shown) -> None:
        """A payout's lines, what they add up to, and what reached the bank."""
        table = self._table(title, "line", "about")
        table.add_column("amount", justify="right")
        for line in payout["lines"]:
            table.add_row(line["type"].replace("_", " "), line["source"] or "", tenths(line["amount_minor"]))
        table.add_row("together", "", tenths(payout["listed_minor"]))
        table.add_row("paid out", "", money(payout["amount"]["amount_minor"]))
        table.add_row("not explained", "", money(payout["difference"]["amount_minor"]))
        self._show(table)

    def entries(self, title: str, entries: Iterable[tuple[datetime, str, str]]) -> None:
        """A history: when, who, what."""
        table = self._table(title, "when", "who", "what")
        for when, who, what in entries:
            table.add_row(at(when), who, what)
        self._show(table)

    def records(self, found: Iterable[Record]) -> None:
        """The audit sentences in the order of the log, each with its replay pointer; what moved nothing is dim."""
        table = self._table("The audit log (topic/partition/offset is where Kafka holds the event)")
        table.add_column("seq", justify="right")
        table.add_column("replay pointer", no_wrap=True)
        table.add_column("sentence", overflow="fold")
        for record in found:
            moved = record.outcome in (None, "applied")
            table.add_row(str(record.seq), record.pointer, Text(record.sentence), style="" if moved else "dim")
        self._show(table)

    def say(self, words: str) -> None:
        """A sentence of its own."""
        self.console.print(f"\n{words}", soft_wrap=True, markup=False)

    def _line(self, who: str, what: Text) -> None:
        day = f"  {self.today().astimezone(SYDNEY):%a %d %b %Y}  "
        self.console.print(Text.assemble((day, "dim"), f"{who:<{_WHO_COLUMNS}}", what), soft_wrap=True)

    def _table(self, title: str, *columns: str) -> Table:
        table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
        for column in columns:
            table.add_column(column)
        return table

    def _show(self, table: Table) -> None:
        self.console.print()
        self.console.print(table)


def _because(item: Shown) -> str:
    """Why an item is as it is: what a task says, that everything holds, or the worst rule with what it found."""
    worst = item["because"][0]
    if item["task"] is not None or worst["rule"] == "task":
        return str(worst["value"])
    if item["state"] == "ready":
        return f"all {len(item['because'])} rules hold"
    return f"{worst['words']}: {worst['value']}"


def at(moment: datetime) -> str:
    """A moment as the business says it."""
    return moment.astimezone(SYDNEY).strftime("%d %b %Y %H:%M")


def tenths(minor: str) -> str:
    """Australian dollars to a tenth of a cent."""
    dollars = Decimal(minor) / 100
    return f"{'-' if dollars < 0 else ''}A${abs(dollars):,.3f}"


def money(minor: int) -> str:
    """Australian dollars with two places."""
    return f"{'-' if minor < 0 else ''}A${abs(minor) // 100:,}.{abs(minor) % 100:02d}"
