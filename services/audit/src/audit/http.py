"""The audit log, read."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from chassis.web import Listed, Page, Problem, ReadTx, documents
from fastapi import APIRouter, Query
from pydantic import AwareDatetime, BaseModel

from audit import queries, translate
from audit.translate import RecordDetail, RecordView

router = APIRouter(tags=["audit"])


class RecordFilters(BaseModel):
    """Every filter that is given must match."""

    entity: Annotated[str | None, Query(max_length=300, description="`type` or `type:id`, as `payment:0198...`")] = None
    workflow: Annotated[str | None, Query(max_length=300, description="`name` or `name:id`")] = None
    actor: Annotated[str | None, Query(max_length=200, description="The actor's id")] = None
    action: Annotated[str | None, Query(max_length=200, description="The event type, as `payment.updated`")] = None
    since: Annotated[AwareDatetime | None, Query(description="Events of this instant or later")] = None
    until: Annotated[AwareDatetime | None, Query(description="Events before this instant")] = None

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


class CoverageView(BaseModel):
    """The whole account; `searchable_seq` is how far actor, action and time can be searched."""

    last_seq: int
    searchable_seq: int
    partitions: list[PartitionCoverage]
    gaps: list[GapView]


@router.get("/records", **documents(scope="audit:read", limit="read"))
async def list_records(tx: ReadTx, filters: Annotated[RecordFilters, Query()], page: Page) -> Listed[RecordView]:
    """Audit records, newest first."""
    before = page.after_int()
    rows = await queries.list_records(tx.connection, filters.wanted(), before_seq=before, limit=page.limit + 1)
    return page.listed([translate.view(row) for row in rows], key=lambda record: record.seq)


@router.get("/records/{seq}", **documents(scope="audit:read", limit="read"))
async def get_record(seq: int, tx: ReadTx) -> RecordDetail:
    """One audit record with before, after and the event as it was."""
    row = await queries.get_record(tx.connection, seq)
    if row is None:
        raise Problem.not_found("audit record", str(seq))
    return translate.detail(row)


@router.get("/coverage", **documents(scope="audit:read", limit="read"))
async def get_coverage(tx: ReadTx) -> CoverageView:
    """Every Kafka offset up to each position, accounted for."""
    partitions = [PartitionCoverage(**row._mapping) for row in await queries.list_coverage(tx.connection)]
    gaps = [GapView(**row._mapping) for row in await queries.list_gaps(tx.connection)]
    return CoverageView(**await queries.head(tx.connection), partitions=partitions, gaps=gaps)
