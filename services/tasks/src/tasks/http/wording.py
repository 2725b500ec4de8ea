"""What is said beside the state: due dates, urgency, blocks and comments."""

from __future__ import annotations

from datetime import date
from uuid import UUID

from chassis.web import IfMatch, Tx, documents
from contracts.events import OperationalTaskUpdated
from fastapi import APIRouter

from tasks import problems, specimens, translate
from tasks.commands import BlockTask, Comment, SetDue, SetPriority, Unblock
from tasks.http.edge import WRITE, Ruled, do
from tasks.specimens import STANDARD
from tasks.states import Due
from tasks.views import BlockGiven, CommentGiven, DueGiven, OptionalReason, PriorityGiven, TaskView

router = APIRouter(tags=["tasks"])


@router.post(
    "/tasks/{task_id}/set-due",
    **documents(
        scope=WRITE,
        audit=OperationalTaskUpdated,
        limit="write",
        request=DueGiven(due_on=date(2026, 3, 4)),
        example=specimens.TASK,
        problems=[specimens.TWO_DATES, specimens.ENDED, *STANDARD],
    ),
)
async def set_due(task_id: UUID, given: DueGiven, expected: IfMatch, tx: Tx, rules: Ruled) -> TaskView:
    """Say by when it is to be done (a day, by its end, or an instant) and begun; what is left out is none."""
    return await do(tx, rules, task_id, expected, SetDue(_due(given), given.start_by))


@router.post(
    "/tasks/{task_id}/set-priority",
    **documents(
        scope=WRITE,
        audit=OperationalTaskUpdated,
        limit="write",
        request=PriorityGiven(priority="high"),
        example=specimens.task(priority="high", version=3),
        problems=[specimens.ENDED, *STANDARD],
    ),
)
async def set_priority(task_id: UUID, given: PriorityGiven, expected: IfMatch, tx: Tx, rules: Ruled) -> TaskView:
    """Say how urgent it is."""
    return await do(tx, rules, task_id, expected, SetPriority(given.priority))


@router.post(
    "/tasks/{task_id}/block",
    **documents(
        scope=WRITE,
        audit=OperationalTaskUpdated,
        limit="write",
        request=BlockGiven(code="waiting_for_member", text="Called, no answer"),
        example=specimens.BLOCKED,
        problems=[
            specimens.NO_SUCH_BLOCK,
            specimens.ENDED,
            *STANDARD,
        ],
    ),
)
async def block_task(task_id: UUID, given: BlockGiven, expected: IfMatch, tx: Tx, rules: Ruled) -> TaskView:
    """Say why it cannot go on, by a code of its kind. A block that waits for what is over already ends at once."""
    return await do(tx, rules, task_id, expected, BlockTask(given.code, given.text, given.until, given.unblocked_by))


@router.post(
    "/tasks/{task_id}/unblock",
    **documents(
        scope=WRITE,
        audit=OperationalTaskUpdated,
        limit="write",
        request=OptionalReason(reason="The member has called back"),
        example=specimens.TASK,
        problems=[specimens.ENDED, *STANDARD],
    ),
)
async def unblock_task(
    task_id: UUID, expected: IfMatch, tx: Tx, rules: Ruled, given: OptionalReason | None = None
) -> TaskView:
    """Say that it can go on."""
    return await do(tx, rules, task_id, expected, Unblock(given.reason if given else None))


@router.post(
    "/tasks/{task_id}/comment",
    **documents(
        scope=WRITE,
        audit=OperationalTaskUpdated,
        limit="write",
        request=CommentGiven(comment="Called at noon, will call back"),
        example=specimens.task(version=3),
        problems=[specimens.BAD_TEXT, *STANDARD],
    ),
)
async def comment_on_task(task_id: UUID, given: CommentGiven, expected: IfMatch, tx: Tx, rules: Ruled) -> TaskView:
    """Say something about it, in any state; it stands in its history."""
    return await do(tx, rules, task_id, expected, Comment(given.comment))


def _due(given: DueGiven) -> Due | None:
    with problems.refusing():
        return translate.due(given.due_on, given.due_at)
