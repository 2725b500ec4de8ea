"""Telling what a batch did: one event for each business entity that an input changed, in the order of the inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from chassis.transaction import Cause, Transaction

from payments.collection import translate
from payments.collection.objects import Key
from payments.collection.store import Ids
from payments.collection.telling import InvoiceChange, Telling, not_understood, payment_change, snapshot
from payments.collection.working_set import Applied
from payments.deliveries.inputs import (
    AlternativeInput,
    CommandInput,
    ConflictInput,
    EventInput,
    FetchedInput,
    Input,
    RefoldInput,
)
from payments.deliveries.store import EventOutcome
from payments.recovery.use_cases import Changes


@dataclass(frozen=True, slots=True)
class Names:
    """Our ids of everything that a batch tells of."""

    ids: Ids
    journals: Mapping[str, str]
    payouts: Mapping[Key, str]


def tell(
    tx: Transaction,
    given: Sequence[Input],
    batch: Sequence[tuple[Input, Applied]],
    names_of: Names,
    plans: Changes,
) -> Sequence[EventOutcome]:
    """Emit what each input did, in their order; returns what is to be noted on provider events."""
    ids, journal_ids = names_of.ids, names_of.journals
    last = _last_told(batch)
    by_input = {each.pending_id: applied for each, applied in batch}
    outcomes: list[EventOutcome] = []
    for each in given:
        applied = by_input.get(each.pending_id)
        posted = [journal_ids[journal.source_key] for journal in applied.journals] if applied else []
        if isinstance(each, ConflictInput):
            _as_provider(tx, each).emit(translate.conflicted(each))
        elif isinstance(each, EventInput) and not isinstance(each, AlternativeInput):
            telling = telling_of(each, applied)
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
    plans.tell({view.key: tx.automatically(_cause(each)) for each, done in batch for view in done.payments})
    return outcomes


def telling_of(given: EventInput, applied: Applied | None) -> Telling:
    """Return what is told of a provider event that did this."""
    return (applied and applied.telling) or not_understood(given.event.type)


def _last_told(batch: Sequence[tuple[Input, Applied]]) -> dict[int, Key]:
    """Of each payment that events moved, the last of them: it shows what became of the payment's retry as well."""
    last = {
        applied.telling.payment.key: each.pending_id
        for each, applied in batch
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
        case CommandInput(command_id=command_id):
            return Cause(command_id)
        case _:
            return Cause(f"refold-{given.pending_id}")


def _as_provider(tx: Transaction, given: EventInput) -> Transaction:
    return tx.acting(translate.provider_actor(given.event.identity.provider), translate.cause_of(given))


def _tell_changes(tx: Transaction, given: Input, applied: Applied, names_of: Names, journal_ids: Sequence[str]) -> None:
    """What an input other than a provider event did to payments, invoices and payouts."""
    match given:
        case RefoldInput():
            view = tx.automatically(_cause(given))
        case FetchedInput(key=key):
            view = tx.acting(translate.provider_actor(key.provider), _cause(given))
        case EventInput():
            view = _as_provider(tx, given)
        case CommandInput():
            _tell_command(tx, given, applied, names_of, journal_ids)
            return
        case _:
            raise TypeError(f"{given!r} changes no payment")
    _tell_payments(view, applied, names_of.ids, journal_ids, described=not isinstance(given, RefoldInput))
    _tell_invoices(view, applied, names_of.ids)
    for payout in applied.payouts:
        before = applied.before.payout(payout.key)
        view.emit(translate.payout_updated(payout, names_of.payouts[payout.key], before, journal_ids))


def _tell_command(
    tx: Transaction, given: CommandInput, applied: Applied, names_of: Names, journal_ids: Sequence[str]
) -> None:
    """Tell of everything that a decision changed, in its words and with its reason; whoever acts in `tx` decided."""
    ids = names_of.ids
    for payment in applied.payments:
        was = next((each for each in applied.before.payments if each.key == payment.key), None)
        before = None if was is None else snapshot(was)
        told = translate.payment_updated(payment, ids, given.words, before, snapshot(payment), journal_ids)
        tx.emit(replace(told, reason=given.reason))
    for invoice in applied.invoices:
        paying = next(iter(invoice.payments), None)
        # An implied invoice that a real one replaced is void by that, whatever was decided.
        change = InvoiceChange("voided" if invoice.implied and invoice.state == "void" else given.words, invoice)
        was_invoice = applied.before.invoice(invoice.key)
        paid_by = None if paying is None else ids.payment(paying)
        told_of_it = translate.invoice_updated(change, ids, was_invoice, paid_by, journal_ids)
        tx.emit(replace(told_of_it, reason=given.reason))
    for payout in applied.payouts:
        was_payout = applied.before.payout(payout.key)
        payout_id = names_of.payouts[payout.key]
        paid_out = translate.payout_updated(payout, payout_id, was_payout, journal_ids, given.words)
        tx.emit(replace(paid_out, reason=given.reason))


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
