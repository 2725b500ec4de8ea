"""What this service hears from others: how deliveries went, what waits, what was replayed, who has stopped."""

from __future__ import annotations

from typing import Final

from chassis.consumer import Consumer
from chassis.transaction import Transaction
from contracts.envelope import Event
from contracts.events import (
    AutomationPauseAcknowledged,
    OperationalTaskUpdated,
    PaymentProviderEventIngested,
    PaymentUpdated,
    ProviderDeliveryRejected,
    ReplayUpdated,
)
from contracts.topics import PAYMENTS_EVENTS, TASKS_EVENTS

from provider_health import signals
from provider_health.incidents import reactions
from provider_health.pauses import use_cases as pauses

consumer: Final = Consumer("provider-health", reads=[PAYMENTS_EVENTS, TASKS_EVENTS])


@consumer.on(ProviderDeliveryRejected)
async def lower_webhooks_on_provider_delivery_rejected(tx: Transaction, event: Event[ProviderDeliveryRejected]) -> None:
    await signals.deliveries_rejected(tx, event)


@consumer.on(PaymentProviderEventIngested)
async def raise_webhooks_on_payment_provider_event_ingested(
    tx: Transaction, event: Event[PaymentProviderEventIngested]
) -> None:
    await signals.event_ingested(tx, event)


@consumer.on(PaymentUpdated)
async def count_waiting_money_on_payment_updated(tx: Transaction, event: Event[PaymentUpdated]) -> None:
    await signals.payment_updated(tx, event)


@consumer.on(ReplayUpdated)
async def note_replay_on_replay_updated(tx: Transaction, event: Event[ReplayUpdated]) -> None:
    await reactions.replay_told(tx, event)


@consumer.on(OperationalTaskUpdated)
async def learn_prevention_task_on_operational_task_updated(
    tx: Transaction, event: Event[OperationalTaskUpdated]
) -> None:
    await reactions.prevention_told(tx, event)


@consumer.on(AutomationPauseAcknowledged)
async def count_stop_on_automation_pause_acknowledged(
    tx: Transaction, event: Event[AutomationPauseAcknowledged]
) -> None:
    await pauses.acknowledge(tx, event)
