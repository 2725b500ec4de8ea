"""Double entry: accounts, journals, and the difference between what is derived and what stands.

Amounts are signed integer minor units, debit positive. A journal is never changed: what a later fact makes of it is
a further journal, and what is posted is always the difference per (economic key, effective time, account).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, NamedTuple

from payments.collection.objects import Key
from payments.deliveries.domain import Provider

Phase = Literal["pending", "posted"]
TaxCode = Literal["GST", "GST-DEC", "GST-INC", "FRE", "N-T"]
"""GST-DEC and GST-INC are adjustments of GST that was owed before: decreasing and increasing ones."""
JournalKind = Literal["original", "reversal", "correction"]
SOURCE: Final = "facts"

REVENUE: Final = "4100 membership_revenue"
GST_PAYABLE: Final = "2100 gst_payable"
GST_DEFERRED: Final = "2150 gst_deferred"
BANK: Final = "1300 bank"
BAD_DEBTS: Final = "5200 bad_debts"
BAD_DEBTS_RECOVERED: Final = "4300 bad_debts_recovered"
OTHER_RECEIPTS: Final = "1290 other_receipts"
PAYOUT_IN_TRANSIT: Final = "1250 payout_in_transit"
GST_INPUT_CREDITS: Final = "1400 gst_input_credits"
REFUNDS_ALLOWANCES: Final = "4190 refunds_allowances"
PROVIDER_FEES: Final = "5100 provider_fees"
DISPUTE_FEES: Final = "5110 dispute_fees"
_MEMBERS: Final = frozenset({"1100 ", "2200 ", "2300 "})


def receivable(member_id: str) -> str:
    """What a member owes."""
    return f"1100 member_receivable:{member_id}"


def member_credit(member_id: str) -> str:
    """What a member has paid beyond what was due."""
    return f"2200 member_credit:{member_id}"


def clearing(provider: Provider) -> str:
    """What a provider holds for us."""
    return f"1200 clearing:{provider}"


def refunds_payable(member_id: str) -> str:
    """What a member gets back and has not got yet."""
    return f"2300 refunds_payable:{member_id}"


def dispute_held(provider: Provider) -> str:
    """What a provider holds because of disputes."""
    return f"1500 dispute_held:{provider}"


def member_of(account: str) -> str | None:
    """Whose account it is: the member's who owes or is owed what stands there, None for the business' own."""
    return account.partition(":")[2] if account[:5] in _MEMBERS else None


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


class UnbalancedError(Exception):
    """A difference does not sum to zero: the standing journals that were given are not all there are."""

    def __init__(self, economic_key: str) -> None:
        super().__init__(f"what stands under {economic_key} does not balance")
        self.economic_key = economic_key


class _Place(NamedTuple):
    """Where amounts net: one economic key at one time, in one currency and phase."""

    economic_key: str
    effective_at: datetime
    currency: str
    phase: Phase


def difference(derived: Iterable[Derived], standing: Iterable[Journal]) -> tuple[Journal, ...]:
    """Return the journals to add so that what stands is what is derived. Raises UnbalancedError.

    `standing` must hold every journal of the group, in the order in which they were posted. Nothing is ever taken
    away: what no longer holds is taken back by a correction. The same inputs in the same order give the same keys.
    """
    posted = list(standing)
    wanted = {(each.economic_key, each.effective_at): each for each in derived}
    net: dict[_Place, dict[tuple[str, TaxCode], int]] = defaultdict(lambda: defaultdict(int))
    for journal in posted:
        _add(net, journal, -1)
    for each in wanted.values():
        _add(net, each, 1)
    added: list[Journal] = []
    for place in sorted(net, key=lambda each: (_is_reversal(each, wanted), each)):
        amounts = {line: amount for line, amount in net[place].items() if amount}
        if not amounts:
            continue
        if sum(amounts.values()):
            raise UnbalancedError(place.economic_key)
        entries = tuple(
            Entry(account, place.currency, amount, place.phase, code)
            for (account, code), amount in sorted(amounts.items(), key=_debit_first)
        )
        added.append(_journal(place, entries, wanted.get((place.economic_key, place.effective_at)), [*posted, *added]))
    return tuple(added)


def _add(net: dict[_Place, dict[tuple[str, TaxCode], int]], journal: Journal | Derived, sign: int) -> None:
    for entry in journal.entries:
        place = _Place(journal.economic_key, journal.effective_at, entry.currency, entry.phase)
        net[place][entry.account, entry.tax_code] += sign * entry.amount_minor


def _is_reversal(place: _Place, wanted: dict[tuple[str, datetime], Derived]) -> bool:
    """Whether the journal names another one, which must have its source key first."""
    found = wanted.get((place.economic_key, place.effective_at))
    return found is not None and found.kind == "reversal"


def _debit_first(line: tuple[tuple[str, TaxCode], int]) -> tuple[bool, str, str]:
    (account, code), amount = line
    return (amount < 0, account, code)


def _journal(place: _Place, entries: tuple[Entry, ...], wanted: Derived | None, known: Sequence[Journal]) -> Journal:
    """Make the journal for one place. Where something stands there already, it is a correction of the first."""
    own = [journal for journal in known if journal.economic_key == place.economic_key]
    here = [journal for journal in own if journal.effective_at == place.effective_at]
    origin: Derived | Journal = wanted or here[0]
    if here:
        kind: JournalKind = "correction"
        reverses: str | None = here[0].source_key
    else:
        kind = origin.kind
        reverses = _reversed(wanted, known)
    return Journal(
        source_key=f"{place.economic_key}#{len(own) + 1}",
        economic_key=place.economic_key,
        subject=origin.subject,
        kind=kind,
        effective_at=place.effective_at,
        entries=entries,
        words=origin.words,
        reverses=reverses,
        payment=origin.payment,
        invoice=origin.invoice,
        member_id=origin.member_id,
    )


def _reversed(wanted: Derived | None, known: Sequence[Journal]) -> str | None:
    """Return the source key of what a reversal takes back: the latest journal under that key which is no correction."""
    if wanted is None or wanted.reverses is None:
        return None
    originals = [each for each in known if each.economic_key == wanted.reverses and each.kind != "correction"]
    return originals[-1].source_key if originals else None
