"""Applying a batch of inputs: lock their groups, fold, post, save and tell, in one transaction.

Every input is applied by itself and in the order of the queue, so that each is told with its own before and after;
what is saved is what stands at the end.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from chassis.clock import real_now
from chassis.sql import read_together, write_together
from chassis.transaction import Cause, Transaction

from payments.collection import fetching, store, translate
from payments.collection.codec import names
from payments.collection.domain import Fetch, InvoiceView, Member, PaymentView, Policy
from payments.collection.facts import Fact
from payments.collection.invoices import implied_key
from payments.collection.objects import CUSTOMER, PAYMENTS, Key
from payments.collection.store import Ids, NewFact
from payments.collection.telling import not_understood, payment_change, snapshot
from payments.collection.working_set import Applied, WorkingSet
from payments.deliveries import inputs as queue
from payments.deliveries import store as deliveries
from payments.deliveries.inputs import (
    AlternativeInput,
    ConflictInput,
    EventInput,
    FetchedInput,
    Input,
    RefoldInput,
    UnusableInput,
)
from payments.deliveries.store import EventOutcome
from payments.ledger import store as ledger
from payments.ledger.domain import Journal
from payments.ledger.store import NewJournal
from payments.members import store as members
from payments.members.store import Customer
from payments.recovery import use_cases as recovery
from payments.recovery.use_cases import Changes
from payments.settlement import store as settlement


@dataclass(frozen=True, slots=True)
class Rules:
    """How money is booked here, and which days are business days."""

    policy: Policy


@dataclass(slots=True)
class _Batch:
    """What a batch adds up to: the last view of each payment and invoice, and everything to add."""

    applied: list[tuple[Input, Applied]] = field(default_factory=list)
    payments: dict[Key, PaymentView] = field(default_factory=dict)
    invoices: dict[Key, InvoiceView] = field(default_factory=dict)
    retired: set[Key] = field(default_factory=set)
    fetches: dict[Key, Fetch] = field(default_factory=dict)
    settled: settlement.Settled = field(default_factory=settlement.Settled)

    def add(self, given: Input, applied: Applied) -> None:
        self.applied.append((given, applied))
        self.settled.add(applied.before, applied.after)
        self.payments |= {view.key: view for view in applied.payments}
        self.invoices |= {view.key: view for view in applied.invoices}
        self.retired -= {view.key for view in applied.payments}
        self.retired |= set(applied.retired_payments)
        self.fetches |= {fetch.key: fetch for fetch in applied.fetches}

    @property
    def journals(self) -> Iterator[Journal]:
        return (journal for _, applied in self.applied for journal in applied.journals)


async def apply(tx: Transaction, given: Sequence[Input], rules: Rules) -> None:
    """Apply inputs in their order. Raises GroupStillGrowsError (a conflict) when others keep adding to their groups."""
    wanted = {key for each in given for fact in _facts(each) for key in names(fact)}
    wanted |= {each.key for each in given if isinstance(each, RefoldInput)}
    working_set, ids = await _working_set(tx, await store.lock_group(tx.connection, wanted), rules)
    batch = _Batch()
    for each in given:
        applied = _apply(working_set, each)
        if applied is not None:
            batch.add(each, applied)
    journal_ids = await ledger.ids_of(tx.connection, batch.journals)
    plans = await recovery.replan(tx, list(batch.payments.values()), batch.invoices, ids, zone=rules.policy.zone)
    payout_ids = await settlement.ids_of(tx.connection, batch.settled)
    outcomes = _tell(tx, given, batch, _Names(ids, journal_ids, payout_ids), plans)
    views = [(view, snapshot(view)) for view in batch.payments.values()]
    now = real_now()
    await write_together(
        tx.connection,
        *store.add_facts([NewFact(_input_id(each), fact) for each in given for fact in _facts(each)]),
        *store.save_invoices(list(batch.invoices.values()), ids),
        # One that began and ended within the batch is kept too: what was told of it names it.
        *store.save_payments(views, batch.retired, ids),
        *plans.writes,
        *ledger.post(_posted(batch, ids), journal_ids, at=now, zone=rules.policy.zone),
        *deliveries.save_outcomes(outcomes, at=now),
        *fetching.want(list(batch.fetches.values())),
        queue.done(given),
    )
    await settlement.save(tx.connection, batch.settled, ids.payment, payout_ids)
    await queue.processed(tx.connection, given)


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


def _facts(given: Input) -> Sequence[Fact]:
    return given.facts if isinstance(given, EventInput | FetchedInput) and not isinstance(given, ConflictInput) else ()


def _apply(working_set: WorkingSet, given: Input) -> Applied | None:
    match given:
        case ConflictInput() | UnusableInput():
            return None
        case EventInput(facts=()) | FetchedInput(facts=()):
            return None
        case AlternativeInput(facts=facts) | FetchedInput(facts=facts):
            return working_set.apply(None, facts)
        case EventInput(event=event, facts=facts):
            return working_set.apply(event.type, facts)
        case RefoldInput(key=key):
            return working_set.refold({key})


def _input_id(given: Input) -> str:
    return given.fetched_id if isinstance(given, FetchedInput) else getattr(given, "provider_event_id", "")


def _posted(batch: _Batch, ids: Ids) -> list[NewJournal]:
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


@dataclass(frozen=True, slots=True)
class _Names:
    """Our ids of everything that a batch tells of."""

    ids: Ids
    journals: Mapping[str, str]
    payouts: Mapping[Key, str]


def _tell(
    tx: Transaction, given: Sequence[Input], batch: _Batch, names_of: _Names, plans: Changes
) -> Sequence[EventOutcome]:
    """Emit what each input did, in their order; returns what is to be noted on provider events."""
    ids, journal_ids = names_of.ids, names_of.journals
    last = _last_told(batch)
    by_input = {each.pending_id: applied for each, applied in batch.applied}
    outcomes: list[EventOutcome] = []
    for each in given:
        applied = by_input.get(each.pending_id)
        posted = [journal_ids[journal.source_key] for journal in applied.journals] if applied else []
        if isinstance(each, ConflictInput):
            _as_provider(tx, each).emit(translate.conflicted(each))
        elif isinstance(each, EventInput) and not isinstance(each, AlternativeInput):
            telling = (applied and applied.telling) or not_understood(each.event.type)
            view = _as_provider(tx, each)
            planned = plans.take(last[each.pending_id]) if each.pending_id in last else None
            view.emit(translate.ingested(each, telling, ids, posted, planned.shown() if planned else None))
            if applied is not None:
                _tell_payments(view, applied, ids, told=telling.payment.key if telling.payment else None)
                _tell_invoices(view, applied, ids)
            payment_id = ids.payment(telling.payment.key) if telling.payment else None
            provider = each.event.identity.provider
            outcomes.append(
                EventOutcome(provider, each.provider_event_id, telling.outcome, telling.outcome_words, payment_id)
            )
        elif applied is not None and applied.changed:
            _tell_changes(tx, each, applied, names_of, posted)
    plans.tell({view.key: tx.automatically(_cause(each)) for each, done in batch.applied for view in done.payments})
    return outcomes


def _last_told(batch: _Batch) -> dict[int, Key]:
    """Of each payment that events moved, the last of them: it shows what became of the payment's retry as well."""
    last = {
        applied.telling.payment.key: each.pending_id
        for each, applied in batch.applied
        if applied.telling and applied.telling.payment and applied.telling.outcome == "applied"
    }
    return {pending_id: key for key, pending_id in last.items()}


