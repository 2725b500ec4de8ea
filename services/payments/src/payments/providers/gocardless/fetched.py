"""What the GoCardless API's answers tell: payments with their mandates, refunds, payouts with their lines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from payments.collection.facts import (
    DebitDescribed,
    Fact,
    PayoutItem,
    PayoutListed,
    PayoutTold,
    RefundOutcome,
    RefundTold,
    Told,
)
from payments.collection.objects import CUSTOMER, DEBIT, Key
from payments.deliveries.domain import UnreadableReason
from payments.providers.fields import (
    Given,
    UnreadableError,
    amount,
    currency,
    day_or_none,
    instant,
    object_or_none,
    objects,
    signed_amount,
    tenths,
    text,
    text_or_none,
    words_or_none,
)
from payments.providers.gocardless.events import key as key_of

_REFUNDS: Final[Mapping[str, RefundOutcome]] = {
    "created": "pending",
    "pending_submission": "pending",
    "submitted": "pending",
    "paid": "paid",
    "cancelled": "canceled",
    "bounced": "failed",
    "failed": "failed",
    "funds_returned": "returned",
}


def payment(told: Told, key: Key, given: Given) -> DebitDescribed:
    """Return what `{"payments": {...}, "mandates": {...}}` tells, the latter where it was read."""
    shown = _shown(given, "payments", key)
    mandate = object_or_none(given, "mandates") or {}
    customer = text_or_none(object_or_none(mandate, "links") or {}, "customer")
    return DebitDescribed(
        told=told,
        debit=key,
        amount_minor=amount(shown, "amount"),
        currency=currency(shown),
        status=text(shown, "status"),
        created_at=instant(shown, "created_at"),
        customer=key_of(CUSTOMER, customer) if customer else None,
        charge_date=day_or_none(shown, "charge_date"),
        reference=words_or_none(shown, "reference") or words_or_none(shown, "description"),
    )


def refund(told: Told, key: Key, given: Given) -> RefundTold:
    """Return what `{"refunds": {...}}` tells. What became of it is told by events; its status does not date it."""
    shown = _shown(given, "refunds", key)
    debit = text_or_none(object_or_none(shown, "links") or {}, "payment")
    return RefundTold(
        told=told,
        refund=key,
        outcome=_REFUNDS.get(text(shown, "status"), "pending"),
        amount_minor=amount(shown, "amount"),
        currency=currency(shown),
        created_at=instant(shown, "created_at"),
        payment=key_of(DEBIT, debit) if debit else None,
        reason=words_or_none(shown, "reference"),
    )


def payout(told: Told, key: Key, given: Given) -> tuple[Fact, ...]:
    """Return what `{"payouts": {...}, "payout_items": [...]}` tells, the lines where they were read to their end."""
    shown = _shown(given, "payouts", key)
    described = PayoutTold(
        told=told,
        payout=key,
        outcome="described",
        amount_minor=signed_amount(shown, "amount"),
        currency=currency(shown),
        created_at=instant(shown, "created_at"),
        arrives_on=day_or_none(shown, "arrival_date"),
        reference=words_or_none(shown, "reference"),
    )
    if "payout_items" not in given:
        return (described,)
    items = sorted((_item(each) for each in objects(given, "payout_items")), key=_place)
    return described, PayoutListed(told, key, described.currency or "", tuple(items))


def _item(given: Given) -> PayoutItem:
    links = object_or_none(given, "links") or {}
    return PayoutItem(
        type=text(given, "type"),
        tenths=tenths(given, "amount"),
        gst_tenths=_within(tenths(given, "amount"), sum(tenths(each, "amount") for each in objects(given, "taxes"))),
        source=text_or_none(links, "refund") or text_or_none(links, "payment") or text_or_none(links, "mandate"),
    )


def _within(amount_tenths: int, tax_tenths: int) -> int:
    """Return the tax with the sign of the line that it is part of, however it was signed."""
    return -abs(tax_tenths) if amount_tenths < 0 else abs(tax_tenths)


def _place(item: PayoutItem) -> tuple[str, str, int, int]:
    return item.type, item.source or "", item.tenths, item.gst_tenths


def _shown(given: Given, name: str, key: Key) -> Given:
    shown = object_or_none(given, name)
    if shown is None or text(shown, "id") != key.id:
        raise UnreadableError(UnreadableReason.WRONG_SHAPE, f"{name} is not what was asked for")
    return shown
