"""The worker in memory: the locking and folding of the real one, step by step, without a database.

Two workers take turns as a schedule says. Each sees only what is committed, takes all of its locks in one sorted
pass, reads again what it needs, starts anew when that named more objects, and applies its event in between.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from payments.collection.codec import from_json, names, to_json
from payments.collection.domain import Group, Member, PaymentView, Policy
from payments.collection.facts import Fact
from payments.collection.folding import fold
from payments.collection.objects import Key, customer_key, grouped, partition
from payments.collection.telling import Telling
from payments.collection.working_set import Applied, WorkingSet
from payments.ledger.domain import Journal
from payments.ledger.lines import Line, Posted, member_lines

MARK = Member("mem_mark", "Mark Stevens")
MEMBERS: Mapping[Key, Member] = {
    customer_key("stripe", "cus_QkMarkStevens"): MARK,
    customer_key("gocardless", "CU000MARK"): MARK,
}
AUSTRALIAN = Policy()


@dataclass(frozen=True)
class Input:
    """One interpreted event, or a fetched object (type None).

    `sent` is what the provider said: an event, or the answer about `key`, read `at`.
    """

    id: str
    type: str | None
    facts: tuple[Fact, ...]
    sent: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)
    key: Key | None = None
    at: datetime | None = None


@dataclass(frozen=True)
class Known:
    """A customer's member becomes known."""

    customer: Key
    member: Member


