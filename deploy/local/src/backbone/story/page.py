"""How the story looks on the terminal: tables that fit, sentences that wrap, commands that can be copied whole."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

import httpx
from rich.console import Console
from rich.table import Table
from rich.text import Text

from backbone.story.claims import Delays
from backbone.story.doors import Line, Record, Sent

_SYDNEY: Final = ZoneInfo("Australia/Sydney")
_NOT_A_TERMINAL_COLUMNS: Final = 150
_PROVIDERS: Final = {"stripe": "Stripe", "gocardless": "GoCardless"}


def new_console() -> Console:
    """Standard output; wide enough where no terminal says how wide it is."""
    width = None if sys.stdout.isatty() or "COLUMNS" in os.environ else _NOT_A_TERMINAL_COLUMNS
    return Console(highlight=False, width=width)


def title(console: Console, words: str) -> None:
    """Head a chapter."""
    console.print(f"\n{words}", style="bold", soft_wrap=True, markup=False)


def delivery(console: Console, sent: Sent, day: datetime) -> None:
    """One line for one delivery and its answer, under the business day on which it is made."""
    good = sent.status is not None and httpx.codes.is_success(sent.status)
    remark = "forged" if sent.forged else "the same again" if sent.is_copy else ""
    console.print(
        Text.assemble(
            (f"  {day.astimezone(_SYDNEY):%a %d %b %Y}  ", "dim"),
            f"{_PROVIDERS[sent.provider]:<10}  ",
            f"{', '.join(sent.event_types):<44}  ",
            (f"{sent.status or 'no answer'}", "green" if good else "red"),
            f"  {sent.milliseconds:6.1f} ms  ",
            (remark, "yellow"),
        ),
        soft_wrap=True,
    )


def ledger(console: Console, name: str, before: int, lines: Sequence[Line]) -> None:
    """A member's ledger with running balance; what stood before is brought forward."""
    table = Table(title=f"The ledger of {name}", title_justify="left", title_style="bold", box=None, pad_edge=False)
    table.add_column("effective in Sydney")
    table.add_column("what")
    table.add_column("amount", justify="right")
    table.add_column("balance owed", justify="right")
    if before:
        table.add_row("", "brought forward", "", money(before), style="dim")
    for line in lines:
        at = line.effective_at.astimezone(_SYDNEY).strftime("%d %b %Y %H:%M")
        table.add_row(at, line.words, money(line.amount_minor), money(line.balance_minor))
    console.print()
    console.print(table)


def records(console: Console, found: Iterable[Record]) -> None:
    """The audit sentences in the order of the log, each with its replay pointer; what moved nothing is dim."""
    table = Table(
        title="The audit log (topic/partition/offset is where Kafka holds the event)",
        title_justify="left",
        title_style="bold",
        box=None,
        pad_edge=False,
    )
    table.add_column("seq", justify="right")
    table.add_column("replay pointer", no_wrap=True)
    table.add_column("sentence", overflow="fold")
    for record in found:
        moved = record.outcome in (None, "applied")
        table.add_row(str(record.seq), record.pointer, Text(record.sentence), style="" if moved else "dim")
    console.print()
    console.print(table)


def delays(console: Console, measured: Delays) -> None:
    """How long it took from delivery to audit record."""
    console.print(
        f"\nFrom delivery to audit record: median {measured.median_ms:.0f} ms, longest {measured.longest_ms:.0f} ms "
        f"({measured.measured} events)",
        soft_wrap=True,
    )


def money(minor: int) -> str:
    """Australian dollars with two places."""
    return f"{'-' if minor < 0 else ''}A${abs(minor) // 100:,}.{abs(minor) % 100:02d}"
