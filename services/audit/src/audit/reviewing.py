"""Reviewing a record: another record, appended to the same log, by somebody who is not the actor.

The service never reads its own topic, so a review is written into the log in the transaction that emits it: the same
bytes go to both. Such records stand in a place of their own, `audit-reviews`, which is no topic; its offsets are
accounted for like all others.
"""

from __future__ import annotations

from typing import Final, Literal

from chassis.clock import real_now
from chassis.consumer import Record
from chassis.transaction import Draft, Transaction
from contracts.envelope import Entity, Workflow
from contracts.events import AuditReviewRecorded
from sqlalchemy import text

from audit import queries, store, translate, use_cases
from audit.domain import Entry, Place, Pointer, ReviewState

Verdict = Literal["approved", "flagged"]
OWN_PLACE: Final = Place("audit-reviews", 0, 0)
_NEXT: Final = text(
    "SELECT next_offset FROM audit.coverage WHERE topic = :topic AND partition = :partition AND incarnation = 0"
)
_KEEP: Final = text(
    """
    INSERT INTO audit.reviews (seq, of_seq, verdict, reason, reviewer_id, reviewer_name, reviewed_at)
    VALUES (:seq, :of_seq, :verdict, :reason, :reviewer_id, :reviewer_name, :reviewed_at)
    """
)


class RecordNotFoundError(LookupError):
    """There is no such record."""


class OwnActionError(Exception):
    """The reviewer is the record's actor."""

    def __init__(self, seq: int, actor_id: str) -> None:
        super().__init__(f"record {seq} is an action of {actor_id}: somebody else reviews it")
        self.seq, self.actor_id = seq, actor_id


async def review(tx: Transaction, seq: int, verdict: Verdict, reason: str | None) -> ReviewState:
    """Append the review of a record; the same verdict of the same reviewer again changes nothing.

    Raises RecordNotFoundError, OwnActionError, GuardsMissingError.
    """
    head = await store.lock_head(tx.connection, [])
    row = await queries.get_record(tx.connection, seq)
    if row is None:
        raise RecordNotFoundError(seq)
    if row.actor_id == tx.actor.id:
        raise OwnActionError(seq, row.actor_id)
    standing = (await queries.review_states(tx.connection, [seq]))[seq]
    if (standing.state, standing.by_id) == (verdict, tx.actor.id):
        return standing
    entry = await _emitted(tx, row.seq, row.event_id, verdict, reason)
    (recorded,) = await use_cases.append(tx, head, [entry], [])
    kept = {
        "seq": recorded.seq,
        "of_seq": seq,
        "verdict": verdict,
        "reason": reason,
        "reviewer_id": tx.actor.id,
        "reviewer_name": tx.actor.name,
        "reviewed_at": real_now(),
    }
    await tx.connection.execute(_KEEP, kept)
    return (await queries.review_states(tx.connection, [seq]))[seq]


async def _emitted(tx: Transaction, seq: int, event_id: str, verdict: Verdict, reason: str | None) -> Entry:
    """The event of the review, as the entry that the log keeps of it."""
    body = AuditReviewRecorded(seq=seq, record_event_id=event_id, verdict=verdict)
    entity, workflow = Entity(type="audit_record", id=str(seq)), Workflow(name="audit_review", id=str(seq))
    tx.emit(Draft(body, entity, workflow, reason=reason))
    place = {"topic": OWN_PLACE.topic, "partition": OWN_PLACE.partition}
    offset = (await tx.connection.execute(_NEXT, place)).scalar_one_or_none() or 0
    consumed = Record(OWN_PLACE.topic, OWN_PLACE.partition, offset, 0, None, (), tx.outgoing[-1].value)
    consumed.decode()
    entry = translate.record(Pointer(OWN_PLACE, offset), consumed)
    if not isinstance(entry, Entry):
        raise TypeError("a review is an event that the log understands")
    return entry
