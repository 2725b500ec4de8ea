"""Does the ledger hold together? Every journal against its seal and itself, every balance against the entries.

The triggers keep it so; this looks whether they did, whoever may have switched one off, and names the journal, the
entry and the column. It reads as the service's own role, in one snapshot, page by page: memory stays flat however long
the ledger is. The service's own look is the same, with what the last one found remembered: only what was sealed since
is read, and a further part of what is older. What a seal proves stands in decisions/journals-are-sealed-in-a-chain.md.
Tested in tests/payments/test_ledger_verification.py, by tampering as a superuser.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import orjson
from chassis.clock import real_now
from chassis.sql import Row, Statement
from chassis.verifications import Verified
from sqlalchemy.ext.asyncio import AsyncConnection

from payments.ledger import seals
from payments.ledger.domain import member_of
from payments.ledger.sealing import GENESIS, differences, link

FINE: Final = 0
TAMPERED: Final = 1
CANNOT_VERIFY: Final = 3
_KEPT_PER_KIND: Final = 100
_WHOLE_EVERY: Final = timedelta(hours=24)
_AGAIN_SEALS: Final = 20_000
_BEFORE_ALL: Final = -(2**63)
"""Whoever pushes a journal in may give it any number."""
GUARDS: Final = (
    ("journals", "append_only"),
    ("journals", "no_truncate"),
    ("journals", "stamped"),
    ("journals", "not_empty"),
    ("journals", "in_open_period"),
    ("periods", "append_only"),
    ("periods", "no_truncate"),
    ("ledger_entries", "append_only"),
    ("ledger_entries", "no_truncate"),
    ("ledger_entries", "checked"),
    ("seals", "append_only"),
    ("seals", "no_truncate"),
    ("seal_anchors", "append_only"),
    ("seal_anchors", "no_truncate"),
    ("inputs", "append_only"),
    ("inputs", "no_truncate"),
    ("staff_commands", "append_only"),
    ("staff_commands", "no_truncate"),
)
_COUNTS: Final = Statement(
    "SELECT (SELECT count(*) FROM payments.journals) AS journals,"
    " (SELECT count(*) FROM payments.ledger_entries) AS entries"
)
_LOST_ENTRIES: Final = Statement(
    """
    SELECT e.journal_id::text AS journal, count(*) AS entries FROM payments.ledger_entries AS e
    WHERE NOT EXISTS (SELECT FROM payments.journals AS j WHERE j.id = e.journal_id)
      AND NOT EXISTS (SELECT FROM payments.seals AS s WHERE s.journal_id = e.journal_id)
    GROUP BY e.journal_id ORDER BY 1 LIMIT 100
    """
)
_MEMBERS: Final = Statement(
    "SELECT member_id, currency, sum(amount_minor)::bigint AS amount_minor FROM payments.member_entries GROUP BY 1, 2"
)
_BALANCES: Final = Statement("SELECT account, currency, phase, amount_minor FROM payments.balances")
# Enabled 'O' is unless session_replication_role says otherwise, 'A' is always.
_STANDING: Final = Statement(
    """
    SELECT c.relname::text AS relation, t.tgname::text AS name
    FROM pg_trigger AS t JOIN pg_class AS c ON c.oid = t.tgrelid
    WHERE c.relnamespace = 'payments'::regnamespace AND t.tgenabled IN ('O', 'A')
    """
)
Progress = Callable[[int, int], None]
Sums = Counter[tuple[str, str, str]]


@dataclass(slots=True)
class Report:
    """What was looked at and what was found; `findings` holds the first of each kind, in words."""

    journals: int = 0
    entries: int = 0
    unbalanced: int = 0
    sealed: int = 0
    last_hash: bytes = GENESIS
    faults: int = 0
    findings: list[str] = field(default_factory=list)
    _kinds: Counter[str] = field(default_factory=Counter)

    @property
    def verdict(self) -> int:
        return TAMPERED if self.faults else FINE

    def found(self, kind: str, detail: str) -> None:
        """Count every fault, keep the first ones of a kind."""
        self.faults += 1
        self._kinds[kind] += 1
        if self._kinds[kind] <= _KEPT_PER_KIND:
            self.findings.append(f"{kind}: {detail}")

    def verified(self) -> Verified:
        """What is kept of this run."""
        counted = {"journals": self.journals, "entries": self.entries, "unbalanced": self.unbalanced}
        return Verified(not self.faults, counted, self.findings[0] if self.findings else None)


@dataclass(slots=True)
class _Walk:
    """Following the chain: where it is, and how much of what it has seen, with the sums of all entries."""

    report: Report
    anchors: Mapping[int, bytes]
    number: int = 0
    hash: bytes = GENESIS
    sums: Sums = field(default_factory=Counter)
    journals: int = 0
    entries: int = 0

    async def follow(self, connection: AsyncConnection, *, until: int, progress: Progress | None = None) -> None:
        """Check every seal behind this place, up to `until`."""
        async with aclosing(seals.pages(connection, after=self.number)) as pages:
            async for rows in pages:
                for row in rows:
                    if row["number"] > until:
                        return
                    self._seal(*row)
                if progress is not None:
                    progress(self.number, until)

    def _seal(
        self,
        number: int,
        journal_id: UUID,
        kept: bytes,
        stated: bytes,
        journal_json: str | None,
        entries_json: str | None,
    ) -> None:
        found = self.report.found
        if number != self.number + 1:
            found("chain", f"seal {self.number + 1}: no such seal, the next one is {number}")
        entries = orjson.loads(entries_json) if entries_json else []
        self.add(journal_id, entries)
        over = f"seal {number} over journal {journal_id}"
        if journal_json is None:
            found("journal", f"{journal_id}: no such journal, seal {number} is over it")
        else:
            journal = orjson.loads(journal_json)
            if link(self.hash, journal, entries) != stated:
                wrong = list(differences(kept, journal, entries))
                for words in wrong:
                    found("journal", f"{journal_id} {words}")
                if not wrong:
                    found("chain", f"{over} does not follow from the one before it: one of them was made anew")
        if self.anchors.get(number, stated) != stated:
            found("chain", f"{over} was noted with another hash: what is up to it was sealed anew")
        self.number, self.hash = number, stated

    def add(self, journal_id: UUID, entries: list[dict[str, Any]]) -> None:
        """Check that a journal balances in itself, and add it to the sums."""
        total = 0
        for entry in entries:
            amount = entry["amount_minor"]
            total += amount
            self.sums[entry["account"], entry["currency"], entry["phase"]] += amount
        self.entries += len(entries)
        self.journals += 1
        if not entries:
            self.report.found("journal", f"{journal_id}: no entries")
            return
        currencies = len({entry["currency"] for entry in entries})
        phases = len({entry["phase"] for entry in entries})
        if total or currencies > 1 or phases > 1:
            self.report.unbalanced += 1
            self.report.found("journal", f"{journal_id}: off by {total}, {currencies} currencies, {phases} phases")


async def verify(
    connection: AsyncConnection, *, anchors: Mapping[int, bytes] | None = None, progress: Progress | None = None
) -> Report:
    """Check the whole ledger; `anchors` are hashes of seals that somebody has noted. Database errors pass through."""
    report = Report()
    await _whole(connection, report, anchors or {}, progress)
    return report


async def _whole(
    connection: AsyncConnection, report: Report, noted: Mapping[int, bytes], progress: Progress | None
) -> _Walk:
    head = await _begin(connection, report)
    counts = (await _COUNTS.all(connection))[0]
    walk = _Walk(report, {**await seals.anchors(connection), **noted})
    await walk.follow(connection, until=head.last_number, progress=progress)
    for number in sorted(number for number in walk.anchors if number > walk.number):
        report.found("chain", f"seal {number} was noted, and the chain ends with seal {walk.number}")
    sums = await _end(connection, walk, head, unsealed_after=_BEFORE_ALL)
    await _members(connection, report, sums)
    if report.entries != counts.entries:
        for row in await _LOST_ENTRIES.all(connection):
            report.found("journal", f"{row.journal}: no such journal, {row.entries} entries belong to it")
    return walk


async def _begin(connection: AsyncConnection, report: Report) -> Row:
    """Look at every guard, and where the chain ends."""
    await seals.prepare(connection)
    standing = {(row.relation, row.name) for row in await _STANDING.all(connection)}
    for table, name in GUARDS:
        if (table, name) not in standing:
            report.found("missing_guard", f"{table}: no working trigger {name}")
    return await seals.head(connection)


async def _end(connection: AsyncConnection, walk: _Walk, head: Row, *, unsealed_after: int) -> Sums:
    """Compare the chain with its head; with what is not sealed yet, compare the balances with the sums of all.

    Returns these sums.
    """
    report = walk.report
    report.sealed, report.last_hash = walk.number, walk.hash
    if walk.number != head.last_number:
        report.found("chain", f"the head says seal {head.last_number}, the chain ends with seal {walk.number}")
    elif walk.hash != bytes(head.last_hash):
        report.found("chain", f"the head has another hash than seal {walk.number}")
    rest = _Walk(report, {}, sums=Counter(walk.sums), journals=walk.journals, entries=walk.entries)
    async for row in seals.unsealed(connection, after=unsealed_after):
        rest.add(row.id, orjson.loads(row.entries or "[]"))
        if row.number <= head.settled:
            report.found("journal", f"{row.id}: has no seal, though others are sealed that came later")
    report.journals, report.entries = rest.journals, rest.entries
    held = {(row.account, row.currency, row.phase): row.amount_minor for row in await _BALANCES.all(connection)}
    for place in sorted(held.keys() | rest.sums.keys()):
        stands, summed = held.get(place, 0), rest.sums[place]
        if stands != summed:
            report.found("balance", f"{' '.join(place)}: {stands} stands, the entries sum to {summed}")
    return rest.sums


async def _members(connection: AsyncConnection, report: Report, sums: Sums) -> None:
    """Compare what members' ledgers come to with the sums of all entries."""
    summed: Counter[tuple[str, str]] = Counter()
    for (account, currency, phase), amount in sums.items():
        member_id = member_of(account)
        if member_id is not None and phase == "posted":
            summed[member_id, currency] += amount
    held = {(row.member_id, row.currency): row.amount_minor for row in await _MEMBERS.all(connection)}
    for member_id, currency in sorted(held.keys() | summed.keys()):
        stands, wanted = held.get((member_id, currency), 0), summed[member_id, currency]
        if stands != wanted:
            report.found("member", f"{member_id} {currency}: {stands} stands, the entries sum to {wanted}")


