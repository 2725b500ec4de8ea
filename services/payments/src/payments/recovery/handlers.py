"""What people decided about payments in recovery, as the tasks service tells it."""

from __future__ import annotations

from typing import Final

from chassis.consumer import Consumer
from chassis.transaction import Transaction
from contracts.envelope import Event
from contracts.events import OperationalTaskUpdated
from contracts.tasks import PAYMENT_RECOVERY
from contracts.topics import TASKS_EVENTS

from payments.collection.domain import Policy
from payments.recovery import use_cases
from payments.recovery.translate import payment_id_of
from payments.staff import use_cases as staff

NAME: Final = "payments.outcomes"


def consumer(policy: Policy) -> Consumer:
    """The consumer of what became of tasks; `policy` is how a write-off is booked, with the zone of business days."""
    reading = Consumer(NAME, reads=[TASKS_EVENTS])

    @reading.on(OperationalTaskUpdated)
    async def act_on_the_outcome_of_a_recovery_task(tx: Transaction, event: Event[OperationalTaskUpdated]) -> None:
        """Retry, close or leave alone, as the task's outcome says; tasks of other kinds are none of ours."""
        body = event.data.body
        payment_id = payment_id_of(body.task.dedupe_key)
        if body.task.kind != PAYMENT_RECOVERY or payment_id is None or body.change not in ("completed", "cancelled"):
            return
        outcome = body.task.outcome.code if body.change == "completed" and body.task.outcome else "cancelled"
        done = True
        if outcome == "write_off":
            # Whoever closed the task gives the debt up; where it was paid meanwhile there is nothing to give up.
            reason = event.data.reason or "the recovery task was closed so"
            acting = tx.acting(event.data.actor, tx.cause)
            done = await staff.write_off_payment(acting, payment_id, policy, reason=reason)
        await use_cases.decided(tx, payment_id, outcome if done else use_cases.NO_INVOICE, zone=policy.zone)

    return reading
