"""Evidence: what a service measures about itself, under names that the readiness board knows.

A measurement is a value with a unit and the instant at which it was true; whether that is good is the board's to say.
Where a measure has several subjects (routes, processes, providers) the name is followed by a colon and the subject:
`provider_state:stripe/api`. A measure that could not be taken is absent, never zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Final

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StrictBool, StrictFloat, StrictInt, StrictStr

Value = StrictBool | StrictInt | StrictFloat | StrictStr
SUBJECT_MAX_CHARACTERS: Final = 200


class Measurement(BaseModel):
    """One thing measured. `detail_url` is a path at the service that measured, where more can be read."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: Annotated[str, Field(min_length=1, max_length=300)]
    value: Value
    unit: Annotated[str, Field(max_length=40)]
    observed_at: AwareDatetime
    detail_url: Annotated[str, Field(max_length=500)] | None = None


@dataclass(frozen=True, slots=True)
class Measure:
    """Something that is measured: its name, its unit and what it says."""

    name: str
    unit: str
    meaning: str

    def reading(
        self, value: Value, observed_at: datetime, *, of: str | None = None, detail_url: str | None = None
    ) -> Measurement:
        """A measurement of this, of the subject `of` where there are several."""
        name = self.name if of is None else f"{self.name}:{of[:SUBJECT_MAX_CHARACTERS]}"
        return Measurement(name=name, value=value, unit=self.unit, observed_at=observed_at, detail_url=detail_url)


# What every service measures. Subjects are processes by their instance, where it is not the service as a whole.
DEAD_LETTERS_OPEN: Final = Measure("dead_letters_open", "messages", "Messages set aside and not brought back")
OUTBOX_DEPTH: Final = Measure("outbox_depth", "events", "Events that wait to be sent")
OUTBOX_OLDEST_AGE: Final = Measure("outbox_oldest_age", "seconds", "How long the oldest event has waited to be sent")
OUTBOX_PARKED_KEYS: Final = Measure("outbox_parked_keys", "keys", "Keys whose events cannot be sent")
CONSUMER_LAG_RECORDS: Final = Measure("consumer_lag_records", "records", "Records that a consumer has not read yet")
CONSUMER_LAG: Final = Measure("consumer_lag", "seconds", "How long the oldest unread record has been there")
ANSWERS: Final = Measure("answers_15m", "answers", "Requests answered in the last 15 minutes")
SERVER_ERRORS: Final = Measure(
    "server_errors_15m", "answers", "Requests answered with a fault of ours, in the last 15 minutes"
)
ROUTE_SERVER_ERRORS: Final = Measure("route_server_errors_15m", "answers", "The same, by route")
PROCESS_VERSION: Final = Measure("process_version", "version", "What a process runs: a digest of its source")
PROCESS_STARTED: Final = Measure("process_started", "instant", "When a process started")
PROCESS_SETTINGS: Final = Measure("process_settings", "digest", "What a process was told, secrets left out")

UNBALANCED_JOURNALS: Final = Measure("unbalanced_journals", "journals", "Journals that do not sum to zero")
LEDGER_VERIFIED: Final = Measure("ledger_verified", "yes or no", "The ledger's last verification found nothing")
PARKED_OVER_AN_HOUR: Final = Measure(
    "parked_over_an_hour", "objects", "Payments that have waited for a provider's answer for over an hour"
)
OLDEST_UNPROCESSED: Final = Measure("oldest_unprocessed_event", "seconds", "Age of the oldest event not applied yet")
PENDING_EVENTS: Final = Measure("pending_events", "events", "Provider events that are not applied yet")
REJECTED_DELIVERIES: Final = Measure("rejected_deliveries_1h", "deliveries", "Deliveries refused in the last hour")
SIGNATURE_CHECKS: Final = Measure("signature_checks", "yes or no", "Each provider's signatures are checked")
FAILURES_WITHOUT_ONE_OWNER: Final = Measure(
    "failures_without_one_owner", "payments", "Failed payments without exactly one retry, task or end"
)
HELD_RETRIES: Final = Measure("held_retries", "retries", "Retries that are due and held back")
PAUSES_READABLE: Final = Measure("pauses_readable", "yes or no", "Every process knows which pauses are in force")

COVERAGE_GAPS: Final = Measure("unexplained_coverage_gaps", "offsets", "Kafka offsets that nobody accounts for")
AUDIT_VERIFIED: Final = Measure("audit_verified", "yes or no", "The log's last verification found nothing")
SENSITIVE_UNREVIEWED: Final = Measure(
    "sensitive_unreviewed_48h", "records", "Sensitive records that nobody has reviewed for 48 hours"
)

PROVIDER_STATE: Final = Measure("provider_state", "state", "How a provider or a door of ours is, by category")
SEVERE_INCIDENTS: Final = Measure("severe_incidents_open", "incidents", "Open incidents of severity 1 and 2")
AI_DECISIONS: Final = Measure("ai_decisions_reported", "decisions", "Automatic decisions that were reported")
AI_PAYLOADS_FAILED: Final = Measure("ai_payloads_failed", "payloads", "Reported decisions that could not be read")

RECOVERY_TASKS_OVERDUE: Final = Measure("recovery_tasks_overdue", "tasks", "Recovery tasks beyond their due date")
GATING_TASKS: Final = Measure("gating_tasks", "tasks", "Open tasks that hold an item of the board back")

OPERATIONS_INCOMPLETE: Final = Measure(
    "operations_incomplete", "operations", "Operations without scope, example, audit event or limit"
)
TESTS_PASSED: Final = Measure("tests_passed", "version", "The source version for which tests have passed, by suite")

COMMON: Final = (
    DEAD_LETTERS_OPEN,
    OUTBOX_DEPTH,
    OUTBOX_OLDEST_AGE,
    OUTBOX_PARKED_KEYS,
    CONSUMER_LAG_RECORDS,
    CONSUMER_LAG,
    ANSWERS,
    SERVER_ERRORS,
    ROUTE_SERVER_ERRORS,
    PROCESS_VERSION,
    PROCESS_STARTED,
    PROCESS_SETTINGS,
)
OWN: Final = {
    "payments": (
        UNBALANCED_JOURNALS,
        LEDGER_VERIFIED,
        PARKED_OVER_AN_HOUR,
        OLDEST_UNPROCESSED,
        PENDING_EVENTS,
        REJECTED_DELIVERIES,
        SIGNATURE_CHECKS,
        FAILURES_WITHOUT_ONE_OWNER,
        HELD_RETRIES,
        PAUSES_READABLE,
    ),
    "audit": (COVERAGE_GAPS, AUDIT_VERIFIED, SENSITIVE_UNREVIEWED),
    "provider-health": (PROVIDER_STATE, SEVERE_INCIDENTS, AI_DECISIONS, AI_PAYLOADS_FAILED),
    "tasks": (RECOVERY_TASKS_OVERDUE, GATING_TASKS),
    "gateway": (OPERATIONS_INCOMPLETE, TESTS_PASSED),
}
"""What each service measures beside that."""
