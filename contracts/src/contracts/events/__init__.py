"""Every event type: importing this package registers them all and asserts that none is missing."""

from contracts.events.audit import AuditEventRecorded
from contracts.events.messages import MessageDeadLettered, MessageRetried, OutboxKeyReleased
from contracts.events.payments import (
    InvoiceUpdated,
    MemberUpdated,
    Named,
    PaymentProviderEventIngested,
    PaymentState,
    PaymentUpdated,
    Provider,
    ProviderDeliveryRejected,
    ProviderEventConflicted,
    ProviderEventReference,
    Referenced,
)
from contracts.registry import all_types, assert_complete
from contracts.topics import TOPICS

__all__ = [
    "AuditEventRecorded",
    "InvoiceUpdated",
    "MemberUpdated",
    "MessageDeadLettered",
    "MessageRetried",
    "Named",
    "OutboxKeyReleased",
    "PaymentProviderEventIngested",
    "PaymentState",
    "PaymentUpdated",
    "Provider",
    "ProviderDeliveryRejected",
    "ProviderEventConflicted",
    "ProviderEventReference",
    "Referenced",
]

assert_complete(TOPICS, all_types())