@dataclass(slots=True)
class _Remembered:
    """A clean look: how far it came, when all was looked at, and up to where a part of it was since."""

    walk: _Walk
    whole_at: datetime
    again: int = 0


class Verifier:
    """The look that the service takes again and again: whole at first and once a day, else what has come since.

    Each look at what is new goes on with a part of what is old. Whatever is found makes the next look a whole one.
    """

    def __init__(self) -> None:
        self._known: _Remembered | None = None

    async def __call__(self, connection: AsyncConnection) -> Verified:
        """Check the ledger, for the job."""
        known, report = self._known, Report()
        self._known = None
        if known is None or real_now() - known.whole_at > _WHOLE_EVERY:
            now = _Remembered(await _whole(connection, report, {}, None), real_now())
        else:
            now = await _since(connection, report, known)
        if not report.faults:
            self._known = now
        return report.verified()


async def _since(connection: AsyncConnection, report: Report, known: _Remembered) -> _Remembered:
    """Look at what was sealed since, and again at a part of what was before."""
    head = await _begin(connection, report)
    noted = await seals.anchors(connection)
    old = known.walk
    start = known.again if known.again < old.number else 0
    again = _Walk(report, noted, start, await seals.hash_of(connection, start))
    await again.follow(connection, until=min(start + _AGAIN_SEALS, old.number))
    walk = _Walk(report, noted, old.number, old.hash, Counter(old.sums), old.journals, old.entries)
    await walk.follow(connection, until=head.last_number)
    await _end(connection, walk, head, unsealed_after=head.settled)
    return _Remembered(walk, known.whole_at, again.number)
