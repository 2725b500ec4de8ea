"""Whose a payment is that nobody knew: somebody proposes, somebody else agrees, and only then it holds.

A guess, whoever makes it, is a proposal and no more. A reference of a member's that the provider names is none: it
matches by itself, and is not proposed here.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from payments.collection.domain import Group, InvoiceView, Member, PaymentView
from payments.collection.facts import Matched, Told
from payments.collection.invoices import implied_key
from payments.collection.objects import INVOICE, Key

MATCH: Final = "match_payment"
State = Literal["proposed", "agreed", "denied", "withdrawn"]


class CannotMatchError(Exception):
    """A payment that cannot be matched so: the sentence says why, and what to do instead."""


class OwnProposalError(Exception):
    """Whoever has proposed a match cannot be the one who agrees to it."""

    def __init__(self) -> None:
        super().__init__("you have proposed this match yourself: somebody else has to agree to it")


class MatchOverError(Exception):
    """It was decided already."""

    def __init__(self, state: State) -> None:
        super().__init__(f"this match is {state} already: propose another one")
        self.state = state


@dataclass(frozen=True, slots=True)
class Match:
    """A proposal. `invoice_key` is what the payment is for: an invoice, or what the payment itself implies (None)."""

    id: str
    payment_id: str
    payment: Key
    member: Member
    proposed_by: str
    proposed_by_name: str
    proposed_at: datetime
    reason: str
    state: State = "proposed"
    invoice_id: str | None = None
    decided_by: str | None = None
    decided_by_name: str | None = None
    decided_at: datetime | None = None
    version: int = 1


def may_be(payment: PaymentView | None, invoice: InvoiceView | None, member: Member) -> PaymentView:
    """Return the payment if it may be matched to the member and the invoice. Raises CannotMatchError."""
    if payment is None or payment.amount_minor is None:
        raise CannotMatchError("the amount of this payment is not known yet: it is being read from its provider")
    if payment.member is not None and payment.matched is None:
        whose = f"this payment is {payment.member.name}'s by their customer reference"
        raise CannotMatchError(f"{whose}: change the member's references instead")
    if invoice is None:
        return payment
    if invoice.member is None or invoice.member.id != member.id:
        raise CannotMatchError(f"invoice {invoice.reference} is not {member.name}'s: choose one that is")
    if invoice.currency != payment.currency:
        raise CannotMatchError(
            f"invoice {invoice.reference} is in {invoice.currency}, the payment in {payment.currency}: they never net"
        )
    if invoice.state == "void":
        raise CannotMatchError(f"invoice {invoice.reference} is void: choose one that is open")
    return payment


def fact_of(group: Group, match: Match, invoice: InvoiceView | None, command_id: str, at: datetime) -> Matched:
    """Return what the match tells once it is agreed to. Raises CannotMatchError."""
    payment = may_be(group.payment(match.payment), invoice, match.member)
    to = None if invoice is None else _named(group, invoice)
    return Matched(Told(command_id, MATCH, at), payment.key, match.member.id, match.member.name, to)


def _named(group: Group, invoice: InvoiceView) -> Key:
    """Return what names the invoice in a fact: itself, or the payment that implies it."""
    if invoice.key.kind == INVOICE:
        return invoice.key
    return next(each.key for each in group.payments if implied_key(each.key) == invoice.key)


def agree(match: Match, by: str) -> None:
    """Check that `by` may agree to a match. Raises MatchOverError and OwnProposalError."""
    if match.state != "proposed":
        raise MatchOverError(match.state)
    if by == match.proposed_by:
        raise OwnProposalError


def deny(match: Match, by: str) -> State:
    """Return what becomes of a match that is not to be: its proposer withdraws it. Raises MatchOverError."""
    if match.state != "proposed":
        raise MatchOverError(match.state)
    return "withdrawn" if by == match.proposed_by else "denied"
