"""Examples of what the audit service tells."""

from __future__ import annotations

from typing import Final

from contracts.envelope import Entity, Event, Payload, Workflow
from contracts.events import AuditEventRecorded, AuditReviewRecorded
from contracts.examples.shared import EVENT_ID, OPERATIONS, TIME, example, system

EXAMPLES: Final[tuple[Event[Payload], ...]] = (
    example(
        AuditEventRecorded(records=500, first_seq=120001, last_seq=120500, recorded_at=TIME),
        actor=system("audit"),
        entity=Entity(type="audit_log", id="payments-events/3"),
        workflow=Workflow(name="recording", id="payments-events/3"),
    ),
    example(
        AuditReviewRecorded(seq=120042, record_event_id=EVENT_ID, verdict="approved"),
        actor=OPERATIONS,
        entity=Entity(type="audit_record", id="120042"),
        workflow=Workflow(name="review", id="120042"),
        after={"review": "approved"},
        reason="the member confirmed it",
    ),
)
