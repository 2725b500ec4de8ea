"""Appending to the log: one transaction, whatever a batch holds."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import structlog
from chassis import outbox
from chassis.clock import real_now
from chassis.ids import new_id
from chassis.transaction import Cause, Draft, Transaction
from contracts.envelope import Entity, Workflow
from contracts.events import AuditEventRecorded

from audit import store
from audit.domain import Entry, Gap, Recorded, Settled, Technical, Unreadable, first_offsets, settle, tallies
from audit.store import Head
from audit.tables import SCHEMA

log = structlog.get_logger()


class ConflictingEventError(ValueError):
    """The log holds another event under this id."""

    def __init__(self, source: str, event_id: str) -> None:
        self.source = source
        self.event_id = event_id
        super().__init__(f"the log holds {event_id} of {source} with other bytes")


async def append(
    tx: Transaction, head: Head, records: Sequence[Entry | Unreadable | Technical], gaps: Sequence[Gap]
) -> Sequence[Recorded]:
    """Record, quarantine or count every record of a batch, and account for every offset that it spans.

    The head is locked, so that sequence numbers have no gaps and no late arrivals.
    """
    settled, at = settle(records, head.known, last_seq=head.last_seq), real_now()
    _tell(tx, settled.recorded, at)
    account = store.cover(tallies(settled, gaps), first_offsets(records, gaps))
    await store.append(tx.connection, settled.recorded, *account, *outbox.tell(SCHEMA, tx.outgoing), at=at)
    await store.quarantine(tx.connection, settled.unreadable, settled.recorded, at=at)
    await store.keep_conflicts(tx.connection, settled.conflicts, at=at)
    await store.keep_gaps(tx.connection, gaps, at=at)
    _raise_alarms(settled, gaps)
    return settled.recorded


async def reinterpret(tx: Transaction, entry: Entry, dead_letter_id: str) -> Sequence[Recorded]:
    """Append what was quarantined as an event after all; its offset stays accounted for as it was.

    Nothing is appended where the event has come again meanwhile. Raises ConflictingEventError, GuardsMissingError.
    """
    head = await store.lock_head(tx.connection, [(entry.source, entry.event_id)])
    settled, at = settle([entry], head.known, last_seq=head.last_seq), real_now()
    if settled.conflicts:
        raise ConflictingEventError(entry.source, entry.event_id)
    await store.append(tx.connection, settled.recorded, at=at)
    for item in settled.recorded:
        await store.reinterpret(tx.connection, dead_letter_id, item.seq)
    _tell(tx, settled.recorded, at)
    return settled.recorded


def _tell(tx: Transaction, recorded: Sequence[Recorded], at: datetime) -> None:
    if not recorded:
        return
    body = AuditEventRecorded(
        records=len(recorded), first_seq=recorded[0].seq, last_seq=recorded[-1].seq, recorded_at=at
    )
    log_itself = Entity(type="audit_log", id="audit_log")
    draft = Draft(body, log_itself, Workflow(name="audit", id="audit_log"))
    tx.automatically(Cause(new_id())).emit(draft)


def _raise_alarms(settled: Settled, gaps: Sequence[Gap]) -> None:
    """What an operator must see at once; each stands in its own table too."""
    for entry in settled.conflicts:
        log.error("audit.conflict", source=entry.source, event_id=entry.event_id, offset=entry.pointer.offset)
    for item in settled.unreadable:
        log.error("audit.quarantined", topic=item.pointer.place.topic, offset=item.pointer.offset, detail=item.detail)
    for gap in gaps:
        if gap.explanation is None:
            log.error("audit.unexplained_gap", topic=gap.place.topic, partition=gap.place.partition, first=gap.first)
