"""Proposing whose a payment is, and agreeing to it: what is agreed to is a fact like any other."""

from __future__ import annotations

from dataclasses import replace

from chassis import versions
from chassis.clock import real_now
from chassis.ids import new_id
from chassis.transaction import Draft, Transaction
from contracts.envelope import Entity, Money, Snapshot, Workflow
from contracts.events import Named, PaymentMatchUpdated, Referenced

from payments.collection import use_cases as collection
from payments.collection.domain import Group, InvoiceView, Member, PaymentView, Policy
from payments.collection.objects import Key
from payments.collection.use_cases import Command, Rules
from payments.matching import domain, store
from payments.matching.domain import CannotMatchError, Match
from payments.members import store as members
from payments.staff import store as staff
from payments.staff.store import Found


class NoSuchMatchError(Exception):
    """There is no proposal with this id."""


class NoSuchThingError(Exception):
    """There is no payment, member or invoice with this id."""

    def __init__(self, kind: str, id: str) -> None:  # noqa: A002 - the member's name
        super().__init__(f"there is no {kind} {id}")
        self.kind = kind
        self.id = id


async def propose(
    tx: Transaction, payment_id: str, policy: Policy, *, member_id: str, invoice_id: str | None, reason: str
) -> Match:
    """Propose whose a payment is, and what it is for. Raises NoSuchThingError and CannotMatchError."""
    key = await store.payment_key(tx.connection, payment_id)
    if key is None:
        raise NoSuchThingError("payment", payment_id)
    member = await members.load(tx.connection, member_id)
    if member is None:
        raise NoSuchThingError("member", member_id)
    invoice = await _invoice(tx, invoice_id)
    known = Member(member.id, member.name)
    group = await collection.look(tx, Rules(policy), {key, *(invoice.about if invoice else ())})
    payment = domain.may_be(group.payment(key), _view(group, invoice), known)
    if await store.waiting(tx.connection, payment_id) is not None:
        raise CannotMatchError("a proposal about this payment waits for an answer: decide about that one first")
    by = tx.actor
    match = Match(
        new_id(),
        payment_id,
        key,
        known,
        by.id,
        by.name,
        real_now(),
        reason,
        "proposed",
        invoice.id if invoice else None,
    )
    await store.save(tx.connection, match)
    _tell(tx, "proposed", match, payment, None, _view(group, invoice), reason)
    return match


async def agree(tx: Transaction, match_id: str, policy: Policy, *, expected: int) -> Match:
    """Agree to a proposal of somebody else's: from now on the payment is that member's, from its own time on.

    Raises NoSuchMatchError, MatchOverError, OwnProposalError, CannotMatchError and StaleVersionError.
    """
    match = await _found(tx, match_id, expected)
    domain.agree(match, tx.actor.id)
    invoice = await _invoice(tx, match.invoice_id)
    seen: list[tuple[PaymentView | None, InvoiceView | None]] = []

    def decide(group: Group, command_id: str) -> Command:
        view = _view(group, invoice)
        fact = domain.fact_of(group, match, view, command_id, tx.now)
        seen.append((group.payment(match.payment), view))
        return Command(domain.MATCH, "matched", match.reason, [fact])

    about: set[Key] = {match.payment, *(invoice.about if invoice else ())}
    await collection.command(tx, Rules(policy), about, decide)
    after = _decided(tx, match, "agreed")
    await store.save(tx.connection, after)
    _tell(tx, "agreed", after, seen[0][0], match, seen[0][1], None)
    return after


async def deny(tx: Transaction, match_id: str, policy: Policy, *, reason: str, expected: int) -> Match:
    """Deny a proposal, or withdraw one's own. Raises NoSuchMatchError, MatchOverError and StaleVersionError."""
    match = await _found(tx, match_id, expected)
    state = domain.deny(match, tx.actor.id)
    group = await collection.look(tx, Rules(policy), {match.payment})
    after = _decided(tx, match, state)
    await store.save(tx.connection, after)
    change = "denied" if state == "denied" else "withdrew"
    _tell(tx, change, after, group.payment(match.payment), match, None, reason)
    return after


async def _found(tx: Transaction, match_id: str, expected: int) -> Match:
    match = await store.find(tx.connection, match_id, lock=True)
    if match is None:
        raise NoSuchMatchError(match_id)
    versions.require("payment_match", match_id, expected=expected, version=match.version)
    return match


async def _invoice(tx: Transaction, invoice_id: str | None) -> Found | None:
    if invoice_id is None:
        return None
    found = await staff.find_invoice(tx.connection, invoice_id)
    if found is None:
        raise NoSuchThingError("invoice", invoice_id)
    return found


def _view(group: Group, found: Found | None) -> InvoiceView | None:
    if found is None:
        return None
    view = group.invoice(found.key)
    if view is None:
        raise NoSuchThingError("invoice", found.id)
    return view


def _decided(tx: Transaction, match: Match, state: domain.State) -> Match:
    by = tx.actor
    return replace(
        match,
        state=state,
        decided_by=by.id,
        decided_by_name=by.name,
        decided_at=real_now(),
        version=match.version + 1,
    )


def _tell(
    tx: Transaction,
    change: str,
    match: Match,
    payment: PaymentView | None,
    before: Match | None,
    invoice: InvoiceView | None,
    reason: str | None,
) -> None:
    amount = None
    if payment is not None and payment.amount_minor is not None and payment.currency is not None:
        amount = Money(amount_minor=payment.amount_minor, currency=payment.currency)
    body = PaymentMatchUpdated(
        change=change,
        payment=Referenced(id=match.payment_id, reference=match.payment.id),
        member=Named(id=match.member.id, name=match.member.name),
        amount=amount,
        invoice=None if invoice is None else invoice.reference,
    )
    tx.emit(
        Draft(
            body,
            Entity(type="payment_match", id=match.id),
            Workflow(name="payment_collection", id=match.payment_id),
            before=None if before is None else _snapshot(before),
            after=_snapshot(match),
            reason=reason,
        )
    )


def _snapshot(match: Match) -> Snapshot:
    return {"state": match.state, "member": match.member.id, "invoice": match.invoice_id, "payment": match.payment_id}