@dataclass
class Books:
    """What is committed: facts, journals, balances, what was told, and who holds which lock."""

    members: dict[Key, Member] = field(default_factory=lambda: dict(MEMBERS))
    policy: Policy = AUSTRALIAN
    journals: list[Journal] = field(default_factory=list)
    balances: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    told: list[tuple[str, Telling]] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)
    held: dict[Key, Member | None] = field(default_factory=dict)
    locks: dict[Key, int] = field(default_factory=dict)
    _named: dict[Fact, frozenset[Key]] = field(default_factory=dict)

    @property
    def facts(self) -> frozenset[Fact]:
        return frozenset(self._named)

    def apply(self, *inputs: Input | Known) -> Books:
        """Apply inputs one after the other, by one worker."""
        for each in inputs:
            if isinstance(each, Known):
                self.match(each.customer, each.member)
                continue
            for _ in self.worker(0, [each]):
                pass
        return self

    def race(self, inputs: Sequence[Input | Known], schedule: random.Random) -> Books:
        """Apply inputs by two workers, each taking the next one of the queue, in turns as `schedule` says."""
        queue: list[Input] = []
        for each in inputs:
            if not isinstance(each, Known):
                queue.append(each)
                continue
            self._race(queue, schedule)
            self.match(each.customer, each.member)
            queue = []
        return self._race(queue, schedule)

    def _race(self, queue: list[Input], schedule: random.Random) -> Books:
        workers = {number: self.worker(number, queue) for number in (1, 2)}
        while workers:
            number = schedule.choice(sorted(workers))
            try:
                next(workers[number])
            except StopIteration:
                del workers[number]
        assert not self.locks
        return self

    def worker(self, number: int, queue: list[Input]) -> Generator[None]:
        while queue:
            taken = queue.pop(0)
            if taken.id in self.seen:
                continue
            self.seen.add(taken.id)
            yield
            wanted = frozenset().union(*(names(fact) for fact in taken.facts))
            while True:
                yield from self._lock(number, wanted)
                facts = self._closure(wanted)
                grown = wanted.union(*(names(fact) for fact in facts))
                if grown == wanted:
                    break
                self._unlock(number)
                wanted = grown
                yield
            self._settle(taken, wanted, facts)
            self._unlock(number)
            yield

    def _lock(self, number: int, wanted: frozenset[Key]) -> Generator[None]:
        for key in sorted(wanted):
            while self.locks.get(key, number) != number:
                yield
            self.locks[key] = number
            yield

    def _unlock(self, number: int) -> None:
        self.locks = {key: holder for key, holder in self.locks.items() if holder != number}

    def _closure(self, wanted: frozenset[Key]) -> list[Fact]:
        keys = grouped(wanted)
        while True:
            found = [(fact, named) for fact, named in self._named.items() if not keys.isdisjoint(named)]
            grown = keys.union(*(named for _, named in found))
            if grown == keys:
                return [fact for fact, _ in found]
            keys = grown

    def _settle(self, taken: Input, locked: frozenset[Key], facts: Sequence[Fact]) -> None:
        standing = [journal for journal in self.journals if journal.subject in locked]
        applied = self._working_set(facts, standing).apply(taken.type, taken.facts)
        for fact in taken.facts:  # stored as plain JSON and read back, as through the table
            self._named[from_json(to_json(fact))] = grouped(names(fact))
        self._save(applied)
        if applied.telling is not None:
            self.told.append((taken.id, applied.telling))

    def match(self, customer: Key, member: Member) -> None:
        """A customer's member becomes known: every group that names the customer is folded anew."""
        self.members[customer] = member
        self.refold(customer)

    def refold(self, customer: Key) -> list[PaymentView]:
        """Fold anew every group that names the customer; returns the payments that it changed."""
        changed: list[PaymentView] = []
        for group in partition([names(fact) for fact in self.facts if customer in names(fact)]):
            facts = self._closure(group)
            keys = group.union(*(names(fact) for fact in facts))
            standing = [journal for journal in self.journals if journal.subject in keys]
            applied = self._working_set(facts, standing).refold(group)
            self._save(applied)
            changed += applied.payments
        return changed

    def _working_set(self, facts: Sequence[Fact], standing: Sequence[Journal]) -> WorkingSet:
        return WorkingSet(facts=facts, journals=standing, members=self.members, held=self.held, policy=self.policy)

    def _save(self, applied: Applied) -> None:
        self.held |= {each.key: each.member for each in applied.payments}
        self.held |= {each.key: each.member for each in applied.invoices}
        self.post(applied.journals)

    def post(self, journals: Sequence[Journal]) -> None:
        self.journals += journals
        for journal in journals:
            for entry in journal.entries:
                self.balances[entry.account, entry.currency, entry.phase] += entry.amount_minor

    def check(self, events: int | None = None) -> Books:
        """The standing assertions: journals balance and name each other rightly, balances are the fold of entries,
        each event was told once."""
        keys = [journal.source_key for journal in self.journals]
        assert len(keys) == len(set(keys))
        for place, journal in enumerate(self.journals):
            assert len(journal.entries) >= 2
            assert all(entry.amount_minor for entry in journal.entries)
            assert len({(entry.currency, entry.phase) for entry in journal.entries}) == 1
            assert sum(entry.amount_minor for entry in journal.entries) == 0
            assert journal.reverses is None or journal.reverses in keys[:place]
        entries = Counter[tuple[str, str, str]]()
        for journal in self.journals:
            for entry in journal.entries:
                entries[entry.account, entry.currency, entry.phase] += entry.amount_minor
        assert entries == self.balances
        told = [id_ for id_, _ in self.told]
        assert len(told) == len(set(told))
        assert events is None or len(told) == events
        return self

    def view(self) -> Group:
        """What all facts tell."""
        return fold(self.facts, self.members, self.policy)

    def net(self) -> dict[tuple[str, str, datetime, str], int]:
        """What stands per economic key, account, effective time and phase."""
        found: dict[tuple[str, str, datetime, str], int] = defaultdict(int)
        for journal in self.journals:
            for entry in journal.entries:
                found[journal.economic_key, entry.account, journal.effective_at, entry.phase] += entry.amount_minor
        return {place: amount for place, amount in found.items() if amount}

    def balance(self, account: str, currency: str = "AUD", phase: str = "posted") -> int:
        return self.balances[account, currency, phase]

    def lines(self, member: Member = MARK) -> tuple[Line, ...]:
        """The member's ledger."""
        return member_lines(
            Posted(
                journal_id=journal.source_key,
                number=number,
                economic_key=journal.economic_key,
                effective_at=journal.effective_at,
                recorded_at=journal.effective_at,
                words=journal.words,
                currency=entry.currency,
                amount_minor=entry.amount_minor,
            )
            for number, journal in enumerate(self.journals)
            for entry in journal.entries
            if entry.phase == "posted" and entry.account == f"1100 member_receivable:{member.id}"
        )
