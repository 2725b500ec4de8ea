"""What the audit service tells."""

from __future__ import annotations

from contracts.envelope import Instant, Integer, Payload
from contracts.registry import event_type
from contracts.topics import AUDIT_EVENTS


@event_type(
    "audit.event.recorded",
    version=1,
    topic=AUDIT_EVENTS,
    entity="audit_log",
    sentence="The audit log recorded {body.records} events up to record {body.last_seq}",
)
class AuditEventRecorded(Payload):
    """One batch was recorded: `records` rows with sequence numbers `first_seq` to `last_seq`, both included."""

    records: Integer
    first_seq: Integer
    last_seq: Integer
    recorded_at: Instant
