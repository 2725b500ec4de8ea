"""What GoCardless tells of payments: in events (no amount, no customer), and in the payment and mandate as fetched."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, get_args

from payments.collection.facts import DebitAction, DebitDescribed, DebitTold, Told
from payments.collection.objects import CUSTOMER, DEBIT, Key
from payments.deliveries.domain import OWN_ACCOUNT, UnreadableReason
from payments.providers.fields import (
    Given,
    UnreadableError,
    amount,
    currency,
    day_or_none,
    instant,
    object_or_none,
    text,
    text_or_none,
    truth_or_none,
    words_or_none,
)

ACTIONS: Final[Mapping[str, DebitAction]] = {f"payments.{action}": action for action in get_args(DebitAction)}


def debit(told: Told, given: Given, action: DebitAction) -> DebitTold:
    """Return what one event tells of its payment. `details` may be absent."""
    links = object_or_none(given, "links") or {}
    details = object_or_none(given, "details") or {}
    return DebitTold(
        told=told,
        debit=Key("gocardless", OWN_ACCOUNT, DEBIT, text(links, "payment")),
        action=action,
        cause=words_or_none(details, "cause"),
        description=words_or_none(details, "description"),
        scheme=words_or_none(details, "scheme"),
        origin=words_or_none(details, "origin"),
        reason_code=words_or_none(details, "reason_code"),
        will_attempt_retry=truth_or_none(details, "will_attempt_retry"),
        payout=text_or_none(links, "payout"),
    )


def fetched(told: Told, key: Key, given: Given) -> DebitDescribed:
    """Return what the API's answers tell: `{"payments": {...}, "mandates": {...}}`, the latter where it was read."""
    payment = object_or_none(given, "payments")
    if payment is None or text(payment, "id") != key.id:
        raise UnreadableError(UnreadableReason.WRONG_SHAPE, "payments is not the payment that was asked for")
    mandate = object_or_none(given, "mandates") or {}
    customer = text_or_none(object_or_none(mandate, "links") or {}, "customer")
    return DebitDescribed(
        told=told,
        debit=key,
        amount_minor=amount(payment, "amount"),
        currency=currency(payment),
        status=text(payment, "status"),
        created_at=instant(payment, "created_at"),
        customer=Key("gocardless", OWN_ACCOUNT, CUSTOMER, customer) if customer else None,
        charge_date=day_or_none(payment, "charge_date"),
        reference=words_or_none(payment, "reference") or words_or_none(payment, "description"),
    )
