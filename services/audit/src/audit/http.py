"""The audit log, read and reviewed."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final, Literal, Self
from uuid import UUID

from chassis.web import LIST_PROBLEMS, NOT_FOUND, Listed, Page, Problem, ProblemType, ReadTx, Tx, documents
from contracts.events import AuditReviewRecorded
from fastapi import APIRouter, Query
from pydantic import AwareDatetime, BaseModel, ConfigDict, StringConstraints, model_validator
from sqlalchemy import Row

from audit import queries, reviewing, specimens, translate
from audit.reviewing import OwnActionError, RecordNotFoundError
from audit.translate import PointerView, RecordDetail, RecordView, ReviewView

router = APIRouter(tags=["audit"])
Words = Annotated[str, StringConstraints(min_length=1, max_length=1_000, pattern=r"^[^\x00-\x08\x0b-\x1f\x7f]+$")]
OWN_ACTION: Final = ProblemType("own-action", "Somebody else reviews what you did", 409)


class RecordFilters(BaseModel):
    """Every filter that is given must match."""

    entity: Annotated[str | None, Query(max_length=300, description="`type` or `type:id`, as `payment:0198...`")] = None
    workflow: Annotated[str | None, Query(max_length=300, description="`name` or `name:id`")] = None
    actor: Annotated[str | None, Query(max_length=200, description="The actor's id")] = None
    action: Annotated[str | None, Query(max_length=200, description="The event type, as `payment.updated`")] = None
    since: Annotated[AwareDatetime | None, Query(description="Events of this instant or later")] = None
    until: Annotated[AwareDatetime | None, Query(description="Events before this instant")] = None
    review: Annotated[Literal["awaiting"] | None, Query(description="Sensitive records that nobody reviewed")] = None

    def wanted(self) -> queries.Wanted:
        entity_type, _, entity_id = (self.entity or "").partition(":")
        workflow, _, workflow_id = (self.workflow or "").partition(":")
        return queries.Wanted(
            entity_type or None,
            entity_id or None,
            workflow or None,
            workflow_id or None,
            self.actor,
            self.action,
            self.since,
            self.until,
            self.review == "awaiting",
        )


class PartitionCoverage(BaseModel):
    """How the offsets `first_offset` up to, not including, `next_offset` of one partition are accounted for."""

    topic: str
    partition: int
    incarnation: int
    first_offset: int
    next_offset: int
    recorded: int
    duplicate: int
    quarantined: int
    technical: int
    explained_gap: int
    unexplained_gap: int


class GapView(BaseModel):
    """Offsets that Kafka did not hold; no explanation means that nobody knows why."""

    topic: str
    partition: int
    incarnation: int
    first_offset: int
    next_offset: int
    explanation: str | None
    found_at: datetime


class SetAsideCounts(BaseModel):
    """How much is in quarantine, by reason, and how many events came under an id that stood for other bytes."""

    unreadable: int = 0
    unknown_type: int = 0
    unknown_version: int = 0
    unreadable_body: int = 0
    conflicts: int = 0


class CoverageView(BaseModel):
    """The whole account; `searchable_seq` is how far actor, action and time can be searched."""

    last_seq: int
    searchable_seq: int
    set_aside: SetAsideCounts
    partitions: list[PartitionCoverage]
    gaps: list[GapView]


@router.get(
    "/records",
    **documents(
        scope="audit:read",
        limit="read",
        example=Listed(items=[specimens.RECORD], next=None),
        problems=LIST_PROBLEMS,
    ),
)
async def list_records(tx: ReadTx, filters: Annotated[RecordFilters, Query()], page: Page) -> Listed[RecordView]:
    """Audit records, newest first."""
    before = page.after_int()
    rows = await queries.list_records(tx.connection, filters.wanted(), before_seq=before, limit=page.limit + 1)
    reviewed = await queries.review_states(tx.connection, [row.seq for row in rows])
    return page.listed([translate.view(row, reviewed[row.seq]) for row in rows], key=lambda record: record.seq)


@router.get(
    "/records/{seq}",
    **documents(
        scope="audit:read",
        limit="read",
        example=specimens.RECORD_DETAIL,
        problems=[Problem.not_found("audit record", "1205")],
    ),
)
async def get_record(seq: int, tx: ReadTx) -> RecordDetail:
    """One audit record with before, after and the event as it was."""
    row = await queries.get_record(tx.connection, seq)
    if row is None:
        raise Problem.not_found("audit record", str(seq))
    return translate.detail(row, (await queries.review_states(tx.connection, [seq]))[seq])


class ReviewGiven(BaseModel):
    """What a reviewer says of a record. Flagging says why."""

    model_config = ConfigDict(extra="forbid")

    verdict: Literal["approved", "flagged"]
    reason: Words | None = None

    @model_validator(mode="after")
    def _flags_say_why(self) -> Self:
        if self.verdict == "flagged" and self.reason is None:
            raise ValueError("say why the record is flagged")
        return self


@router.post(
    "/records/{seq}/review",
    **documents(
        scope="audit:review",
        audit=AuditReviewRecorded,
        limit="write",
        idempotency="natural",
        request=specimens.REVIEW,
        example=specimens.REVIEWED,
        problems=[(NOT_FOUND, "There is no audit record 9."), (OWN_ACTION, "Record 9 is an action of yours.")],
    ),
)
async def review_record(seq: int, given: ReviewGiven, tx: Tx) -> ReviewView:
    """Approve or flag a record of somebody else; the review is a further record. The newest one counts."""
    try:
        reviewed = await reviewing.review(tx, seq, given.verdict, given.reason)
    except RecordNotFoundError:
        raise Problem.not_found("audit record", str(seq)) from None
    except OwnActionError as error:
        raise Problem(OWN_ACTION, f"{str(error).capitalize()}.", seq=error.seq) from None
    return translate.review_view(reviewed)


@router.get("/coverage", **documents(scope="audit:read", limit="read", example=specimens.COVERAGE))
async def get_coverage(tx: ReadTx) -> CoverageView:
    """Every Kafka offset up to each position, accounted for."""
    partitions = [PartitionCoverage(**row._mapping) for row in await queries.list_coverage(tx.connection)]
    gaps = [GapView(**row._mapping) for row in await queries.list_gaps(tx.connection)]
    set_aside = SetAsideCounts(**await queries.count_set_aside(tx.connection))
    return CoverageView(**await queries.head(tx.connection), set_aside=set_aside, partitions=partitions, gaps=gaps)


class QuarantinedView(BaseModel):
    """Something consumed that is not understood; `seq` where it is recorded all the same."""

    id: int
    pointer: PointerView
    incarnation: int
    reason: str
    detail: str
    seq: int | None
    dead_letter_id: UUID | None
    found_at: datetime


class ConflictView(BaseModel):
    """An event that came under an id which the log holds with other bytes; it was kept and not recorded."""

    id: int
    pointer: PointerView
    incarnation: int
    source: str
    event_id: str
    found_at: datetime


@router.get(
    "/quarantine",
    **documents(
        scope="audit:read",
        limit="read",
        example=Listed(items=[specimens.QUARANTINED], next=None),
        problems=LIST_PROBLEMS,
    ),
)
async def list_quarantine(
    tx: ReadTx,
    page: Page,
    reason: Annotated[str | None, Query(max_length=50, description="As `unreadable` or `unknown_version`")] = None,
) -> Listed[QuarantinedView]:
    """What could not be recorded, or was recorded without being understood; newest first."""
    before, limit = page.after_int(), page.limit + 1
    rows = await queries.list_quarantine(tx.connection, before_id=before, limit=limit, reason=reason)
    return page.listed([QuarantinedView(**_placed(row)) for row in rows], key=lambda each: each.id)


@router.get(
    "/conflicts",
    **documents(
        scope="audit:read",
        limit="read",
        example=Listed(items=[specimens.CONFLICTING], next=None),
        problems=LIST_PROBLEMS,
    ),
)
async def list_conflicts(tx: ReadTx, page: Page) -> Listed[ConflictView]:
    """Events under an id that stands for other bytes, newest first."""
    rows = await queries.list_conflicts(tx.connection, before_id=page.after_int(), limit=page.limit + 1)
    return page.listed([ConflictView(**_placed(row)) for row in rows], key=lambda each: each.id)


def _placed(row: Row[Any]) -> dict[str, Any]:
    return {**row._mapping, "pointer": translate.pointer(row)}
