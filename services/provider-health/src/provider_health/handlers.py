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
    PayoutDescribed,
    ProviderDeliveryRejected,
    ReplayUpdated,
)
from contracts.topics import PAYMENTS_EVENTS, TASKS_EVENTS

from provider_health import signals
from provider_health.incidents import reactions
from provider_health.incidents.reactions import Policy
from provider_health.pauses import use_cases as pauses

NAME: Final = "provider-health"


def consumer(policy: Policy) -> Consumer:
    """The consumer of a process that was told this policy."""
    made = Consumer(NAME, reads=[PAYMENTS_EVENTS, TASKS_EVENTS])

    @made.on(ProviderDeliveryRejected)
    async def lower_webhooks_on_delivery_rejected(tx: Transaction, event: Event[ProviderDeliveryRejected]) -> None:
        await signals.deliveries_rejected(tx, event, policy)

    @made.on(PaymentProviderEventIngested)
    async def raise_webhooks_on_provider_event_ingested(
        tx: Transaction, event: Event[PaymentProviderEventIngested]
    ) -> None:
        await signals.event_ingested(tx, event, policy)

    @made.on(PaymentUpdated)
    async def count_waiting_money_on_payment_updated(tx: Transaction, event: Event[PaymentUpdated]) -> None:
        await signals.payment_updated(tx, event, policy)

    @made.on(PayoutDescribed)
    async def explain_payout_on_payout_described(tx: Transaction, event: Event[PayoutDescribed]) -> None:
        await signals.payout_described(tx, event)

    @made.on(ReplayUpdated)
    async def note_replay_on_replay_updated(tx: Transaction, event: Event[ReplayUpdated]) -> None:
        await reactions.replay_told(tx, event)

    @made.on(OperationalTaskUpdated)
    async def learn_prevention_task_on_operational_task_updated(
        tx: Transaction, event: Event[OperationalTaskUpdated]
    ) -> None:
        await reactions.prevention_told(tx, event, policy)

    @made.on(AutomationPauseAcknowledged)
    async def count_stop_on_automation_pause_acknowledged(
        tx: Transaction, event: Event[AutomationPauseAcknowledged]
    ) -> None:
        await pauses.acknowledge(tx, event)

    return made
