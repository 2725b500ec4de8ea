"""Examples of what every service tells about its own messages."""

from __future__ import annotations

from typing import Final

from contracts.envelope import Entity, Event, Payload, Workflow
from contracts.events import MessageDeadLettered, MessageRetried, OutboxKeyReleased
from contracts.examples.shared import DEAD_LETTER_ID, DELIVERY_ID, EVENT_ID, MARIA, PAYMENT_ID, example, system

EXAMPLES: Final[tuple[Event[Payload], ...]] = (
    example(
        MessageDeadLettered(
            owner="payments",
            consumer="payments.worker",
            pointer=f"webhook_deliveries/{DELIVERY_ID}",
            reason_class="UnreadableDelivery",
        ),
        actor=system("payments"),
        entity=Entity(type="dead_letter", id=DEAD_LETTER_ID),
        workflow=Workflow(name="webhooks", id=DELIVERY_ID),
        reason="it is not JSON",
    ),
    example(
        MessageRetried(
            owner="payments",
            consumer="payments.worker",
            pointer=f"webhook_deliveries/{DELIVERY_ID}",
            state="retried",
            attempts=1,
        ),
        actor=MARIA,
        entity=Entity(type="dead_letter", id=DEAD_LETTER_ID),
        workflow=Workflow(name="dead_letter", id=DEAD_LETTER_ID),
        before={"state": "open", "attempts": 0},
        after={"state": "retried", "attempts": 1},
    ),
    example(
        OutboxKeyReleased(owner="payments", topic="payments-events", key=PAYMENT_ID, event_id=EVENT_ID),
        actor=MARIA,
        entity=Entity(type="outbox_key", id=f"payments-events/{PAYMENT_ID}"),
        workflow=Workflow(name="outbox_key", id=f"payments-events/{PAYMENT_ID}"),
        before={"parked_reason": "the topic takes no message of this size"},
    ),
)
