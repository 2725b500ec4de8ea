"""The topic registry: who owns a topic, how it is keyed, how long it keeps what."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

DAY_MS: Final = 86_400_000


@dataclass(frozen=True, slots=True)
class Topic:
    """One Kafka topic. `key` says in words what the record key is; `retention_ms` None keeps for ever."""

    name: str
    owner: str
    key: str
    description: str
    partitions: int = 6
    retention_ms: int | None = 30 * DAY_MS
    cleanup: Literal["delete", "compact"] = "delete"


PAYMENTS_EVENTS: Final = Topic(
    "payments-events",
    owner="payments",
    key="the payment; the entity where no payment is meant",
    description="What happened to payments, invoices, members and provider deliveries.",
)
AUDIT_EVENTS: Final = Topic(
    "audit-events",
    owner="audit",
    key="the entity: `audit_log` for what was recorded",
    description="What the audit log has recorded. The audit service never reads it.",
)

TOPICS: Final = (PAYMENTS_EVENTS, AUDIT_EVENTS)
BY_NAME: Final = {topic.name: topic for topic in TOPICS}


def own_topic(service: str) -> Topic:
    """The topic on which a service announces its own facts, dead letters among them. Raises KeyError."""
    return BY_NAME[f"{service}-events"]
