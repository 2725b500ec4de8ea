"""Appending a batch to the log: one transaction, whatever the batch holds."""

from __future__ import annotations

from collections.abc import Sequence

import structlog
from chassis.clock import real_now
from chassis.ids import new_id
from chassis.transaction import Cause, Draft, Transaction
from contracts.envelope import Actor, Entity, Workflow
from contracts.events import AuditEventRecorded

from audit import store
from audit.domain import Entry, Gap, Place, Recorded, Settled, Technical, Unreadable, settle, tallies

log = structlog.get_logger()
_AUDIT = Actor(kind="system", id="audit", name="Audit")


async def append(
    tx: Transaction, records: Sequence[Entry | Unreadable | Technical], gaps: Sequence[Gap]
) -> Sequence[Recorded]:
    """Record, quarantine or count every record of a batch, and account for every offset that it spans.

    The head is locked first, so that sequence numbers have no gaps and no late arrivals.
    """
    at = real_now()
    last_seq = await store.lock_head(tx.connection)
    known = await store.known_ids(tx.connection, [record for record in records if isinstance(record, Entry)])
    settled = settle(records, known, last_seq=last_seq)
    await store.append(tx.connection, settled.recorded, at=at)
    await store.quarantine(tx.connection, settled.unreadable, settled.recorded, at=at)
    await store.keep_conflicts(tx.connection, settled.conflicts, at=at)
    await store.keep_gaps(tx.connection, gaps, at=at)
    await store.cover(tx.connection, tallies(settled, gaps), _first_offsets(records, gaps))
    _raise_alarms(settled, gaps)
    if settled.recorded:
        tx.acting(_AUDIT, Cause(new_id())).emit(_told(settled.recorded, at=at))
    return settled.recorded


def _first_offsets(records: Sequence[Entry | Unreadable | Technical], gaps: Sequence[Gap]) -> dict[Place, int]:
    first: dict[Place, int] = {}
    for place, offset in (
        *((record.pointer.place, record.pointer.offset) for record in records),
        *((gap.place, gap.first) for gap in gaps),
    ):
        first[place] = min(offset, first.get(place, offset))
    return first


def _raise_alarms(settled: Settled, gaps: Sequence[Gap]) -> None:
    """What an operator must see at once; each stands in its own table too."""
    for entry in settled.conflicts:
        log.error("audit.conflict", source=entry.source, event_id=entry.event_id, offset=entry.pointer.offset)
    for item in settled.unreadable:
        log.error("audit.quarantined", topic=item.pointer.place.topic, offset=item.pointer.offset, detail=item.detail)
    for gap in gaps:
        if gap.explanation is None:
            log.error("audit.unexplained_gap", topic=gap.place.topic, partition=gap.place.partition, first=gap.first)


def _told(recorded: Sequence[Recorded], *, at: object) -> Draft[AuditEventRecorded]:
    body = AuditEventRecorded.model_validate(
        {
            "records": len(recorded),
            "first_seq": recorded[0].seq,
            "last_seq": recorded[-1].seq,
            "recorded_at": at,
        }
    )
    return Draft(body, Entity(type="audit_log", id="audit_log"), Workflow(name="audit", id="audit_log"))
