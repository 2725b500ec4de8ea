"""Passive signals: what payments tells says how a provider's deliveries go, and how much money waits for it.

Deliveries that work are noted once a minute for each provider, however many there are.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from chassis.transaction import Transaction
from contracts.envelope import Event
from contracts.events import PaymentProviderEventIngested, PaymentUpdated, ProviderDeliveryRejected
from sqlalchemy import text

from provider_health.checks import use_cases as checks
from provider_health.checks.domain import Observation
from provider_health.incidents import store as incidents
from provider_health.incidents import translate
from provider_health.incidents.reactions import RECORDS_ONLY
from provider_health.names import WEBHOOKS

_NOTED_EVERY: Final = timedelta(minutes=1)
_IS_NEWS = text(
    """
    SELECT status IN ('degraded', 'flapping', 'down') OR last_observed_at IS NULL OR last_observed_at <= :since
    FROM provider_health.provider_health_checks WHERE id = :check
    """
)


async def deliveries_rejected(tx: Transaction, event: Event[ProviderDeliveryRejected]) -> None:
    """Count a minute in which many deliveries were refused as one failure of the provider's webhooks."""
    body = event.data.body
    reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(body.by_reason.items()))
    seen = Observation("failed", tx.now, f"{body.count} deliveries refused within a minute ({reasons})"[:500])
    await checks.record(tx, f"{body.provider}/{WEBHOOKS}", seen, RECORDS_ONLY)


async def event_ingested(tx: Transaction, event: Event[PaymentProviderEventIngested]) -> None:
    """Count a delivery that was believed as a success of the provider's webhooks, and keep what waits."""
    body = event.data.body
    check = f"{body.provider}/{WEBHOOKS}"
    news = (await tx.connection.execute(_IS_NEWS, {"check": check, "since": tx.now - _NOTED_EVERY})).scalar()
    if news:
        await checks.record(tx, check, Observation("ok", tx.now, f"delivered {body.what}"[:500]), RECORDS_ONLY)
    waits = translate.waits(event.data.after)
    if body.payment is not None and waits is not None and body.outcome == "applied":
        await incidents.payment_told(
            tx.connection,
            body.payment.id,
            provider=body.provider,
            amount_minor=None if body.amount is None else body.amount.amount_minor,
            currency=None if body.amount is None else body.amount.currency,
            waits=waits,
            told_at=event.time,
        )


async def payment_updated(tx: Transaction, event: Event[PaymentUpdated]) -> None:
    """Keep whether a payment that is known here still waits."""
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
