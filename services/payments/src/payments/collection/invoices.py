"""Invoices from the set of facts: those that Stripe issued, and those that a payment without one implies.

Every payment is for something. A payment that names an invoice which is not known yet stands in for it under the
invoice's own key, so that only what differs is corrected later; one that names none implies an invoice of its own,
which goes once a link to a real one is told.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final, Literal

from payments.collection.domain import (
    CreditNoteView,
    Fetch,
    InvoiceState,
    InvoiceView,
    Member,
    Members,
    PaymentView,
    Policy,
    Supply,
)
from payments.collection.facts import InvoiceOutcome, InvoicePaymentTold, InvoiceTold
from payments.collection.objects import IMPLIED, Key

_PAYERS_KNOWN_WITHIN_SECONDS: Final = 300
_RANK: Final[Mapping[InvoiceOutcome, int]] = {
    "finalized": 0,
    "payment_failed": 1,
    "uncollectible": 2,
    "paid": 3,
    "voided": 4,
}
GstRule = Literal["stated", "inclusive_half_up", "none"]


def gst_within(inclusive_minor: int) -> int:
    """Return the GST inside an amount: one eleventh, to the nearest cent, half a cent up."""
    return (2 * inclusive_minor + 11) // 22


def gst_of(total_minor: int, currency: str, stated: int | None, supply: Supply, policy: Policy) -> tuple[int, GstRule]:
    """Return the GST of one invoice and where the figure comes from.

    What the provider stated on the invoice is what the customer was given as a tax invoice, so it wins, to the cent.
    Otherwise the whole invoice is one supply and rounds once. There is no GST in a foreign currency.
    """
    if not policy.gst_registered or currency != policy.home_currency:
        return 0, "none"
    if stated is not None:
        return stated, "stated"
    return (gst_within(total_minor), "inclusive_half_up") if supply == "taxable" else (0, "none")


def links(told: Collection[InvoiceTold], joins: Collection[InvoicePaymentTold]) -> dict[Key, frozenset[Key]]:
    """Return the invoices that each PaymentIntent or charge pays, as invoices and invoice payments tell it."""
    found: dict[Key, set[Key]] = defaultdict(set)
    for invoice in told:
        for payer in (*invoice.intents, *invoice.charges):
            found[payer].add(invoice.invoice)
    for join in joins:
        for named in (join.intent, join.charge):
            if named is not None:
                found[named].add(join.invoice)
    return {payer: frozenset(invoices) for payer, invoices in found.items()}


def missing_payers(told: Collection[InvoiceTold], joins: Collection[InvoicePaymentTold]) -> list[Fetch]:
    """Return the invoices to read because a payment of theirs was made or failed and nobody has told which.

    From basil on only an invoice payment tells, and not every endpoint is sent those; until then the payment implies
    an invoice of its own beside the real one. What was paid outside Stripe has no payment there. Once an invoice was
    read it is not asked for again, whatever it showed.
    """
    tried = {
        each.invoice
        for each in told
        if each.outcome == "payment_failed" or (each.outcome == "paid" and each.due_minor > each.out_of_band_minor)
    }
    known = {each.invoice for each in told if each.intents or each.charges or each.told.type == "fetched"}
    known |= {each.invoice for each in joins}
    return [Fetch(key, "what pays it is not known", _PAYERS_KNOWN_WITHIN_SECONDS) for key in sorted(tried - known)]


def fold_invoices(
    told: Collection[InvoiceTold],
    payments: Sequence[PaymentView],
    notes: Mapping[Key, tuple[CreditNoteView, ...]],
    members: Members,
    policy: Policy,
) -> list[InvoiceView]:
    """Return the invoices of a group, sorted by key. `payments` name the invoice that they are for, if any is known."""
    stated: dict[Key, list[InvoiceTold]] = defaultdict(list)
    for fact in told:
        stated[fact.invoice].append(fact)
    paying: dict[Key, list[PaymentView]] = defaultdict(list)
    for payment in payments:
        if payment.invoice is not None:
            paying[payment.invoice].append(payment)
    real = [
        replace(_real(key, facts, paying.get(key, []), members, policy), credit_notes=notes.get(key, ()))
        for key, facts in stated.items()
    ]
    implied = [
        invoice
        for key, paid_by in paying.items()
        if key not in stated and (invoice := _implied(key, paid_by, members, policy)) is not None
    ]
    return sorted([*real, *implied], key=lambda invoice: invoice.key)


def _real(
    key: Key, facts: Sequence[InvoiceTold], paying: Sequence[PaymentView], members: Members, policy: Policy
) -> InvoiceView:
    latest = max(facts, key=lambda each: (each.told.at, _RANK[each.outcome], each.told.event_id))
    paid = [each for each in facts if each.outcome == "paid"]
    voided = [each for each in facts if each.outcome == "voided"]
    customer = min((each.customer for each in facts if each.customer), default=None)
    gst, rule = gst_of(latest.total_minor, latest.currency, latest.stated_tax_minor, policy.unstated, policy)
    return InvoiceView(
        key=key,
        state=_state({each.outcome for each in facts}),
        implied=False,
        total_minor=latest.total_minor,
        gst_minor=gst,
        gst_rule=rule,
        currency=latest.currency,
        issued_at=latest.issued_at,
        number=max((each.number for each in facts if each.number), default=None),
        customer=customer,
        member=_member(customer, paying, members),
        paid_at=min((each.paid_at or each.told.at for each in paid), default=None),
        due_on=latest.due_at.astimezone(policy.zone).date() if latest.due_at else None,
        out_of_band_minor=max((each.out_of_band_minor for each in paid), default=0),
        payments=tuple(payment.key for payment in paying),
        voided_at=min((each.ended_at or each.told.at for each in voided), default=None),
    )


def _state(outcomes: Collection[InvoiceOutcome]) -> InvoiceState:
    if "voided" in outcomes:
        return "void"
    if "paid" in outcomes:
        return "paid"
    return "uncollectible" if "uncollectible" in outcomes else "open"


def _member(customer: Key | None, paying: Sequence[PaymentView], members: Members) -> Member | None:
    """Return who owes the invoice: its customer, or whoever is known to have paid it, by reference or by a decision."""
    if customer is not None and customer in members:
        return members[customer]
    payers = sorted(payment.customer for payment in paying if payment.customer in members and payment.customer)
    if payers:
        return members[payers[0]]
    return min((each.matched for each in paying if each.matched), key=lambda each: each.id, default=None)


def implied_key(payment: Key) -> Key:
    """Return the key of the invoice that a payment implies."""
    return Key(payment.provider, payment.account, IMPLIED, payment.id)


def _owed(payment: PaymentView) -> tuple[datetime, int, str] | None:
    """Return since when, how much and in which currency a payment proves that something was owed.

    A direct debit that was submitted proves it, whatever became of it; a card that was refused proves nothing.
    """
    succeeded = [
        (movement.succeeded_at, movement.amount_minor, movement.currency)
        for movement in payment.movements
        if movement.succeeded_at is not None
    ]
    if payment.owed_since is not None and payment.amount_minor is not None and payment.currency is not None:
        return payment.owed_since, payment.amount_minor, payment.currency
    return min(succeeded, default=None)


def _implied(key: Key, paying: Sequence[PaymentView], members: Members, policy: Policy) -> InvoiceView | None:
    # What staff matched to an invoice that another payment implies pays it, and adds nothing to it.
    own = [each for each in paying if key.kind != IMPLIED or implied_key(each.key) == key]
    owed = [(payment, proof) for payment in own if (proof := _owed(payment)) is not None]
    if not owed:
        return None
    since, _, currency = min(proof for _, proof in owed)
    total = sum(amount for _, (_, amount, own) in owed if own == currency)
    gst, rule = gst_of(total, currency, None, policy.implied, policy)
    settled = [payment for payment, _ in owed if payment.state in ("succeeded", "paid_out")]
    customer = min((payment.customer for payment in own if payment.customer), default=None)
    said = min((each.matched for each in own if each.matched), key=lambda each: each.id, default=None)
    return InvoiceView(
        key=key,
        state="paid" if len(settled) == len(owed) else "open",
        implied=True,
        total_minor=total,
        gst_minor=gst,
        gst_rule=rule,
        currency=currency,
        issued_at=since,
        customer=customer,
        member=said or _member(customer, own, members),
        paid_at=max(each.succeeded_at for p in settled for each in p.movements if each.succeeded_at)
        if len(settled) == len(owed)
        else None,
        payments=tuple(payment.key for payment in paying),
    )
