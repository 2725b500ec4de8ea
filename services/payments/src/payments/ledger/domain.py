"""Double entry: accounts, journals, and the difference between what is derived and what stands.

Amounts are signed integer minor units, debit positive. A journal is never changed: what a later fact makes of it is
a further journal, and what is posted is always the difference per (economic key, effective time, account).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from payments.collection.objects import Key
from payments.deliveries.domain import Provider

Phase = Literal["pending", "posted"]
TaxCode = Literal["GST", "FRE", "N-T"]
JournalKind = Literal["original", "reversal", "correction"]
SOURCE: Final = "facts"

REVENUE: Final = "4100 membership_revenue"
GST_PAYABLE: Final = "2100 gst_payable"
OTHER_RECEIPTS: Final = "1290 other_receipts"


def receivable(member_id: str) -> str:
    """What a member owes."""
    return f"1100 member_receivable:{member_id}"


def member_credit(member_id: str) -> str:
    """What a member has paid beyond what was due."""
    return f"2200 member_credit:{member_id}"


def clearing(provider: Provider) -> str:
    """What a provider holds for us."""
    return f"1200 clearing:{provider}"


def unidentified(provider: Provider) -> str:
    """Money of nobody we know, until a person or a reference matches it."""
    return f"2400 unidentified_receipts:{provider}"


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a journal."""

    account: str
    currency: str
    amount_minor: int
    phase: Phase = "posted"
    tax_code: TaxCode = "N-T"


@dataclass(frozen=True, slots=True)
class Derived:
    """What ought to stand under one economic key, whatever was posted so far.

    `reverses` is the economic key of what this takes back. Entries sum to zero in one currency and phase.
    """

    economic_key: str
    subject: Key
    effective_at: datetime
    entries: tuple[Entry, ...]
    words: str
    kind: JournalKind = "original"
    reverses: str | None = None
    payment: Key | None = None
    invoice: Key | None = None
    member_id: str | None = None


@dataclass(frozen=True, slots=True)
class Journal:
    """A journal to post, or one that stands. (source, source_key) is unique for ever.

    `source_key` counts the journals of an economic key: `payment:stripe/self/charge/ch_1#1`. `reverses` is the
    source key of the journal that this one takes back, wholly (a reversal) or by a difference (a correction).
    """

    source_key: str
    economic_key: str
    subject: Key
    kind: JournalKind
    effective_at: datetime
    entries: tuple[Entry, ...]
    words: str
    reverses: str | None = None
    payment: Key | None = None
    invoice: Key | None = None
    member_id: str | None = None
    source: str = SOURCE