def _cause(given: Input) -> Cause:
    """What an input is called where something follows from it."""
    match given:
        case EventInput():
            return translate.cause_of(given)
        case FetchedInput(fetched_id=fetched_id):
            return Cause(fetched_id)
        case _:
            return Cause(f"refold-{given.pending_id}")


def _as_provider(tx: Transaction, given: EventInput) -> Transaction:
    return tx.acting(translate.provider_actor(given.event.identity.provider), translate.cause_of(given))


def _tell_changes(
    tx: Transaction, given: Input, applied: Applied, names_of: _Names, journal_ids: Sequence[str]
) -> None:
    """What an input other than a provider event did to payments, invoices and payouts."""
    match given:
        case RefoldInput():
            view = tx.automatically(_cause(given))
        case FetchedInput(key=key):
            view = tx.acting(translate.provider_actor(key.provider), _cause(given))
        case EventInput():
            view = _as_provider(tx, given)
        case _:
            raise TypeError(f"{given!r} changes no payment")
    _tell_payments(view, applied, names_of.ids, journal_ids, described=not isinstance(given, RefoldInput))
    _tell_invoices(view, applied, names_of.ids)
    for payout in applied.payouts:
        before = applied.before.payout(payout.key)
        view.emit(translate.payout_updated(payout, names_of.payouts[payout.key], before, journal_ids))


def _tell_payments(
    view: Transaction,
    applied: Applied,
    ids: Ids,
    journal_ids: Sequence[str] = (),
    *,
    told: Key | None = None,
    described: bool = False,
) -> None:
    """Tell of every payment that changed, except `told`, which the telling of its event tells of.

    `described`: what changed them is a description of the payment itself, whatever else came of it.
    """
    for payment in applied.payments:
        if payment.key == told:
            continue
        was = next((each for each in applied.before.payments if each.key == payment.key), None)
        change = "described" if described else payment_change(was, payment)
        before = None if was is None else snapshot(was)
        view.emit(translate.payment_updated(payment, ids, change, before, snapshot(payment), journal_ids))
    for gone in applied.before.payments:
        if gone.key in applied.retired_payments:
            before, after = snapshot(gone), translate.merged(gone, applied.after.payment(gone.key), ids)
            view.emit(translate.payment_updated(gone, ids, "merged", before, after, ()))


def _tell_invoices(view: Transaction, applied: Applied, ids: Ids) -> None:
    for changed in applied.invoice_changes:
        paying = next(iter(changed.invoice.payments), None)
        before = applied.before.invoice(changed.invoice.key)
        payment_id = None if paying is None else ids.payment(paying)
        view.emit(translate.invoice_updated(changed, ids, before, payment_id))
