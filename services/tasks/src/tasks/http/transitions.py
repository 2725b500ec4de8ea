"""From one state to another: whose a task is, that it has begun, how it ended."""

from __future__ import annotations

from uuid import UUID

from chassis.web import IfMatch, Tx, documents
from contracts.events import OperationalTaskUpdated
from fastapi import APIRouter

from tasks import specimens, translate
from tasks.commands import Assign, Cancel, Claim, Complete, EnterInError, Release, Reopen, Start
from tasks.http.edge import WRITE, Ruled, do
from tasks.specimens import STANDARD
from tasks.states import Outcome, Person
from tasks.views import OutcomeGiven, OwnerGiven, ReasonGiven, TaskView

router = APIRouter(tags=["tasks"])


@router.post(
    "/tasks/{task_id}/claim",
    **documents(
        scope=WRITE,
        audit=OperationalTaskUpdated,
        limit="write",
        example=specimens.TASK,
        problems=[specimens.CLAIMED, specimens.ENDED, *STANDARD],
    ),
)
async def claim_task(task_id: UUID, expected: IfMatch, tx: Tx, rules: Ruled) -> TaskView:
    """Take an open task. One that somebody has stays theirs: 409 names the winner."""
    return await do(tx, rules, task_id, expected, Claim(translate.person(tx.actor)))


@router.post(
    "/tasks/{task_id}/release",
    **documents(
        scope=WRITE,
        audit=OperationalTaskUpdated,
        limit="write",
        example=specimens.task(state="open", owner=None, version=3),
        problems=[
            specimens.NOT_OWNED,
            specimens.ENDED,
            *STANDARD,
        ],
    ),
)
async def release_task(task_id: UUID, expected: IfMatch, tx: Tx, rules: Ruled) -> TaskView:
    """Give one's own task back to its queue."""
    return await do(tx, rules, task_id, expected, Release(translate.person(tx.actor)))


@router.post(
    "/tasks/{task_id}/assign",
    **documents(
        scope=WRITE,
        audit=OperationalTaskUpdated,
        limit="write",
        request=OwnerGiven(owner=specimens.MARIA),
        example=specimens.TASK,
        problems=[specimens.ENDED, *STANDARD],
    ),
)
async def assign_task(task_id: UUID, given: OwnerGiven, expected: IfMatch, tx: Tx, rules: Ruled) -> TaskView:
    """Give a task to somebody, whoever has it now."""
    return await do(tx, rules, task_id, expected, Assign(Person(given.owner.id, given.owner.name)))


@router.post(
    "/tasks/{task_id}/start",
    **documents(
        scope=WRITE,
        audit=OperationalTaskUpdated,
        limit="write",
        example=specimens.task(state="in_progress", version=3),
        problems=[
            specimens.CLAIMED,
            specimens.HELD,
            *STANDARD,
        ],
    ),
)
async def start_task(task_id: UUID, expected: IfMatch, tx: Tx, rules: Ruled) -> TaskView:
    """Begin. Who begins an open task takes it; a blocked one waits."""
    return await do(tx, rules, task_id, expected, Start(translate.person(tx.actor)))


@router.post(
    "/tasks/{task_id}/complete",
    **documents(
        scope=WRITE,
        audit=OperationalTaskUpdated,
        limit="write",
        request=OutcomeGiven(code="paid_otherwise", note="Paid in cash", evidence=["receipt 118"]),
        example=specimens.COMPLETED,
        problems=[
            specimens.ENDED,
            specimens.FORBIDDEN,
            *STANDARD,
        ],
    ),
)
async def complete_task(task_id: UUID, given: OutcomeGiven, expected: IfMatch, tx: Tx, rules: Ruled) -> TaskView:
    """Say how it ended, by an outcome of its kind. Of several the first one does: 409 names the winner."""
    return await do(
        tx,
        rules,
        task_id,
        expected,
        Complete(translate.person(tx.actor), Outcome(given.code, given.note, tuple(given.evidence))),
    )


@router.post(
    "/tasks/{task_id}/cancel",
    **documents(
        scope=WRITE,
        audit=OperationalTaskUpdated,
        limit="write",
        request=ReasonGiven(reason="The member has paid in the meantime"),
        example=specimens.CANCELLED,
        problems=[specimens.ENDED, specimens.BAD_TEXT, *STANDARD],
    ),
)
async def cancel_task(task_id: UUID, given: ReasonGiven, expected: IfMatch, tx: Tx, rules: Ruled) -> TaskView:
    """Say that it is not to be done any more."""
    return await do(tx, rules, task_id, expected, Cancel(translate.person(tx.actor), given.reason))


@router.post(
    "/tasks/{task_id}/reopen",
    **documents(
        scope=WRITE,
        audit=OperationalTaskUpdated,
        limit="write",
        request=ReasonGiven(reason="The card was declined again"),
        example=specimens.task(version=4),
        problems=[
            specimens.STILL_ABOUT,
            specimens.TOO_OLD,
            *STANDARD,
        ],
    ),
)
async def reopen_task(task_id: UUID, given: ReasonGiven, expected: IfMatch, tx: Tx, rules: Ruled) -> TaskView:
    """Take back that it has ended: within the time set for that, and unless another one of its key is open."""
    return await do(tx, rules, task_id, expected, Reopen(tx.now - rules.reopen_window, given.reason))


@router.post(
    "/tasks/{task_id}/enter-in-error",
    **documents(
        scope=WRITE,
        audit=OperationalTaskUpdated,
        limit="write",
        request=ReasonGiven(reason="Meant for another member"),
        example=specimens.WITHDRAWN,
        problems=[specimens.BAD_TEXT, *STANDARD],
    ),
)
async def enter_task_in_error(task_id: UUID, given: ReasonGiven, expected: IfMatch, tx: Tx, rules: Ruled) -> TaskView:
    """Say that it should never have been. It is kept, and never opened again."""
    return await do(tx, rules, task_id, expected, EnterInError(translate.person(tx.actor), given.reason))
