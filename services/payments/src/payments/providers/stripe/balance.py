"""What moved at Stripe and what went to the bank: balance transactions and payouts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from payments.collection.facts import EntryTold, Fact, PayoutItem, PayoutListed, PayoutOutcome, PayoutTold
from payments.collection.objects import CHARGE, DISPUTE, ENTRY, PAYOUT, REFUND, Key
from payments.providers.fields import (
    Given,
    currency,
    instant,
    instant_or_none,
    objects,
    reference_or_none,
    signed_amount,
    text,
    text_or_none,
    truth_or_none,
    words_or_none,
)
from payments.providers.stripe.payments import Source

_KIND_OF_TYPE: Final[Mapping[str, str]] = {
    "charge": CHARGE,
    "payment": CHARGE,
    "refund": REFUND,
    "payment_refund": REFUND,
    "refund_failure": REFUND,
    "payment_failure_refund": REFUND,
    "payment_reversal": REFUND,
    "payout": PAYOUT,
    "payout_cancel": PAYOUT,
    "payout_failure": PAYOUT,
}
_KIND_OF_CATEGORY: Final[Mapping[str, str]] = {"dispute": DISPUTE, "dispute_reversal": DISPUTE}
_KIND_OF_OBJECT: Final[Mapping[str, str]] = {
    "charge": CHARGE,
    "refund": REFUND,
    "dispute": DISPUTE,
    "payout": PAYOUT,
}
_PAYOUTS: Final[Mapping[str, PayoutOutcome]] = {
    "pending": "created",
    "in_transit": "created",
    "paid": "paid",
    "failed": "failed",
    "canceled": "canceled",
}
_OF_ITS_OWN: Final = frozenset({"payout", "payout_cancel", "payout_failure"})
"""Balance transactions of payouts themselves: a payout's listing holds its own."""


def entry(source: Source, given: Given, *, of: Key | None = None, payout: str | None = None) -> EntryTold:
    """Return what a balance transaction tells. `of` is the object that carried it, `payout` the one that listed it."""
    type_ = text(given, "type")
    category = text_or_none(given, "reporting_category") or type_
    return EntryTold(
        told=source.told,
        entry=source.own(ENTRY, given),
        type=type_,
        category=category,
        amount_minor=signed_amount(given, "amount"),
        fee_minor=signed_amount(given, "fee") if given.get("fee") is not None else 0,
        gst_minor=sum(
            signed_amount(each, "amount")
            for each in objects(given, "fee_details")
            if each.get("type") in ("tax", "withheld_tax")
        ),
        currency=currency(given),
        created_at=instant(given, "created"),
        source=of or _source(source, given, type_, category),
        payout=payout,
    )


def _source(source: Source, given: Given, type_: str, category: str) -> Key | None:
    """Return what the entry is about. Its id is never parsed: type and category say what kind of object it is."""
    shown = given.get("source")
    kind = _KIND_OF_OBJECT.get(shown.get("object", "")) if isinstance(shown, dict) else None
    kind = kind or _KIND_OF_CATEGORY.get(category) or _KIND_OF_TYPE.get(type_)
    return source.key(kind, reference_or_none(given, "source")) if kind else None


def payout(source: Source, given: Given, outcome: PayoutOutcome | None = None) -> PayoutTold:
    """Return what a payout tells. `outcome` is the event's where its type says it; else its status counts."""
    arrival = instant_or_none(given, "arrival_date")
    return PayoutTold(
        told=source.told,
        payout=source.own(PAYOUT, given),
        outcome=outcome or _PAYOUTS.get(text(given, "status"), "created"),
        amount_minor=signed_amount(given, "amount"),
        currency=currency(given),
        created_at=instant(given, "created"),
        arrives_on=arrival.date() if arrival else None,
        automatic=truth_or_none(given, "automatic") is not False,
        failure=words_or_none(given, "failure_code"),
        reference=words_or_none(given, "statement_descriptor") or words_or_none(given, "description"),
    )


def listing(source: Source, shown: PayoutTold, entries: list[Mapping[str, Any]]) -> list[Fact]:
    """Return what the balance transactions of a payout tell: each for its own object, and together the payout."""
    told = [entry(source, each, payout=shown.payout.id) for each in entries]
    carried = [each for each in told if each.type not in _OF_ITS_OWN]
    items = tuple(
        PayoutItem(
            type=each.type,
            tenths=10 * (each.amount_minor - each.fee_minor),
            source=each.source.id if each.source else each.entry.id,
        )
        for each in sorted(carried, key=lambda each: each.entry)
    )
    return [*carried, PayoutListed(source.told, shown.payout, shown.currency or "", items)]
