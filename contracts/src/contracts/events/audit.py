"""What the audit service tells."""

from __future__ import annotations

from typing import Literal

from contracts.envelope import Instant, Integer, Payload
from contracts.registry import event_type
from contracts.topics import AUDIT_EVENTS


@event_type(
    "audit.event.recorded",
    version=1,
    topic=AUDIT_EVENTS,
    entity="audit_log",
    sentence="The audit log recorded {body.records:{} event(s)} up to record {body.last_seq}",
)
class AuditEventRecorded(Payload):
    """One batch was recorded: `records` rows with sequence numbers `first_seq` to `last_seq`, both included."""

    records: Integer
    first_seq: Integer
    last_seq: Integer
    recorded_at: Instant


@event_type(
    "audit.review.recorded",
    version=1,
    topic=AUDIT_EVENTS,
    entity="audit_record",
    sentence="{actor} {body.verdict} audit record {body.seq}{reason: because {}}",
)
class AuditReviewRecorded(Payload):
    """Somebody who was not its actor reviewed a record of a sensitive action. The record itself never changes."""

    seq: Integer
    record_event_id: str
    verdict: Literal["approved", "flagged"]
