"""Applying a batch of inputs: lock their groups, fold, post, save and tell, in one transaction.

Every input is applied by itself and in the order of the queue, so that each is told with its own before and after;
what is saved is what stands at the end.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from chassis import outbox
from chassis.clock import real_now
from chassis.ids import new_id
from chassis.sql import Write, read_together, write_together
from chassis.transaction import Transaction

from payments.collection import fetching, store
from payments.collection.announcing import Names, tell
from payments.collection.codec import names, to_json
from payments.collection.domain import Fetch, Group, InvoiceView, Member, PaymentView, Policy
from payments.collection.facts import Decision, Fact
from payments.collection.invoices import implied_key
from payments.collection.objects import CUSTOMER, PAYMENTS, Key
from payments.collection.reaching import reach
from payments.collection.store import Ids, NewFact
from payments.collection.telling import snapshot
from payments.collection.working_set import Applied, WorkingSet
from payments.deliveries import inputs as queue
from payments.deliveries import store as deliveries
from payments.deliveries.inputs import (
    AlternativeInput,
    CommandInput,
    ConflictInput,
    EventInput,
    FetchedInput,
    Input,
    RefoldInput,
    UnusableInput,
)
from payments.ledger import store as ledger
from payments.ledger.domain import Journal
from payments.ledger.store import NewJournal
from payments.members import store as members
from payments.members.store import Customer
from payments.numbering import store as numbering
from payments.numbering.store import Kind, Numbered
from payments.recovery import use_cases as recovery
from payments.schema import SCHEMA
from payments.settlement import store as settlement

_LOCK_ATTEMPTS: Final = 5


@dataclass(frozen=True, slots=True)
class Rules:
    """How money is booked here, and which days are business days."""

    policy: Policy


@dataclass(frozen=True, slots=True)
class Command:
    """What staff decided: the command's stable name, what it did in words ("written off"), why, and what it makes."""

    name: str
    words: str
    reason: str | None
    facts: Sequence[Decision]


@dataclass(slots=True)
class Batch:
    """What a batch adds up to: the last view of each payment and invoice, and everything to add."""

    applied: list[tuple[Input, Applied]] = field(default_factory=list)
    payments: dict[Key, PaymentView] = field(default_factory=dict)
    invoices: dict[Key, InvoiceView] = field(default_factory=dict)
    retired: set[Key] = field(default_factory=set)
    fetches: dict[Key, Fetch] = field(default_factory=dict)
    withdrawn: set[Key] = field(default_factory=set)
    settled: settlement.Settled = field(default_factory=settlement.Settled)

    def add(self, given: Input, applied: Applied) -> None:
        """Take over what one input changed."""
        self.applied.append((given, applied))
        self.settled.add(applied.before, applied.after)
        self.payments |= {view.key: view for view in applied.payments}
        self.invoices |= {view.key: view for view in applied.invoices}
        self.retired -= {view.key for view in applied.payments}
        self.retired |= set(applied.retired_payments)
        self.withdrawn |= applied.withdrawn
        self.fetches = {key: fetch for key, fetch in self.fetches.items() if key not in applied.withdrawn}
        self.fetches |= {fetch.key: fetch for fetch in applied.fetches}

    @property
    def journals(self) -> Iterator[Journal]:
        return (journal for _, applied in self.applied for journal in applied.journals)


async def apply(tx: Transaction, given: Sequence[Input], rules: Rules) -> None:
    """Apply inputs in their order. Raises GroupStillGrowsError (a conflict) when others keep adding to their groups."""
    wanted = {key for each in given for fact in facts_of(each) for key in names(fact)}
    wanted |= {each.key for each in given if isinstance(each, RefoldInput)}
    working_set, ids = await _working_set(tx, await store.lock_group(tx.connection, wanted), rules)
    await _apply_all(tx, given, working_set, ids, rules)


async def command(
    tx: Transaction,
    rules: Rules,
    about: Collection[Key],
    decide: Callable[[Group, str], Command],
) -> Applied | None:
    """Record what staff decided about these objects as an input, and apply it at once, in the caller's transaction.

    The objects' group is locked and folded; `decide` sees it as it stands, with the id that the command will have, and
    answers with the facts that the decision makes (their `told` has that id, the command's name and the time from
    which it counts) about objects that are in `about` or in the group. What it raises refuses the command: nothing is
    recorded then. The command is kept with whoever acts in `tx`, numbered, and what it changed is told with its words
    and its reason. Returns what it changed, or None where `decide` answers without facts. One command is one call.

    Raises GroupStillGrowsError when others keep adding to the group.
    """
    working_set, ids = await _locked(tx, about, rules)
    command_id = new_id()
    decided = decide(working_set.group(about), command_id)
    if not decided.facts:
        return None
    given = CommandInput(0, command_id, decided.words, tuple(decided.facts), decided.reason)
    body = {"facts": [to_json(fact) for fact in decided.facts], "words": decided.words}
    kept = numbering.keep_command(tx, command_id, decided.name, body, decided.reason)
    batch = await _apply_all(tx, [given], working_set, ids, rules, kept)
    return batch.applied[0][1]


async def look(tx: Transaction, rules: Rules, about: Collection[Key]) -> Group:
    """The objects' group as it stands, for whoever only wants to see it."""
    working_set, _ = await _working_set(tx, await reach(tx.connection, about), rules)
    return working_set.group(about)


