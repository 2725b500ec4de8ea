"""Every metric of the chassis, declared in one place and registered in one registry per process.

Names follow Prometheus: a unit in the name, `_total` for what only grows. Labels take values from small, closed sets
(a route's template, never its path), because every combination is kept for the life of the process.
"""

from __future__ import annotations

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

REGISTRY: Final = CollectorRegistry()
ProcessCollector(registry=REGISTRY)

_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_ITEMS: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000)


def _counter(name: str, description: str, *labels: str) -> Counter:
    return Counter(f"backbone_{name}", description, labels, registry=REGISTRY)


def _gauge(name: str, description: str, *labels: str) -> Gauge:
    return Gauge(f"backbone_{name}", description, labels, registry=REGISTRY)


def _histogram(name: str, description: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
    return Histogram(f"backbone_{name}", description, labels, registry=REGISTRY, buckets=buckets)


OUTBOX_ROWS: Final = _gauge("outbox_rows", "Events that wait in the outbox")
OUTBOX_OLDEST_AGE_SECONDS: Final = _gauge("outbox_oldest_age_seconds", "Age of the oldest event in the outbox")
OUTBOX_TABLE_BYTES: Final = _gauge("outbox_table_bytes", "Size of the outbox with its indexes")
OUTBOX_PARKED_KEYS: Final = _gauge("outbox_parked_keys", "Keys whose events cannot be sent and stand aside")
RELAY_ROUNDS: Final = _counter("relay_rounds_total", "Rounds of the relay: worked, idle, standby or failed", "outcome")
RELAYED: Final = _counter("relayed_total", "Events that the broker has acknowledged", "topic")

CONSUMER_LAG_RECORDS: Final = _gauge(
    "consumer_lag_records", "Records between the stored position and the end", "consumer", "topic", "partition"
)
CONSUMER_SKIPPED: Final = _counter(
    "consumer_skipped_total", "Records passed over: duplicate, unknown_type or unknown_version", "consumer", "reason"
)
CONSUMER_ALARMS: Final = _counter(
    "consumer_alarms_total", "Stored positions that could not be trusted, by why", "consumer", "reason"
)
BATCH_ITEMS: Final = _histogram("batch_items", "Items in one batch", _ITEMS, "runner")
BATCH_SECONDS: Final = _histogram("batch_seconds", "Time from claim to commit of one batch", _SECONDS, "runner")
BATCHES: Final = _counter("batches_total", "Batches: committed, conflict, infrastructure or split", "runner", "outcome")
EXECUTIONS: Final = _counter("executions_total", "Due rows executed: done, failed or lost", "schedule", "outcome")
DEAD_LETTERS: Final = _counter("dead_letters_total", "Messages set aside", "runner", "reason_class")

HTTP_REQUESTS: Final = _counter("http_requests_total", "Requests answered", "method", "route", "status")
HTTP_REQUEST_SECONDS: Final = _histogram("http_request_seconds", "Time to answer", _SECONDS, "method", "route")
INGRESS_ANSWERS: Final = _counter("ingress_answers_total", "Deliveries answered", "source", "answer")
GROUP_COMMIT_ITEMS: Final = _histogram("group_commit_items", "Items that shared one commit", _ITEMS, "group")
GROUP_COMMIT_SECONDS: Final = _histogram("group_commit_seconds", "Time of one group's transaction", _SECONDS, "group")
GROUP_COMMIT_WAITING: Final = _gauge("group_commit_waiting", "Items that wait for a commit", "group")


def exposition() -> bytes:
    """All metrics in Prometheus' text format."""
    return generate_latest(REGISTRY)
