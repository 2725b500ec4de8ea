"""What the tasks service reads: requests for tasks, what has settled itself, and conditions that have ended."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from chassis.consumer import Consumer
from chassis.transaction import Transaction
from contracts.envelope import Event
from contracts.events import MemberHoldEnded, OperationalTaskRequested, OperationalTaskSettled
from contracts.topics import PAYMENTS_EVENTS, TASKS_COMMANDS

from tasks import translate, use_cases
from tasks.rules import Rules

NAME: Final = "tasks"


def consumer(rules: Rules) -> Consumer:
    """The consumer of a process that was told these rules."""
    made = Consumer(NAME, reads=[TASKS_COMMANDS, PAYMENTS_EVENTS])

    @made.on(OperationalTaskRequested)
    async def open_task_on_operational_task_requested(tx: Transaction, event: Event[OperationalTaskRequested]) -> None:
        request = translate.requested(
            event.data.body, event_id=event.id, pointer=tx.cause.pointer, reason=event.data.reason
        )
        # Whoever asked acts, so that the log says who; the rota says whose it is from now on.
        asked = tx.acting(event.data.actor, tx.cause)
        await use_cases.open_or_note(asked, rules, replace(request, owner=rules.rota(request.queue)))

    @made.on(OperationalTaskSettled)
    async def end_task_on_operational_task_settled(tx: Transaction, event: Event[OperationalTaskSettled]) -> None:
        body = event.data.body
        settled = tx.acting(event.data.actor, tx.cause)
        note = translate.told(body.note or event.data.reason)
        await use_cases.settle(settled, rules, body.dedupe_key, translate.person(event.data.actor), body.outcome, note)

    @made.on(MemberHoldEnded)
    async def unblock_tasks_on_member_hold_ended(tx: Transaction, event: Event[MemberHoldEnded]) -> None:
        await use_cases.end_condition(tx, rules, event.data.body.condition, event.id)

    return made
