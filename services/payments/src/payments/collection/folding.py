"""The fold: payments and invoices as a pure function of the set of facts. Arrival plays no part."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import TypeVar

from payments.collection import decisions
from payments.collection.cards import fold_cards
from payments.collection.codec import names
from payments.collection.debits import fold_debits
from payments.collection.domain import Fetch, Group, Held, InvoiceView, Member, Members, PaymentView, Policy
from payments.collection.facts import (
    ChargeTold,
    CreditNoteTold,
    DebitDescribed,
    DebitTold,
    DisputeTold,
    EntryTold,
    Fact,
    IntentTold,
    InvoicePaymentTold,
    InvoiceTold,
    Noticed,
    PayoutListed,
    PayoutTold,
    Pointed,
    RefundTold,
)
from payments.collection.invoices import fold_invoices, implied_key, links, missing_payers
from payments.collection.objects import Key
from payments.collection.returns import attach, credit_notes
from payments.collection.settlement import fees, fold_entries, fold_payouts, missing_fees, missing_payouts

F = TypeVar("F", bound=Fact)


def fold(facts: Collection[Fact], members: Members, policy: Policy) -> Group:
    """Return what the facts tell. `facts` must be closed: all facts about every grouped object that they name."""
    decided = decisions.standing(facts)
    payments, fetches = _payments(facts)
    payments = decisions.match(payments, decided)
    charges, entries = _only(ChargeTold, facts), fold_entries(_only(EntryTold, facts))
    returned = attach(payments, _only(RefundTold, facts), _only(DisputeTold, facts), entries, charges)
    notes = credit_notes(_only(CreditNoteTold, facts))
    folded = fold_invoices(_only(InvoiceTold, facts), returned.payments, notes, members, policy)
    folded = decisions.settle(folded, returned.payments, decided)
    by_key = {invoice.key: invoice for invoice in folded}
    sorted_payments = sorted(returned.payments, key=lambda each: each.key)
    told_payouts = _only(PayoutTold, facts)
    payouts = fold_payouts(told_payouts, _only(PayoutListed, facts), decisions.banked(decided))
    fetches += [*returned.fetches, *missing_fees(charges, entries), *missing_payouts(payouts, told_payouts)]
    fetches += missing_payers(_only(InvoiceTold, facts), _only(InvoicePaymentTold, facts))
    return Group(
        payments=tuple(_owned(payment, by_key, members) for payment in sorted_payments),
        invoices=tuple(folded),
        fetches=_soonest([*fetches, *_pointed(facts)]),
        refunds=returned.refunds,
        disputes=returned.disputes,
        fees=fees(entries),
        payouts=payouts,
    )


def _payments(facts: Collection[Fact]) -> tuple[list[PaymentView], list[Fetch]]:
    """Return the payments by card and by direct debit, with the invoice that each names, and what they lack."""
    payments: list[PaymentView] = []
    fetches: list[Fetch] = []
    invoices = _only(InvoiceTold, facts)
    linked = links(invoices, _only(InvoicePaymentTold, facts))
    warned = {fact.charge for fact in _only(Noticed, facts) if fact.about.startswith("early_fraud_warning/")}
    for card in fold_cards(_only(ChargeTold, facts), _only(IntentTold, facts)):
        named = card.invoices.union(*(linked.get(key, frozenset()) for key in card.view.objects))
        retried = _retried_by_the_provider(card.view, invoices, named)
        invoice = min(named, default=None) or implied_key(card.view.key)
        seen = not warned.isdisjoint(card.view.objects)
        payments.append(replace(card.view, invoice=invoice, will_attempt_retry=retried, warned=seen))
        fetches += card.fetches
    for debit in fold_debits(_only(DebitTold, facts), _only(DebitDescribed, facts)):
        payments.append(replace(debit.view, invoice=implied_key(debit.view.key)))
        fetches += debit.fetches
    return payments, fetches


def _pointed(facts: Collection[Fact]) -> list[Fetch]:
    """Return what thin events point at and nothing has told of since."""
    fetches = []
    for pointed in _only(Pointed, facts):
        known = any(
            not isinstance(fact, Pointed) and fact.told.at >= pointed.told.at and pointed.to in names(fact)
            for fact in facts
        )
        if not known:
            fetches.append(Fetch(pointed.to, "a thin event points at it", 0))
    return fetches


def _soonest(fetches: Collection[Fetch]) -> tuple[Fetch, ...]:
    """Return one fetch for each object, the soonest."""
    found: dict[Key, Fetch] = {}
    for fetch in sorted(fetches, key=lambda each: (each.key, each.after_seconds, each.why)):
        found.setdefault(fetch.key, fetch)
    return tuple(found.values())


def _retried_by_the_provider(
    payment: PaymentView, invoices: Collection[InvoiceTold], named: Collection[Key]
) -> bool | None:
    """True where the newest failure of the payment's invoice says that Stripe tries again itself."""
    if payment.state != "failed":
        return None
    failed = [each for each in invoices if each.outcome == "payment_failed" and each.invoice in named]
    newest = max(failed, key=lambda each: (each.told.at, each.told.event_id), default=None)
    return newest.provider_retries if newest else None


def _only(kind: type[F], facts: Collection[Fact]) -> list[F]:
    return [fact for fact in facts if isinstance(fact, kind)]


def _owned(payment: PaymentView, invoices: Mapping[Key, InvoiceView], members: Members) -> PaymentView:
    """Give the payment its member: who owes its invoice, else whose it is by decision or customer. Else it waits."""
    invoice = invoices.get(payment.invoice) if payment.invoice else None
    member = (invoice.member if invoice else None) or payment.matched
    if member is None and payment.customer is not None:
        member = members.get(payment.customer)
    return _of(member, replace(payment, invoice=payment.invoice if invoice else None))


def _of(member: Member | None, payment: PaymentView) -> PaymentView:
    awaiting = tuple(each for each in payment.awaiting if each != "awaiting customer")
    unknown = member is None and "awaiting payment" not in awaiting
    return replace(payment, member=member, awaiting=(*awaiting, "awaiting customer") if unknown else awaiting)


def as_held(group: Group, held: Held) -> Group:
    """Return the group as it was saved and told last: a member may have become known, or changed, since then."""
    payments = tuple(
        each if held.get(each.key, each.member) == each.member else _of(held[each.key], each) for each in group.payments
    )
    invoices = tuple(
        each if held.get(each.key, each.member) == each.member else replace(each, member=held[each.key])
        for each in group.invoices
    )
    return replace(group, payments=payments, invoices=invoices)
