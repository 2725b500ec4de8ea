"""What GoCardless tells in events, which name their resource and neither amount nor customer.

Links hold every resource that has to do with the event; `details` may be absent. Actions outside these tables are not
understood: kept, acknowledged and counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, get_args

from payments.collection.facts import (
    DebitAction,
    DebitTold,
    Fact,
    Noticed,
    PayoutOutcome,
    PayoutTold,
    RefundOutcome,
    RefundTold,
    Told,
)
from payments.collection.objects import CUSTOMER, DEBIT, PAYOUT, REFUND, Key
from payments.deliveries.domain import OWN_ACCOUNT
from payments.providers.fields import Given, object_or_none, text, text_or_none, truth_or_none, words_or_none

ACTIONS: Final[Mapping[str, DebitAction]] = {f"payments.{action}": action for action in get_args(DebitAction)}
REFUNDS: Final[Mapping[str, RefundOutcome]] = {
    "refunds.created": "pending",
    "refunds.paid": "paid",
    "refunds.failed": "failed",
    "refunds.refund_settled": "settled",
    "refunds.funds_returned": "returned",
}
PAYOUTS: Final[Mapping[str, PayoutOutcome]] = {
    "payouts.paid": "paid",
    "payouts.fx_rate_confirmed": "described",
    "payouts.tax_exchange_rates_confirmed": "described",
}
MANDATES: Final = frozenset(
    f"mandates.{action}"
    for action in (
        "created", "customer_approval_granted", "customer_approval_skipped", "customer_approval_denied", "submitted",
        "active", "cancelled", "failed", "transferred", "expired", "resubmission_requested", "reinstated", "replaced",
        "consumed", "blocked",
    )
)  # fmt: skip
TYPES: Final = frozenset({*ACTIONS, *REFUNDS, *PAYOUTS, *MANDATES})


def key(kind: str, id_: str) -> Key:
    """The key of a GoCardless object: their ids are unique over all accounts."""
    return Key("gocardless", OWN_ACCOUNT, kind, id_)


def read(told: Told, given: Given) -> Iterable[Fact]:
    """Return what one event of TYPES tells."""
    links = object_or_none(given, "links") or {}
    details = object_or_none(given, "details") or {}
    if told.type in ACTIONS:
        return (_debit(told, links, details),)
    if told.type in REFUNDS:
        return (_refund(told, links, details),)
    if told.type in PAYOUTS:
        return (PayoutTold(told, key(PAYOUT, text(links, "payout")), PAYOUTS[told.type]),)
    return (_mandate(told, links, details),)


def _debit(told: Told, links: Given, details: Given) -> DebitTold:
    return DebitTold(
        told=told,
        debit=key(DEBIT, text(links, "payment")),
        action=ACTIONS[told.type],
        cause=words_or_none(details, "cause"),
        description=words_or_none(details, "description"),
        scheme=words_or_none(details, "scheme"),
        origin=words_or_none(details, "origin"),
        reason_code=words_or_none(details, "reason_code"),
        will_attempt_retry=truth_or_none(details, "will_attempt_retry"),
        payout=text_or_none(links, "payout"),
    )


def _refund(told: Told, links: Given, details: Given) -> RefundTold:
    payment = text_or_none(links, "payment")
    return RefundTold(
        told=told,
        refund=key(REFUND, text(links, "refund")),
        outcome=REFUNDS[told.type],
        payment=key(DEBIT, payment) if payment else None,
        failure=words_or_none(details, "description") if told.type == "refunds.failed" else None,
        payout=text_or_none(links, "payout"),
    )


def _mandate(told: Told, links: Given, details: Given) -> Noticed:
    customer = text_or_none(links, "customer")
    return Noticed(
        told=told,
        about=f"mandate/{text(links, 'mandate')}",
        status=told.type.partition(".")[2],
        cause=words_or_none(details, "cause"),
        description=words_or_none(details, "description"),
        customer=key(CUSTOMER, customer) if customer else None,
    )
