"""Evidence for the board's tests: everything as it should be, and ways to make something of it wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from contracts.evidence import Measure
from gateway.board.catalogue import BY_ID, ITEMS
from gateway.board.domain import Evidence, Fact, Item, Judged, Task, Value, judge

from contracts import evidence as e

NOW = datetime(2026, 11, 25, 9, 0, tzinfo=UTC)
VERSION = "0123456789ab"


def fact(service: str, measure: Measure, value: Value, of: str = "", *, age: timedelta = timedelta()) -> Fact:
    name = f"{measure.name}:{of}" if of else measure.name
    return Fact(service, name, value, measure.unit, NOW - age)


def _all_well() -> Iterable[Fact]:
    for service in ("payments", "audit", "provider-health", "tasks", "gateway"):
        yield fact(service, e.DEAD_LETTERS_OPEN, 0)
        yield fact(service, e.OUTBOX_DEPTH, 0)
        yield fact(service, e.OUTBOX_OLDEST_AGE, 0.0)
        yield fact(service, e.PROCESS_VERSION, VERSION, f"{service}-1")
        yield fact(service, e.PROCESS_VERSION, VERSION, f"{service}-2")
        yield fact(service, e.ANSWERS, 1_000, f"{service}-1")
        yield fact(service, e.SERVER_ERRORS, 0, f"{service}-1")
    yield fact("payments", e.UNBALANCED_JOURNALS, 0)
    yield fact("payments", e.LEDGER_VERIFIED, True)
    yield fact("payments", e.PARKED_OVER_AN_HOUR, 0)
    yield fact("payments", e.OLDEST_UNPROCESSED, 0.0)
    yield fact("payments", e.PENDING_EVENTS, 0)
    yield fact("payments", e.REJECTED_DELIVERIES, 0)
    yield fact("payments", e.SIGNATURE_CHECKS, True, "stripe")
    yield fact("payments", e.SIGNATURE_CHECKS, True, "gocardless")
    yield fact("payments", e.FAILURES_WITHOUT_ONE_OWNER, 0)
    yield fact("payments", e.HELD_RETRIES, 0)
    yield fact("payments", e.PAUSES_READABLE, True, "payments-1")
    yield fact("audit", e.COVERAGE_GAPS, 0)
    yield fact("audit", e.AUDIT_VERIFIED, True)
    yield fact("audit", e.CONSUMER_LAG, 0.0, "audit-1/audit")
    yield fact("audit", e.SENSITIVE_UNREVIEWED, 0)
    for provider in ("stripe", "gocardless"):
        yield fact("provider-health", e.PROVIDER_STATE, "up", f"{provider}/api")
        yield fact("provider-health", e.PROVIDER_STATE, "up", f"{provider}/webhooks")
    yield fact("provider-health", e.PROVIDER_STATE, "up", "members-api/api")
    yield fact("provider-health", e.SEVERE_INCIDENTS, 0)
    yield fact("provider-health", e.AI_DECISIONS, 12)
    yield fact("provider-health", e.AI_PAYLOADS_FAILED, 0)
    yield fact("tasks", e.RECOVERY_TASKS_OVERDUE, 0)
    yield fact("tasks", e.GATING_TASKS, 0)
    yield fact("gateway", e.OPERATIONS_INCOMPLETE, 0)
    yield fact("gateway", e.TESTS_PASSED, VERSION, "contract")
    yield fact("gateway", e.TESTS_PASSED, VERSION, "replay")


ALL_WELL = Evidence(tuple(_all_well()))
A_TASK = Task(
    id="0199a0b0-0000-7000-8000-000000000001",
    title="Confirm Isla Morgan trial arrival",
    state="open",
    due_state="upcoming",
    version=1,
    queue="Front desk",
    read_at=NOW,
)


def changed(service: str, measure: Measure, make: Callable[[Fact], Iterable[Fact]]) -> Evidence:
    """All is well but for one measure: each of its facts becomes what `make` makes of it."""
    facts: list[Fact] = []
    for each in ALL_WELL.facts:
        matches = (each.service, each.measure) == (service, measure.name)
        facts += make(each) if matches else [each]
    return Evidence(tuple(facts))


def with_value(service: str, measure: Measure, value: Value) -> Evidence:
    return changed(service, measure, lambda each: [replace(each, value=value)])


def without(service: str, measure: Measure) -> Evidence:
    return changed(service, measure, lambda _: [])


def aged(service: str, measure: Measure, age: timedelta) -> Evidence:
    return changed(service, measure, lambda each: [replace(each, observed_at=NOW - age)])


def away(*services: str) -> Evidence:
    facts = tuple(each for each in ALL_WELL.facts if each.service not in services)
    return Evidence(facts, dict.fromkeys(services, "cannot be reached"))


def judged(item: str | Item, evidence: Evidence = ALL_WELL, task: Task | None = None) -> Judged:
    return judge(BY_ID[item] if isinstance(item, str) else item, evidence, task, now=NOW)


RULES = [(item, rule) for item in ITEMS for rule in item.rules]
