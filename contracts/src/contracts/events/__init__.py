"""Every event type: importing this package registers them all."""

from contracts.events.audit import AuditEventRecorded
from contracts.events.messages import MessageDeadLettered
from contracts.events.payments import (
    InvoiceUpdated,
    MemberUpdated,
    Named,
    PaymentProviderEventIngested,
    PaymentState,
    PaymentUpdated,
    Provider,
    ProviderDeliveryRejected,
    ProviderEventReference,
    Referenced,
)

__all__ = [
    "AuditEventRecorded",
    "InvoiceUpdated",
    "MemberUpdated",
    "MessageDeadLettered",
    "Named",
    "PaymentProviderEventIngested",
    "PaymentState",
    "PaymentUpdated",
    "Provider",
    "ProviderDeliveryRejected",
    "ProviderEventReference",
    "Referenced",
]
