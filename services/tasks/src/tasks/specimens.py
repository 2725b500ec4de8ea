"""What the API's documents show of each operation: a task as it may be answered, and problems as they may occur."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any, Final
from uuid import UUID

from chassis.web import BAD_CURSOR, INVALID, PRECONDITION_FAILED, PRECONDITION_REQUIRED, Problem
from contracts.envelope import Actor, Entity, Workflow

from tasks.problems import (
    ALREADY_CLAIMED,
    ALREADY_ENDED,
    NOT_OWNER,
    OUTCOME_FORBIDDEN,
    STILL_OPEN,
    TASK_BLOCKED,
    TOO_LATE,
    UNKNOWN_BLOCK,
)
from tasks.views import BlockedView, EndedView, HistoryView, OutcomeView, PersonView, SourceView, TaskView

TASK_ID: Final = "0198c2f4-7d1e-7c35-9a51-6f0e4b8d2a17"
MARIA: Final = PersonView(id="maria-rossi", name="Maria Rossi")
_PAYMENT: Final = "0198c2f4-7d1e-7c35-9a51-6f0e4b8d2a18"
_OPENED: Final = datetime(2026, 3, 2, 22, 15, tzinfo=UTC)
_CHANGED: Final = datetime(2026, 3, 2, 23, 40, tzinfo=UTC)

TASK: Final = TaskView(
    id=UUID(TASK_ID),
    kind="payment_recovery",
    title="Call Mark Stevens about failed payment",
    area="Billing",
    queue="Billing",
    state="claimed",
    priority="normal",
    owner=MARIA,
    due_on=date(2026, 3, 4),
    due_at=None,
    start_by=None,
    deadline_at=datetime(2026, 3, 4, 13, 0, tzinfo=UTC),
    due_state="upcoming",
    blocked=None,
    outcome=None,
    ended=None,
    note="Failed monthly payment is now in active recovery",
    source=SourceView(
        workflow=Workflow(name="payment_collection", id=_PAYMENT),
        entity=Entity(type="payment", id=_PAYMENT),
        event_id="0198c2f4-7d1e-7c35-9a51-6f0e4b8d2a19",
        pointer="tasks-commands/3/1042",
    ),
    member_id="mark-stevens",
    dedupe_key=f"payment_recovery:{_PAYMENT}",
    gates=["payment-rails"],
    occurrences=1,
    metadata={"member": "Mark Stevens", "member_id": "mark-stevens"},
    created_at=_OPENED,
    updated_at=_CHANGED,
    version=2,
)


def task(**changed: Any) -> TaskView:
    """The task of the examples, in another state."""
    return TASK.model_copy(update=changed)


OPENED: Final = task(state="open", owner=None, version=1, updated_at=_OPENED)
COMPLETED: Final = task(
    state="completed",
    due_state="none",
    version=3,
    outcome=OutcomeView(code="paid_otherwise", words="Paid otherwise", note="Paid in cash", evidence=["receipt 118"]),
    ended=EndedView(by=MARIA, at=_CHANGED, reason=None),
)
LINE: Final = HistoryView(
    version=2,
    change="claimed",
    at=_CHANGED,
    recorded_at=_CHANGED,
    actor=Actor(kind="staff", id=MARIA.id, name=MARIA.name),
    reason=None,
    comment=None,
    after={"state": "claimed", "owner": {"id": MARIA.id, "name": MARIA.name}, "version": 2},
)
NOT_FOUND: Final = Problem.not_found("task", TASK_ID)
NO_VERSION: Final = Problem(PRECONDITION_REQUIRED, "Send the version that you have read as `If-Match`.")
STALE: Final = Problem(
    PRECONDITION_FAILED,
    f"The task {TASK_ID} has version 3, not 2: read it again, then decide.",
    kind="task",
    id=TASK_ID,
    version=3,
)
_WINNER: Final[dict[str, Any]] = {"winner": {"id": MARIA.id, "name": MARIA.name}, "at": _CHANGED.isoformat()}
CLAIMED: Final = Problem(ALREADY_CLAIMED, "Maria Rossi has this task.", **_WINNER, state="claimed", outcome=None)
ENDED: Final = Problem(
    ALREADY_ENDED,
    "Maria Rossi has completed this task already with the outcome paid_otherwise.",
    **_WINNER,
    state="completed",
    outcome="paid_otherwise",
)
BAD_TEXT: Final = Problem(
    INVALID,
    "Some values are missing, or are not what they should be.",
    errors=[
        {
            "at": ["body", "reason"],
            "detail": "Value error, character 4 (U+202E) would turn the direction of the text",
        }
    ],
)
NOT_OWNED: Final = Problem(NOT_OWNER, "Maria Rossi has this task: only its owner releases it, assign it instead.")
HELD: Final = Problem(TASK_BLOCKED, "This task is blocked by medical_hold: unblock it first.")
FORBIDDEN: Final = Problem(
    OUTCOME_FORBIDDEN, "The outcome retry_now is not possible while the task is blocked by medical_hold."
)
STILL_ABOUT: Final = Problem(STILL_OPEN, "Another task about the same thing is open.")
TOO_OLD: Final = Problem(TOO_LATE, "This task ended too long ago to be opened again: open a new one.")
TWO_DATES: Final = Problem(INVALID, "Of due_on and due_at one can be given.")
NO_SUCH_BLOCK: Final = Problem(UNKNOWN_BLOCK, "medical_hold blocks no trial_arrival task.")
NO_FIELD: Final = Problem(INVALID, "A trial_arrival task needs the field member.")
NO_FILTER: Final = Problem(INVALID, "Some parameters are not known here.")
NO_ID: Final = Problem(INVALID, "Some values are not what they should be.")
BAD_PAGE: Final = Problem(BAD_CURSOR, "Use the `next` of a page as it was given, or leave the cursor out.")
STANDARD: Final = (NOT_FOUND, NO_VERSION, STALE)
CANCELLED: Final = task(
    state="cancelled",
    due_state="none",
    version=3,
    ended=EndedView(by=MARIA, at=_CHANGED, reason="The member has paid in the meantime"),
)
WITHDRAWN: Final = task(
    state="entered_in_error",
    due_state="none",
    version=3,
    ended=EndedView(by=MARIA, at=_CHANGED, reason="Meant for another member"),
)
BLOCKED: Final = task(
    version=3,
    due_state="paused",
    blocked=BlockedView(
        code="waiting_for_member",
        words="Waiting for the member",
        text="Called, no answer",
        since=_CHANGED,
        until=None,
        unblocked_by=None,
        forbids=[],
    ),
)
