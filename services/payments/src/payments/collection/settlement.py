"""What reached the balance and the bank: Stripe's balance transactions, and payouts with their lines.

A payout's lines are tenths of a cent: they are summed, and the sum rounds once. What the payout is more or less than
its lines is its difference: 0 where it is explained, and otherwise the amount that an owner has to ask about.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

from payments.collection.domain import EntryView, Fetch, PayoutState, PayoutView
from payments.collection.facts import ChargeTold, EntryTold, PayoutItem, PayoutListed, PayoutTold
from payments.collection.objects import ENTRY, Key

_FEE_KNOWN_WITHIN_SECONDS: Final = 300
_FEES: Final = frozenset({"gocardless_fee", "surcharge_fee", "app_fee", "revenue_share"})
DISPUTED: Final = frozenset({"dispute", "dispute_reversal"})
"""Categories of what a dispute took and gave back, its fee inside; a fee by itself is of none of them."""


def fold_entries(told: Collection[EntryTold]) -> tuple[EntryView, ...]:
    """Return the balance transactions, sorted by key: what they say of amounts never changes."""
    found: dict[Key, list[EntryTold]] = defaultdict(list)
    for fact in told:
        found[fact.entry].append(fact)
    return tuple(_entry(key, facts) for key, facts in sorted(found.items()))


def _entry(key: Key, facts: Sequence[EntryTold]) -> EntryView:
    latest = max(facts, key=lambda each: (each.told.at, each.told.event_id))
    return EntryView(
        key=key,
        type=latest.type,
        category=latest.category,
        amount_minor=latest.amount_minor,
        fee_minor=latest.fee_minor,
        gst_minor=latest.gst_minor,
        currency=latest.currency,
        at=latest.created_at,
        source=min((each.source for each in facts if each.source), default=None),
    )


def fees(entries: Collection[EntryView]) -> tuple[EntryView, ...]:
    """Return the entries that cost something: a fee inside them, or a fee that is the whole of them."""
    return tuple(
        each
        for each in entries
        if each.category not in DISPUTED and (each.fee_minor or each.type in ("stripe_fee", "tax_fee"))
    )


def missing_fees(charges: Collection[ChargeTold], entries: Collection[EntryView]) -> list[Fetch]:
    """Return the balance transactions to read, of charges that succeeded: events never carry the fee."""
    known = {each.key for each in entries}
    named = {
        Key("stripe", fact.charge.account, ENTRY, fact.entry)
        for fact in charges
        if fact.entry is not None and fact.outcome == "succeeded"
    }
    why = "its fee is not known yet"
    return [Fetch(key, why, _FEE_KNOWN_WITHIN_SECONDS) for key in sorted(named - known)]


def fold_payouts(
    told: Collection[PayoutTold], listed: Collection[PayoutListed], banked: Mapping[Key, datetime]
) -> tuple[PayoutView, ...]:
    """Return the payouts, sorted by key. `banked` is when staff found each on the bank's statement."""
    found: dict[Key, list[PayoutTold]] = defaultdict(list)
    for fact in told:
        found[fact.payout].append(fact)
    lines: dict[Key, list[PayoutListed]] = defaultdict(list)
    for listing in listed:
        lines[listing.payout].append(listing)
    return tuple(
        replace(_payout(key, found[key], lines[key]), banked_at=banked.get(key)) for key in sorted({*found, *lines})
    )


def _payout(key: Key, told: Sequence[PayoutTold], listed: Sequence[PayoutListed]) -> PayoutView:
    known = max(
        (each for each in told if each.amount_minor is not None),
        key=lambda each: (each.told.at, each.amount_minor or 0, each.told.event_id),
        default=None,
    )
    outcomes = {each.outcome for each in told}
    ended = [each for each in told if each.outcome in ("failed", "canceled")]
    state: PayoutState = "created"
    if ended:
        state = "failed" if "failed" in outcomes else "canceled"
    elif "paid" in outcomes:
        state = "paid"
    view = PayoutView(
        key=key,
        state=state,
        amount_minor=known.amount_minor if known else None,
        currency=known.currency if known else None,
        created_at=known.created_at if known else None,
        ended_at=min((each.told.at for each in ended), default=None),
        arrives_on=known.arrives_on if known else None,
        automatic=known.automatic if known else True,
        reference=known.reference if known else None,
    )
    newest = max(listed, key=lambda each: (each.told.at, len(each.items), each.told.event_id), default=None)
    return view if newest is None else _explained(view, newest.items)


def _explained(view: PayoutView, items: tuple[PayoutItem, ...]) -> PayoutView:
    total = sum(each.tenths for each in items)
    paid = view.amount_minor if view.amount_minor is not None else _cents(total)
    fee, gst = 0, 0
    if view.key.provider == "gocardless":
        fee_tenths = sum(each.tenths for each in items if each.type in _FEES)
        # The whole rounds once, so the fee is what that leaves: all other lines are whole cents.
        fee = (total - fee_tenths) // 10 - _cents(total)
        gst = -_cents(sum(each.gst_tenths for each in items if each.type in _FEES))
    return replace(
        view, items=items, listed_tenths=total, difference_minor=paid - _cents(total), fee_minor=fee, gst_minor=gst
    )


def _cents(tenths: int) -> int:
    """Round tenths of a cent to cents, half a cent up."""
    return (tenths + 5) // 10


def missing_payouts(payouts: Sequence[PayoutView], told: Collection[PayoutTold]) -> list[Fetch]:
    """Return the payouts to read: those that are only named, and those whose lines can be listed now."""
    fetches = []
    for payout in payouts:
        outcomes = {each.outcome for each in told if each.payout == payout.key}
        listable = payout.automatic and (payout.key.provider == "gocardless" or "reconciled" in outcomes)
        if payout.amount_minor is None:
            fetches.append(Fetch(payout.key, "its amount is unknown", 0))
        elif payout.listed_tenths is None and listable:
            fetches.append(Fetch(payout.key, "its lines are unknown", 0))
    return fetches
