"""Every event type: importing this package registers them all and asserts that none is missing."""

from contracts.events.audit import AuditEventRecorded, AuditReviewRecorded
from contracts.events.gateway import AccessRefused, AccessSignedIn
from contracts.events.messages import MessageDeadLettered, MessageRetried, OutboxKeyReleased
from contracts.events.payments import (
    HoldState,
    InvoiceUpdated,
    MemberHoldEnded,
    MemberHoldStarted,
    MemberUpdated,
    PaymentMatchUpdated,
    PaymentProviderEventIngested,
    PaymentRecoveryRequested,
    PaymentState,
    PaymentUpdated,
    PayoutDescribed,
    PeriodClosed,
    Provider,
    ProviderDeliveryRejected,
    ProviderEventConflicted,
    ProviderEventReference,
    RefundRequestUpdated,
    ReplayCounts,
    ReplayUpdated,
)
from contracts.events.provider_health import (
    AutomationPauseAcknowledged,
    AutomationPauseHeartbeat,
    AutomationPauseUpdated,
    IncidentState,
    MaintenanceWindowUpdated,
    PauseScope,
    PauseState,
    ProviderHealthChanged,
    ProviderHealthReviewed,
    ProviderIncidentUpdated,
)
from contracts.events.shared import Named, Referenced
from contracts.events.tasks import (
    OperationalTaskRequested,
    OperationalTaskUpdated,
    TaskBlocked,
    TaskOutcome,
    TaskSource,
    TaskState,
)
from contracts.registry import all_types, assert_complete
from contracts.topics import TOPICS

__all__ = [
    "AccessRefused",
    "AccessSignedIn",
    "AuditEventRecorded",
    "AuditReviewRecorded",
    "AutomationPauseAcknowledged",
    "AutomationPauseHeartbeat",
    "AutomationPauseUpdated",
    "HoldState",
    "IncidentState",
    "InvoiceUpdated",
    "MaintenanceWindowUpdated",
    "MemberHoldEnded",
    "MemberHoldStarted",
    "MemberUpdated",
    "MessageDeadLettered",
    "MessageRetried",
    "Named",
    "OperationalTaskRequested",
    "OperationalTaskUpdated",
    "OutboxKeyReleased",
    "PauseScope",
    "PauseState",
    "PaymentMatchUpdated",
    "PaymentProviderEventIngested",
    "PaymentRecoveryRequested",
    "PaymentState",
    "PaymentUpdated",
    "PayoutDescribed",
    "PeriodClosed",
    "Provider",
    "ProviderDeliveryRejected",
    "ProviderEventConflicted",
    "ProviderEventReference",
    "ProviderHealthChanged",
    "ProviderHealthReviewed",
    "ProviderIncidentUpdated",
    "Referenced",
    "RefundRequestUpdated",
    "ReplayCounts",
    "ReplayUpdated",
    "TaskBlocked",
    "TaskOutcome",
    "TaskSource",
    "TaskState",
]

assert_complete(TOPICS, all_types())
