"""Opening tasks."""

from __future__ import annotations

from chassis.web import Tx, documents
from contracts.events import OperationalTaskUpdated, TaskSource
from fastapi import APIRouter, Response

from tasks import specimens, translate, use_cases
from tasks.commands import BlockTask
from tasks.http.edge import WRITE, Ruled
from tasks.problems import refusing
from tasks.states import Person
from tasks.views import TaskGiven, TaskView, view

router = APIRouter(tags=["tasks"])


@router.post(
    "/tasks",
    **documents(
        scope=WRITE,
        audit=OperationalTaskUpdated,
        limit="write",
        request=TaskGiven(
            kind="trial_arrival",
            queue="Front desk",
            fields={"member": "Isla Morgan"},
            note="Confirm waiver, arrival time, and whether Emma is staying to watch the class",
        ),
        example=specimens.OPENED,
        problems=[
            specimens.NO_SUCH_BLOCK,
            specimens.NO_FIELD,
        ],
        status=201,
    ),
)
async def create_task(given: TaskGiven, tx: Tx, rules: Ruled, response: Response) -> TaskView:
    """Open a task. Where one with its `dedupe_key` is open, this notes another occurrence there and answers 200."""
    with refusing():
        stored, new = await use_cases.open_or_note(tx, rules, _request(given))
    if not new:
        response.status_code = 200
    return view(stored, tx.now, rules.zone)


def _request(given: TaskGiven) -> translate.Request:
    source, held, owner = given.source, given.blocked, given.owner
    return translate.Request(
        kind=translate.kind(given.kind),
        title=translate.title(given.kind, given.fields),
        queue=given.queue,
        source=None if source is None else translate.source(TaskSource(**source.model_dump())),
        fields=given.fields,
        due=translate.due(given.due_on, given.due_at),
        start_by=given.start_by,
        priority=given.priority,
        block=None if held is None else BlockTask(held.code, held.text, held.until, held.unblocked_by),
        dedupe_key=given.dedupe_key,
        gates=tuple(given.gates),
        note=given.note,
        owner=None if owner is None else Person(owner.id, owner.name),
    )