async def _locked(tx: Transaction, about: Collection[Key], rules: Rules) -> tuple[WorkingSet, Ids]:
    """Lock a group and read it; where somebody has added to it meanwhile, the locks are given back and taken anew."""
    for _ in range(_LOCK_ATTEMPTS):
        with contextlib.suppress(store.GroupStillGrowsError):
            async with tx.connection.begin_nested():
                return await _working_set(tx, await store.lock_group(tx.connection, about), rules)
    return await _working_set(tx, await store.lock_group(tx.connection, about), rules)


async def _apply_all(
    tx: Transaction, given: Sequence[Input], working_set: WorkingSet, ids: Ids, rules: Rules, *more: Write
) -> Batch:
    """Apply inputs in their order to what is locked and read; `more` is written beside."""
    batch = Batch()
    for each in given:
        applied = apply_one(working_set, each)
        if applied is not None:
            batch.add(each, applied)
    journal_ids = await ledger.ids_of(tx.connection, batch.journals)
    plans = await recovery.replan(tx, list(batch.payments.values()), batch.invoices, ids, zone=rules.policy.zone)
    payout_ids = await settlement.ids_of(tx.connection, batch.settled)
    outcomes = tell(tx, given, batch.applied, Names(ids, journal_ids, payout_ids), plans)
    views = [(view, snapshot(view)) for view in batch.payments.values()]
    now = real_now()
    await write_together(
        tx.connection,
        *store.add_facts([NewFact(source_of(each), fact) for each in given for fact in facts_of(each)]),
        *store.save_invoices(list(batch.invoices.values()), ids),
        # One that began and ended within the batch is kept too: what was told of it names it.
        *store.save_payments(views, batch.retired, ids),
        *plans.writes,
        *ledger.post(posted(batch, ids), journal_ids, at=now, zone=rules.policy.zone),
        *deliveries.save_outcomes(outcomes, at=now),
        *fetching.want(list(batch.fetches.values())),
        *fetching.withdraw(batch.withdrawn - batch.fetches.keys()),
        *numbering.number([one for each in given for one in _numbered(each)], rules.policy),
        queue.done(given),
        *more,
        *outbox.tell(SCHEMA, tx.outgoing),
    )
    await settlement.save(tx.connection, batch.settled, ids.payment, payout_ids)
    await queue.processed(tx.connection, given)
    return batch


async def _working_set(tx: Transaction, keys: frozenset[Key], rules: Rules) -> tuple[WorkingSet, Ids]:
    """All that is known of the groups of these objects, which are locked, and the ids of what is stored of them."""
    implied = {implied_key(key) for key in keys if key.kind in PAYMENTS}
    customers = {Customer(key.provider, key.id, key.account): key for key in keys if key.kind == CUSTOMER}
    found = await read_together(
        tx.connection,
        facts=store.facts(keys),
        saved=store.saved(keys | implied),
        journals=ledger.standing(keys),
        members=members.by_customer(customers),
    )
    ids, held = store.ids_and_held(found["saved"])
    working_set = WorkingSet(
        facts=store.facts_of(keys, found["facts"]),
        journals=ledger.journals_of(found["journals"]),
        members={customers[each]: Member(*member) for each, member in members.members_of(found["members"]).items()},
        held=held,
        policy=rules.policy,
    )
    return working_set, ids


def facts_of(given: Input) -> Sequence[Fact]:
    """Return what an input adds to the set of facts."""
    match given:
        case ConflictInput():
            return ()
        case EventInput(facts=facts) | FetchedInput(facts=facts) | CommandInput(facts=facts):
            return facts
        case _:
            return ()


def _numbered(given: Input) -> Iterator[Numbered]:
    """Yield an input as it is numbered; what could not be read is none."""
    match given:
        case EventInput():
            kind: Kind = "event"
            if isinstance(given, ConflictInput | AlternativeInput):
                kind = "conflict" if isinstance(given, ConflictInput) else "alternative"
            yield Numbered(kind, given.delivery_id, given.event.index, given.provider_event_id)
        case FetchedInput():
            yield Numbered("fetched", fetched_id=given.fetched_id)
        case CommandInput():
            yield Numbered("command", command_id=given.command_id)
        case RefoldInput():
            yield Numbered("refold", subject=given.key.text)


def apply_one(working_set: WorkingSet, given: Input) -> Applied | None:
    """Return what one input changes, None for one that tells nothing."""
    match given:
        case ConflictInput() | UnusableInput():
            return None
        case EventInput(facts=()) | FetchedInput(facts=()):
            return None
        case AlternativeInput(facts=facts) | FetchedInput(facts=facts) | CommandInput(facts=facts):
            return working_set.apply(None, facts)
        case EventInput(event=event, facts=facts):
            return working_set.apply(event.type, facts)
        case RefoldInput(key=key):
            return working_set.refold({key})


def source_of(given: Input) -> str:
    """Return the id of what told an input's facts: of the provider event, the fetched object or the command."""
    match given:
        case FetchedInput(fetched_id=input_id) | CommandInput(command_id=input_id):
            return input_id
        case _:
            return getattr(given, "provider_event_id", "")


def posted(batch: Batch, ids: Ids) -> list[NewJournal]:
    """Return the journals of a batch with what they refer to."""
    return [
        NewJournal(
            journal=journal,
            caused_by=given.provider_event_id if isinstance(given, EventInput) else None,
            payment_id=None if journal.payment is None else ids.payment(journal.payment),
            invoice_id=None if journal.invoice is None else ids.invoice(journal.invoice),
        )
        for given, applied in batch.applied
        for journal in applied.journals
    ]
