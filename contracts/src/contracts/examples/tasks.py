"""Examples of what the tasks service is asked for, and of what it tells."""

from __future__ import annotations

from datetime import date
from typing import Final

from contracts.envelope import Entity, Event, Payload
from contracts.events import (
    OperationalTaskRequested,
    OperationalTaskSettled,
    OperationalTaskUpdated,
    TaskBlocked,
    TaskSource,
    TaskState,
)
from contracts.events.shared import Named
from contracts.examples.shared import COLLECTION, EVENT_ID, HOLD_ID, MARIA, MARK, PAYMENT_ID, TASK_ID, example, system

_KEY: Final = f"payment_recovery:{PAYMENT_ID}"
_SOURCE: Final = TaskSource(
    workflow=COLLECTION,
    entity=Entity(type="payment", id=PAYMENT_ID),
    event_id=EVENT_ID,
    pointer="payments-events/3/1042",
)
_BLOCKED: Final = TaskBlocked(
    code="medical_hold", text="Mark Stevens is on medical hold", unblocked_by=f"member_hold:{HOLD_ID}"
)

EXAMPLES: Final[tuple[Event[Payload], ...]] = (
    example(
        OperationalTaskRequested(
            dedupe_key=_KEY,
            kind="payment_recovery",
            fields={"member": MARK.name},
            queue="Billing",
            source=_SOURCE,
            due_on=date(2026, 3, 4),
            blocked=_BLOCKED,
            gates=("payment-rails",),
        ),
        actor=system("payments"),
        entity=Entity(type="task_request", id=_KEY),
        workflow=COLLECTION,
        reason="the due retry meets a medical hold",
    ),
    example(
        OperationalTaskSettled(dedupe_key=f"unknown_object:{PAYMENT_ID}", outcome="matched"),
        actor=system("payments"),
        entity=Entity(type="task_request", id=f"unknown_object:{PAYMENT_ID}"),
        workflow=COLLECTION,
        reason="it is known by now",
    ),
    example(
        OperationalTaskUpdated(
            change="blocked",
            task=TaskState(
                id=TASK_ID,
                kind="payment_recovery",
                title="Call Mark Stevens about failed payment",
                queue="Billing",
                state="claimed",
                priority="normal",
                owner=Named(id=MARIA.id, name=MARIA.name),
                due_on=date(2026, 3, 4),
                blocked=_BLOCKED,
                source=_SOURCE,
                dedupe_key=_KEY,
                gates=("payment-rails",),
                version=3,
            ),
        ),
        actor=MARIA,
        entity=Entity(type="task", id=TASK_ID),
        workflow=COLLECTION,
        before={"state": "claimed", "blocked": None},
        after={"state": "claimed", "blocked": "medical_hold"},
        reason="Mark Stevens is on medical hold",
    ),
)
