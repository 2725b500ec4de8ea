"""Reading tasks: one, many, and what became of one."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from chassis.transaction import Transaction
from chassis.web import Listed, Page, ReadTx, documents
from contracts.tasks import Queue
from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from tasks import queries, specimens, store
from tasks.due import DueState
from tasks.http.edge import READ, Ruled
from tasks.problems import refusing
from tasks.queries import Wanted
from tasks.states import StateName
from tasks.store import Stored
from tasks.views import HistoryView, TaskView, history, view

router = APIRouter(tags=["tasks"])


class TaskFilters(BaseModel):
    """Every filter that is given must match."""

    queue: Annotated[Queue | None, Query(description="The queue that it is in")] = None
    owner: Annotated[str | None, Query(max_length=200, description="The owner's id")] = None
    state: Annotated[list[StateName], Query(description="Any of these; give it several times")] = Field(
        [], max_length=6
    )
    due_state: Annotated[DueState | None, Query(description="How its due date stands now")] = None
    blocked: Annotated[bool | None, Query(description="Whether it is blocked")] = None
    kind: Annotated[str | None, Query(max_length=60, description="Its kind")] = None
    gate: Annotated[str | None, Query(max_length=100, description="An item of the board that it holds back")] = None
    dedupe_key: Annotated[str | None, Query(max_length=500, description="The key that makes it the only one")] = None
    member: Annotated[str | None, Query(max_length=200, description="The id of the member whom it is about")] = None
    entity: Annotated[str | None, Query(max_length=600, description="Its source: `type` or `type:id`")] = None
    workflow: Annotated[str | None, Query(max_length=600, description="Its source: `name` or `name:id`")] = None
    text: Annotated[str | None, Query(min_length=1, max_length=200, description="Words in title and notes")] = None

    def wanted(self) -> Wanted:
        return Wanted(
            queue=self.queue,
            owner=self.owner,
            states=self.state,
            due=self.due_state,
            blocked=self.blocked,
            kind=self.kind,
            gate=self.gate,
            dedupe_key=self.dedupe_key,
            member_id=self.member,
            entity=_pair(self.entity),
            workflow=_pair(self.workflow),
            text=self.text,
        )


def _pair(given: str | None) -> tuple[str, str | None] | None:
    if given is None:
        return None
    name, colon, id_ = given.partition(":")
    return name, id_ if colon else None


@router.get(
    "/tasks",
    **documents(
        scope=READ,
        example=Listed(items=[specimens.TASK], next=None),
        problems=[
            specimens.NO_FILTER,
            specimens.BAD_PAGE,
        ],
    ),
)
async def list_tasks(
    tx: ReadTx, rules: Ruled, filters: Annotated[TaskFilters, Query()], page: Page
) -> Listed[TaskView]:
    """Tasks, newest first."""
    rows = await queries.list_tasks(
        tx.connection,
        filters.wanted(),
        before=page.after_id(),
        limit=page.limit + 1,
        now=tx.now,
        zone=rules.zone,
    )
    return page.listed([view(store.stored(row), tx.now, rules.zone) for row in rows], key=lambda task: task.id)


@router.get(
    "/tasks/{task_id}",
    **documents(
        scope=READ,
        example=specimens.TASK,
        problems=[specimens.NOT_FOUND, specimens.NO_ID],
    ),
)
async def get_task(task_id: UUID, tx: ReadTx, rules: Ruled) -> TaskView:
    """One task."""
    return view(await _found(tx, task_id), tx.now, rules.zone)


@router.get(
    "/tasks/{task_id}/history",
    **documents(
        scope=READ,
        example=Listed(items=[specimens.LINE], next=None),
        problems=[
            specimens.NOT_FOUND,
            specimens.BAD_PAGE,
        ],
    ),
)
async def list_history(task_id: UUID, tx: ReadTx, page: Page) -> Listed[HistoryView]:
    """What became of a task, comments among it, oldest first."""
    await _found(tx, task_id)
    rows = await queries.history(tx.connection, str(task_id), after=page.after_int(), limit=page.limit + 1)
    return page.listed([history(row) for row in rows], key=lambda line: line.version)


async def _found(tx: Transaction, task_id: UUID) -> Stored:
    with refusing():
        return await store.load(tx.connection, str(task_id))
