"""The worker's working set: everything that a batch's groups know, in memory, and what each event makes of it.

The caller has locked every object that the facts name and loaded all of their facts, journals and members. Events
are applied one by one in the order of the queue; each answer says what to save and what to tell.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from payments.collection.codec import names
from payments.collection.domain import Fetch, Group, Held, InvoiceView, Member, PaymentView, PayoutView, Policy
from payments.collection.facts import Fact
from payments.collection.folding import as_held, fold
from payments.collection.objects import Key, grouped
from payments.collection.telling import InvoiceChange, Telling, invoice_changes, tell
from payments.ledger.domain import Journal, difference
from payments.ledger.posting import derive


@dataclass(frozen=True, slots=True)
class Applied:
    """What one input changed.

    `payments` and `invoices` are those that differ from before; an implied invoice that a real one replaced is among
    them as `void`. `retired_payments` are keys of payments that turned out to be part of another. `withdrawn` are keys
    of objects that need not be read any more. `telling` is None for inputs that are no provider event.
    """

    before: Group
    after: Group
    journals: tuple[Journal, ...]
    payments: tuple[PaymentView, ...]
    retired_payments: tuple[Key, ...]
    invoices: tuple[InvoiceView, ...]
    invoice_changes: tuple[InvoiceChange, ...]
    fetches: tuple[Fetch, ...]
    withdrawn: frozenset[Key]
    telling: Telling | None

    @property
    def changed(self) -> bool:
        """Whether anything of a payment, an invoice, a payout or the ledger is other than before."""
        return bool(self.journals or self.payments or self.invoices or self.retired_payments or self.payouts)

    @property
    def payouts(self) -> tuple[PayoutView, ...]:
        """The payouts that differ from before."""
        return tuple(each for each in self.after.payouts if self.before.payout(each.key) != each)


class WorkingSet:
    """All that is known of some groups. `journals` in the order in which they were posted.

    `held` are the members of payments and invoices as they were saved: what comes first after a member became known
    changes them, an event or the refold that was queued for it, and what comes after that finds them changed.
    """

    def __init__(
        self,
        *,
        facts: Iterable[Fact] = (),
        journals: Iterable[Journal] = (),
        members: Mapping[Key, Member] | None = None,
        held: Held | None = None,
        policy: Policy,
    ) -> None:
        self.members = dict(members or {})
        self.policy = policy
        self._held = dict(held or {})
        self._facts: list[Fact] = []
        self._names: list[frozenset[Key]] = []
        self._numbers: dict[Fact, int] = {}
        self._facts_of: dict[Key, list[int]] = defaultdict(list)
        self._journals_of: dict[Key, list[Journal]] = defaultdict(list)
        self._posted = 0
        self._folded: dict[Key, tuple[set[int], Group]] = {}
        self._place: dict[str, int] = {}
        for fact in facts:
            self._add(fact)
        for journal in journals:
            self._post(journal)

    def apply(self, event_type: str | None, facts: Sequence[Fact]) -> Applied:
        """Add an input's facts and return what changes. `event_type` None: a fetched object, told otherwise.

        Raises UnbalancedError when the journals that were given are not all of the group's.
        """
        keys = grouped(key for fact in facts for key in names(fact))
        before = as_held(self._group(keys), self._held)
        for fact in facts:
            self._add(fact)
        return self._settle(keys, before, event_type, facts)

    def refold(self, keys: Collection[Key]) -> Applied:
        """Return what changes for these objects' groups because customers' members did."""
        return self._settle(grouped(keys), as_held(self._group(grouped(keys)), self._held), None, ())

    def know(self, members: Mapping[Key, Member | None], policy: Policy) -> None:
        """Take over whose customers are now, None for nobody's, and the rules of booking."""
        changed = {**self.members, **members}
        self.members = {key: each for key, each in changed.items() if each is not None}
        self.policy = policy
        self._folded.clear()

    def group(self, keys: Collection[Key]) -> Group:
        """Return these objects' groups as they stand."""
        return self._group(grouped(keys))

    def standing(self, keys: Collection[Key]) -> list[Journal]:
        """Return the journals of these objects' groups in the order in which they were posted."""
        found = [journal for key in self._closure(keys)[0] for journal in self._journals_of.get(key, ())]
        return sorted(found, key=lambda journal: self._place[journal.source_key])

    def _settle(self, keys: Collection[Key], before: Group, event_type: str | None, facts: Sequence[Fact]) -> Applied:
        after = self._group(keys)
        journals = difference(derive(after, self.policy), self.standing(keys))
        for journal in journals:
            self._post(journal)
        old_payments = {payment.key: payment for payment in before.payments}
        new_payments = {payment.key for payment in after.payments}
        old_invoices = {invoice.key: invoice for invoice in before.invoices}
        new_invoices = {invoice.key for invoice in after.invoices}
        self._held |= {each.key: each.member for each in after.payments}
        self._held |= {each.key: each.member for each in after.invoices}
        voided = [replace(each, state="void") for key, each in sorted(old_invoices.items()) if key not in new_invoices]
        return Applied(
            before=before,
            after=after,
            journals=journals,
            payments=tuple(each for each in after.payments if old_payments.get(each.key) != each),
            retired_payments=tuple(key for key in sorted(old_payments) if key not in new_payments),
            invoices=(*(each for each in after.invoices if old_invoices.get(each.key) != each), *voided),
            invoice_changes=(
                *invoice_changes(before, after),
                *(InvoiceChange("voided", each) for each in voided if each.member),
            ),
            fetches=after.fetches,
            withdrawn=frozenset(each.key for each in before.fetches) - {each.key for each in after.fetches},
            telling=tell(event_type, facts, before, after) if event_type else None,
        )

    def _add(self, fact: Fact) -> None:
        number = self._numbers.setdefault(fact, len(self._facts))
        if number < len(self._facts):
            return
        named = grouped(names(fact))
        self._facts.append(fact)
        self._names.append(named)
        for key in named:
            self._facts_of[key].append(number)

    def _post(self, journal: Journal) -> None:
        self._place[journal.source_key] = self._posted
        self._posted += 1
        self._journals_of[journal.subject].append(journal)

    def _closure(self, keys: Collection[Key]) -> tuple[set[Key], set[int]]:
        """Return all objects and facts (by number) that facts tie to these objects."""
        found: set[Key] = set()
        told: set[int] = set()
        wanted = set(keys)
        while wanted:
            found |= wanted
            more = {number for key in wanted for number in self._facts_of.get(key, ())} - told
            told |= more
            wanted = {key for number in more for key in self._names[number]} - found
        return found, told

    def _group(self, keys: Collection[Key]) -> Group:
        """Fold the groups of these keys; the last fold of the same facts is kept for the next event of the batch."""
        closure, told = self._closure(keys)
        if not told:
            return Group()
        first = min(closure)
        kept = self._folded.get(first)
        if kept and kept[0] == told:
            return kept[1]
        group = fold([self._facts[number] for number in told], self.members, self.policy)
        self._folded[first] = (told, group)
        return group
