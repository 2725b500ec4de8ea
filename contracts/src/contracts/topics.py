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
PROVIDER_HEALTH_EVENTS: Final = Topic(
    "provider-health-events",
    owner="provider-health",
    key="the check or the incident",
    description="What happened to checks of providers, to incidents and to their reviews.",
)
TASKS_EVENTS: Final = Topic(
    "tasks-events",
    owner="tasks",
    key="the task",
    description="What happened to operational tasks.",
)
TASKS_COMMANDS: Final = Topic(
    "tasks-commands",
    owner="tasks",
    key="the task's dedupe key",
    description="What other services ask the tasks service to open: the only way to open a task by bus.",
)
GATEWAY_EVENTS: Final = Topic(
    "gateway-events",
    owner="gateway",
    key="who was refused or signed in",
    description="Who signed in at the gateway, and what it refused.",
)
AUTOMATION_PAUSES: Final = Topic(
    "automation-pauses",
    owner="provider-health",
    key="the pause's scope in its text form; `heartbeat` for heartbeats",
    description="The newest state of every automation pause, and the heartbeat of the service that keeps them.",
    partitions=1,
    retention_ms=None,
    cleanup="compact",
)

TOPICS: Final = (
    PAYMENTS_EVENTS,
    PROVIDER_HEALTH_EVENTS,
    AUTOMATION_PAUSES,
    TASKS_EVENTS,
    TASKS_COMMANDS,
    AUDIT_EVENTS,
    GATEWAY_EVENTS,
)
OWN_TOPICS: Final = (PAYMENTS_EVENTS, PROVIDER_HEALTH_EVENTS, TASKS_EVENTS, AUDIT_EVENTS, GATEWAY_EVENTS)
"""On which each service announces its own facts."""
BY_NAME: Final = {topic.name: topic for topic in TOPICS}


def own_topic(service: str) -> Topic:
    """The topic on which a service announces its own facts, dead letters among them. Raises KeyError."""
    return BY_NAME[f"{service}-events"]
