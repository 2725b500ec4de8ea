"""Passive signals: what payments tells says how a provider's deliveries go, and how much money waits for it.

Deliveries that work are noted once a minute for each provider, however many there are.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final, TypeVar

from chassis.clock import real_now
from chassis.sql import Statement
from chassis.transaction import Transaction
from contracts.envelope import Event, Payload
from contracts.events import PaymentProviderEventIngested, PaymentUpdated, PayoutDescribed, ProviderDeliveryRejected

from provider_health.checks import use_cases as checks
from provider_health.checks.domain import Observation
from provider_health.incidents import payouts, translate
from provider_health.incidents import store as incidents
from provider_health.incidents.reactions import Policy
from provider_health.names import API, WEBHOOKS

P = TypeVar("P", bound=Payload)
# What payments says of a call that it has made to collect a payment.
_ANSWERED: Final = frozenset({"submitted", "could not collect"})
_UNANSWERED: Final = frozenset({"lost the answer about"})
# A signal that waited for longer, because this service was away, says nothing about now.
_OLDEST: Final = timedelta(minutes=10)
_NOTED_EVERY: Final = timedelta(minutes=1)
_IS_NEWS = Statement(
    """
    SELECT status IN ('degraded', 'flapping', 'down') OR last_observed_at IS NULL OR last_observed_at <= :since
        AS news
    FROM provider_health.provider_health_checks WHERE id = :check
    """
)


async def deliveries_rejected(tx: Transaction, event: Event[ProviderDeliveryRejected], policy: Policy) -> None:
    """Count a minute in which many deliveries were refused as one failure of the provider's webhooks."""
    if not _is_current(event):
        return
    body = event.data.body
    reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(body.by_reason.items()))
    seen = Observation("failed", tx.now, f"{body.count} deliveries refused within a minute ({reasons})"[:500])
    await checks.record(tx, f"{body.provider}/{WEBHOOKS}", seen, policy)


async def event_ingested(tx: Transaction, event: Event[PaymentProviderEventIngested], policy: Policy) -> None:
    """Count a delivery that was believed as a success of the provider's webhooks, and keep what waits."""
    body = event.data.body
    check = f"{body.provider}/{WEBHOOKS}"
    if _is_current(event) and await _is_news(tx, check):
        await checks.record(tx, check, Observation("ok", tx.now, f"delivered {body.what}"[:500]), policy)
    payout = translate.payout_of(body.provider, event.data.after, event.time)
    if payout is not None:
        await payouts.payout_told(tx, payout)
    waits = translate.waits(event.data.after)
    if body.payment is not None and waits is not None and body.outcome == "applied":
        # Most payments never fail: of these nothing is kept.
        amount = body.amount if waits or translate.had_failed(event.data.before) else None
        await incidents.payment_told(
            tx.connection,
            body.payment.id,
            provider=body.provider,
            amount_minor=None if amount is None else amount.amount_minor,
            currency=None if amount is None else amount.currency,
            waits=waits,
            told_at=event.time,
        )


async def payout_described(tx: Transaction, event: Event[PayoutDescribed]) -> None:
    """Open an incident for a payout that its lines do not explain, and let it recover once they do."""
    payout = translate.payout_of(event.data.body.provider, event.data.after, event.time)
    if payout is not None:
        await payouts.payout_told(tx, payout)


async def payment_updated(tx: Transaction, event: Event[PaymentUpdated], policy: Policy) -> None:
    """Keep whether a payment that is known here still waits, and count how a call about it went."""
    await _called(tx, event, policy)
    waits = translate.waits(event.data.after)
    if waits is not None:
        await incidents.payment_told(
            tx.connection,
            event.data.body.payment.id,
            provider=None,
            amount_minor=None,
            currency=None,
            waits=waits,
            told_at=event.time,
        )


async def _called(tx: Transaction, event: Event[PaymentUpdated], policy: Policy) -> None:
    """Count a call of ours to a provider: one without an answer as a failure, one with any answer as a success."""
    change = event.data.body.change
    if change not in _ANSWERED | _UNANSWERED or not _is_current(event):
        return
    provider = await incidents.provider_of(tx.connection, event.data.body.payment.id)
    if provider is None:
        return
    check = f"{provider}/{API}"
    if change in _UNANSWERED:
        told = f"a call about a payment had no answer{f': {event.data.reason}' if event.data.reason else ''}"
        await checks.record(tx, check, Observation("failed", tx.now, told[:500]), policy)
    elif await _is_news(tx, check):
        await checks.record(tx, check, Observation("ok", tx.now, "answered a call about a payment"), policy)


def _is_current(event: Event[P]) -> bool:
    return real_now() - event.time < _OLDEST


async def _is_news(tx: Transaction, check: str) -> bool:
    """Whether a success would say something: the check is in trouble, or nothing was heard of it for a while."""
    given = {"check": check, "since": tx.now - _NOTED_EVERY}
    found = await _IS_NEWS.all(tx.connection, given)
    return bool(found and found[0].news)
