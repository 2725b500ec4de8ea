"""Refunds, disputes and credit notes from the set of facts.

A refund counts from its time at the provider, and refunds of one payment in the order of that time, then of their ids.
One that would give back more than the payment brought is refused here: it is kept and shown, and posts nothing. What a
dispute moved stands in its balance transactions; its status alone moves nothing but the debt, when it is lost.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final, TypeVar

from payments.collection.domain import (
    CreditNoteView,
    DisputeView,
    EntryView,
    Fetch,
    PaymentView,
    RefundState,
    RefundView,
)
from payments.collection.facts import ChargeTold, CreditNoteTold, DisputeTold, RefundTold
from payments.collection.objects import CHARGE, DEBIT, ENTRY, Key
from payments.collection.settlement import DISPUTED

_ARRIVES_WITHIN_SECONDS: Final = 60
_DISPUTE_RANK: Final = ("inquiry", "open", "inquiry_closed", "prevented", "won", "lost")
_NEVER: Final = datetime.max.replace(tzinfo=UTC)
_PAID: Final = frozenset({"paid", "settled", "returned"})
_BACK: Final = frozenset({"failed", "returned"})
T = TypeVar("T")
F = TypeVar("F", RefundTold, DisputeTold, CreditNoteTold)


@dataclass(frozen=True, slots=True)
class Returned:
    """Payments with what took their money back, and what is of no payment that is known."""

    payments: tuple[PaymentView, ...]
    refunds: tuple[RefundView, ...]
    disputes: tuple[DisputeView, ...]
    fetches: tuple[Fetch, ...]


def attach(
    payments: Sequence[PaymentView],
    refunds: Collection[RefundTold],
    disputes: Collection[DisputeTold],
    entries: Collection[EntryView],
    charges: Collection[ChargeTold],
) -> Returned:
    """Give each payment its refunds and disputes. `payments` know their objects; a charge names what it is part of."""
    owner = {key: payment.key for payment in payments for key in payment.objects}
    folded = [_refund(key, told, owner) for key, told in _by(refunds, lambda fact: fact.refund).items()]
    disputed = [_dispute(key, told, owner, entries) for key, told in _by(disputes, lambda fact: fact.dispute).items()]
    fetches = [*_missing_refunds(charges, folded, owner), *_missing_entries(disputes, entries)]
    fetches += _missing_payments(folded, refunds, disputed, disputes)
    found = tuple(
        _with(
            payment,
            [each for each in folded if each.payment == payment.key],
            [each for each in disputed if each.payment == payment.key],
        )
        for payment in payments
    )
    return Returned(
        payments=found,
        refunds=tuple(sorted((each for each in folded if each.payment is None), key=lambda each: each.key)),
        disputes=tuple(sorted((each for each in disputed if each.payment is None), key=lambda each: each.key)),
        fetches=tuple(fetches),
    )


def _by(facts: Iterable[F], key: Callable[[F], Key]) -> dict[Key, list[F]]:
    found: dict[Key, list[F]] = defaultdict(list)
    for fact in facts:
        found[key(fact)].append(fact)
    return dict(sorted(found.items()))


def _refund(key: Key, told: Sequence[RefundTold], owner: dict[Key, Key]) -> RefundView:
    known = max(
        (each for each in told if each.amount_minor is not None),
        key=lambda each: (each.told.at, each.amount_minor or 0, each.told.event_id),
        default=None,
    )
    named = sorted({owner[each] for fact in told for each in (fact.payment, fact.intent) if each in owner and each})
    outcomes = {each.outcome for each in told}
    created_at = known.created_at if known else None
    back_at = _first(told, _BACK)
    # Stripe takes a refund out of the balance when it is made, whatever it is called; GoCardless says when.
    moves = bool(outcomes & _PAID) or (key.provider == "stripe" and "failed" in outcomes)
    paid_at = created_at if key.provider == "stripe" else _first(told, {"paid"}) or _first(told, {"settled"})
    canceled_at = _first(told, {"canceled"}) if not moves else None
    state: RefundState = "failed" if back_at else "paid" if moves else "canceled" if canceled_at else "pending"
    return RefundView(
        key=key,
        state=state,
        amount_minor=known.amount_minor if known else None,
        currency=known.currency if known else None,
        payment=named[0] if named else None,
        created_at=created_at,
        paid_at=_not_before(paid_at or back_at, created_at) if moves else None,
        failed_at=_not_before(back_at, created_at) if moves else None,
        canceled_at=_not_before(canceled_at, created_at),
        failure=max((each.failure for each in told if each.failure), default=None),
    )


def _first(told: Iterable[RefundTold], outcomes: Collection[str]) -> datetime | None:
    return min((each.told.at for each in told if each.outcome in outcomes), default=None)


def _not_before(at: datetime | None, start: datetime | None) -> datetime | None:
    return max(at, start) if at and start else at


def _dispute(
    key: Key, told: Sequence[DisputeTold], owner: dict[Key, Key], entries: Collection[EntryView]
) -> DisputeView:
    latest = max(told, key=lambda each: (_DISPUTE_RANK.index(each.status), each.told.at, each.told.event_id))
    named = sorted({owner[each] for fact in told for each in (fact.charge, fact.intent) if each in owner and each})
    lost_at = min((each.told.at for each in told if each.status == "lost"), default=None)
    return DisputeView(
        key=key,
        status=latest.status,
        amount_minor=latest.amount_minor,
        currency=latest.currency,
        created_at=latest.created_at,
        payment=named[0] if named else None,
        lost_at=lost_at if latest.status == "lost" else None,
        reason=latest.reason,
        refundable=latest.refundable,
        evidence_due_at=latest.evidence_due_at,
        entries=tuple(each for each in entries if each.source == key and each.category in DISPUTED),
    )


def _with(payment: PaymentView, refunds: Sequence[RefundView], disputes: Sequence[DisputeView]) -> PaymentView:
    if not refunds and not disputes:
        return payment
    brought = sum(each.amount_minor for each in payment.movements if each.succeeded_at is not None)
    judged: list[RefundView] = []
    waiting = payment.awaiting
    for each in sorted(refunds, key=lambda each: (each.created_at or _NEVER, each.key)):
        wanted = each.amount_minor or 0
        counts = each.canceled_at is None and each.amount_minor is not None
        if counts and payment.movements and (wanted > brought or each.currency != payment.movements[0].currency):
            judged.append(replace(each, state="refused"))
            waiting = waiting if "awaiting review" in waiting else (*waiting, "awaiting review")
            continue
        brought -= wanted if counts else 0
        judged.append(each)
    named = payment.objects | {each.key for each in refunds} | {each.key for each in disputes}
    return replace(payment, refunds=tuple(judged), disputes=tuple(disputes), objects=named, awaiting=waiting)


def _missing_refunds(
    charges: Collection[ChargeTold], refunds: Sequence[RefundView], owner: dict[Key, Key]
) -> list[Fetch]:
    """Return the charges to read because more was refunded of them than the refunds that are known."""
    fetches = []
    for key, told in sorted(_charges(charges).items()):
        newest = max(told, key=lambda each: (each.refunded_minor, each.told.at))
        known = sum(each.amount_minor or 0 for each in refunds if each.payment == owner[key])
        asked = any(each.told.type == "fetched" and each.refunded_minor == newest.refunded_minor for each in told)
        if newest.refunded_minor > known and not asked:
            fetches.append(Fetch(key, "more was refunded than the refunds that are known", _ARRIVES_WITHIN_SECONDS))
    return fetches


def _charges(charges: Collection[ChargeTold]) -> dict[Key, list[ChargeTold]]:
    found: dict[Key, list[ChargeTold]] = defaultdict(list)
    for each in charges:
        found[each.charge].append(each)
    return found


def _missing_entries(disputes: Collection[DisputeTold], entries: Collection[EntryView]) -> list[Fetch]:
    known = {each.key for each in entries}
    named = {Key("stripe", fact.dispute.account, ENTRY, id_) for fact in disputes for id_ in fact.entries}
    return [Fetch(key, "what a dispute moved is not known yet", 0) for key in sorted(named - known)]


def _missing_payments(
    refunds: Sequence[RefundView],
    told: Collection[RefundTold],
    disputes: Sequence[DisputeView],
    disputed: Collection[DisputeTold],
) -> list[Fetch]:
    """Return what to read: a refund that is only named, and the payment of what takes money back."""
    fetches = []
    for refund in refunds:
        if refund.amount_minor is None:
            fetches.append(Fetch(refund.key, "its amount and payment are unknown", 0))
        elif refund.payment is None:
            fetches += [
                Fetch(fact.payment, "a refund names it", _delay(fact.payment))
                for fact in told
                if fact.refund == refund.key and fact.payment is not None
            ]
    for dispute in disputes:
        if dispute.payment is None:
            fetches += [
                Fetch(fact.charge, "a dispute names it", _delay(fact.charge))
                for fact in disputed
                if fact.dispute == dispute.key and fact.charge is not None
            ]
    return sorted(set(fetches), key=lambda fetch: fetch.key)


def _delay(key: Key) -> int:
    return 0 if key.kind == DEBIT else _ARRIVES_WITHIN_SECONDS if key.kind == CHARGE else 0


def credit_notes(told: Collection[CreditNoteTold]) -> dict[Key, tuple[CreditNoteView, ...]]:
    """Return the credit notes of each invoice, in the order of their time, then of their ids."""
    found: dict[Key, list[CreditNoteView]] = defaultdict(list)
    for key, facts in _by(told, lambda fact: fact.credit_note).items():
        latest = max(facts, key=lambda each: (each.voided, each.told.at, each.told.event_id))
        voided = [each for each in facts if each.voided]
        credited = latest.total_minor - latest.refunded_minor
        gst = latest.gst_minor or 0
        found[latest.invoice].append(
            CreditNoteView(
                key=key,
                credited_minor=credited,
                gst_minor=(2 * gst * credited + latest.total_minor) // (2 * latest.total_minor) if credited else 0,
                at=latest.created_at,
                voided_at=min((each.voided_at or each.told.at for each in voided), default=None),
                number=latest.number,
            )
        )
    return {invoice: tuple(sorted(notes, key=lambda each: (each.at, each.key))) for invoice, notes in found.items()}
