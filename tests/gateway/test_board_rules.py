"""The readiness board: what makes an item Ready, Watch or Blocked, and that nothing else can."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from contracts.evidence import COMMON, OWN, Measure
from gateway.board.catalogue import BY_ID, ITEMS
from gateway.board.domain import Evidence, Fact, Outcome, Rule, State, Task, Value, counts, judge, judge_rule
from hypothesis import given
from hypothesis import strategies as st

from contracts import evidence as e
from tests.gateway.board_evidence import (
    A_TASK,
    ALL_WELL,
    NOW,
    RULES,
    aged,
    away,
    changed,
    fact,
    judged,
    with_value,
    without,
)

LEDGER, AUDIT, MEMBERS = "payment-provider-event-ledger", "sensitive-action-audit-trail", "members-api"
WEBHOOKS, RAILS, AI = "payment-webhooks", "payment-rails", "ai-decision-logged"
ARRIVAL = "confirm-isla-morgan-trial-arrival"
READY, WATCH, BLOCKED = State.READY, State.WATCH, State.BLOCKED
WITH_RULES = [item.id for item in ITEMS if item.rules]

WRONG: list[tuple[str, str, Measure, Value, State]] = [
    (LEDGER, "payments", e.UNBALANCED_JOURNALS, 1, BLOCKED),
    (LEDGER, "payments", e.LEDGER_VERIFIED, False, BLOCKED),
    (LEDGER, "payments", e.DEAD_LETTERS_OPEN, 1, WATCH),
    (LEDGER, "payments", e.PARKED_OVER_AN_HOUR, 1, WATCH),
    (LEDGER, "payments", e.OLDEST_UNPROCESSED, 60.1, WATCH),
    (AUDIT, "audit", e.COVERAGE_GAPS, 1, BLOCKED),
    (AUDIT, "audit", e.AUDIT_VERIFIED, False, BLOCKED),
    (AUDIT, "audit", e.CONSUMER_LAG, 30.1, WATCH),
    (AUDIT, "audit", e.SENSITIVE_UNREVIEWED, 1, WATCH),
    (MEMBERS, "gateway", e.OPERATIONS_INCOMPLETE, 1, BLOCKED),
    (MEMBERS, "provider-health", e.PROVIDER_STATE, "degraded", BLOCKED),
    (MEMBERS, "gateway", e.SERVER_ERRORS, 11, WATCH),
    (MEMBERS, "gateway", e.TESTS_PASSED, "ba9876543210", WATCH),
    (WEBHOOKS, "provider-health", e.PROVIDER_STATE, "down", BLOCKED),
    (WEBHOOKS, "payments", e.SIGNATURE_CHECKS, False, BLOCKED),
    (WEBHOOKS, "payments", e.REJECTED_DELIVERIES, 20, WATCH),
    (WEBHOOKS, "provider-health", e.SEVERE_INCIDENTS, 1, WATCH),
    (WEBHOOKS, "payments", e.OUTBOX_OLDEST_AGE, 61.0, WATCH),
    (WEBHOOKS, "gateway", e.TESTS_PASSED, "ba9876543210", WATCH),
    (RAILS, "payments", e.FAILURES_WITHOUT_ONE_OWNER, 1, BLOCKED),
    (RAILS, "payments", e.PAUSES_READABLE, False, BLOCKED),
    (RAILS, "payments", e.HELD_RETRIES, 1, WATCH),
    (RAILS, "tasks", e.RECOVERY_TASKS_OVERDUE, 1, WATCH),
    (AI, "provider-health", e.AI_PAYLOADS_FAILED, 1, WATCH),
]
FINE: list[tuple[str, str, Measure, Value]] = [
    (LEDGER, "payments", e.OLDEST_UNPROCESSED, 60.0),
    (AUDIT, "audit", e.CONSUMER_LAG, 30.0),
    (MEMBERS, "gateway", e.SERVER_ERRORS, 10),
    (WEBHOOKS, "payments", e.REJECTED_DELIVERIES, 19),
    (WEBHOOKS, "provider-health", e.PROVIDER_STATE, "degraded"),
]


def test_the_board_has_the_ten_items_of_the_product() -> None:
    assert [item.title for item in ITEMS] == [
        "Payment provider event ledger",
        "Sensitive action audit trail",
        "Members API",
        "Payment webhooks",
        "Payment rails",
        "ai.decision.logged",
        "Confirm Isla Morgan trial arrival",
        "Call Mark Stevens about failed payment",
        "Clarify pickup authority for Alessandro",
        "Build comp board for winter invitational",
    ]
    for item in ITEMS:
        assert all((item.owner, item.source, item.persistence, item.text, item.action_model, item.audit_event)), item
        assert bool(item.rules) != bool(item.task), "rules or a task decide, never both"


def test_every_rule_looks_at_something_that_its_services_measure() -> None:
    known = {service: {each.name for each in (*COMMON, *own)} for service, own in OWN.items()}
    for item, rule in RULES:
        seen = rule.look(ALL_WELL)
        assert seen is not None, (item.id, rule.id)
        for service, name in (each.split("/", 1) for each in seen.evidence):
            assert name.partition(":")[0] in known[service], (rule.id, service, name)
            assert service in rule.asks, (rule.id, service)


@pytest.mark.parametrize("item", WITH_RULES)
def test_an_item_is_ready_where_everything_holds(item: str) -> None:
    found = judged(item)
    assert found.state is READY
    assert {each.outcome for each in found.because} == {Outcome.HOLDS}
    assert found.next_action == "Nothing: everything holds"


@pytest.mark.parametrize(("item", "service", "measure", "value", "state"), WRONG)
def test_what_is_beyond_its_threshold_blocks_or_is_watched(
    item: str, service: str, measure: Measure, value: Value, state: State
) -> None:
    found = judged(item, with_value(service, measure, value))
    assert found.state is state
    worst = found.because[0]
    assert (worst.outcome, worst.state) == (Outcome.FAILS, state)
    assert worst.value
    assert worst.threshold
    assert found.next_action == worst.next_step


@pytest.mark.parametrize(
    ("item", "service", "measure", "value", "words"),
    [
        (WEBHOOKS, "payments", e.REJECTED_DELIVERIES, 1, "1 delivery"),
        (WEBHOOKS, "payments", e.REJECTED_DELIVERIES, 2, "2 deliveries"),
        (LEDGER, "payments", e.DEAD_LETTERS_OPEN, 1, "1 message"),
        (LEDGER, "payments", e.OLDEST_UNPROCESSED, 1.0, "1 second"),
        (LEDGER, "payments", e.OLDEST_UNPROCESSED, 61.5, "61.5 seconds"),
    ],
)
def test_one_is_told_as_one(item: str, service: str, measure: Measure, value: Value, words: str) -> None:
    found = judged(item, with_value(service, measure, value))
    assert words in {each.value for each in found.because}


def test_operations_that_lack_something_are_named() -> None:
    named = Fact("gateway", f"{e.OPERATIONS_INCOMPLETE.name}:GET /v1/payouts", 1, "operations", NOW)
    lacking = with_value("gateway", e.OPERATIONS_INCOMPLETE, 1)
    found = judged(MEMBERS, replace(lacking, facts=[*lacking.facts, named]))
    assert found.because[0].value == "1 operation: GET /v1/payouts"


@pytest.mark.parametrize(("item", "service", "measure", "value"), FINE)
def test_what_is_at_its_threshold_still_holds(item: str, service: str, measure: Measure, value: Value) -> None:
    assert judged(item, with_value(service, measure, value)).state is READY


@pytest.mark.parametrize(("item", "rule"), RULES, ids=lambda each: each.id)
def test_evidence_that_is_missing_blocks_where_the_rule_blocks_and_watches_where_it_watches(
    item: object, rule: Rule
) -> None:
    nothing = judge_rule(rule, Evidence((), {"payments": "cannot be reached"}), now=NOW)
    assert nothing.outcome is Outcome.MISSING
    assert nothing.state is (BLOCKED if rule.kind == "blocking" else WATCH)
    assert nothing.value, "it says what is missing"
    assert ("payments cannot be reached" in nothing.value) == ("payments" in rule.asks)


@pytest.mark.parametrize(("item", "rule"), RULES, ids=lambda each: each.id)
def test_evidence_grows_old(item: object, rule: Rule) -> None:
    def outcome(age: timedelta) -> tuple[Outcome, State]:
        facts = tuple(replace(each, observed_at=NOW - age) for each in ALL_WELL.facts)
        found = judge_rule(rule, Evidence(facts), now=NOW)
        return found.outcome, found.state

    assert outcome(rule.limit) == (Outcome.HOLDS, READY)
    assert outcome(rule.limit + timedelta(seconds=1)) == (Outcome.STALE, WATCH)
    assert outcome(2 * rule.limit) == (Outcome.STALE, WATCH)
    too_old = (Outcome.TOO_OLD, BLOCKED if rule.kind == "blocking" else WATCH)
    assert outcome(2 * rule.limit + timedelta(seconds=1)) == too_old


def test_a_ledger_that_was_verified_an_hour_and_a_half_ago_is_watched_and_later_blocked() -> None:
    for age, state in ((59, READY), (90, WATCH), (121, BLOCKED)):
        found = judged(LEDGER, aged("payments", e.LEDGER_VERIFIED, timedelta(minutes=age)))
        assert found.state is state
    assert found.because[0].rule == e.LEDGER_VERIFIED.name
    assert found.because[0].age == timedelta(minutes=121)


def test_a_provider_that_nobody_knows_anything_of_yet_is_watched() -> None:
    evidence = with_value("provider-health", e.PROVIDER_STATE, "unknown")
    found = judged(WEBHOOKS, evidence)
    assert (found.state, found.because[0].outcome) == (WATCH, Outcome.INCONCLUSIVE)


def test_one_provider_that_was_never_checked_blocks_although_the_other_is_up() -> None:
    evidence = changed(
        "provider-health", e.PROVIDER_STATE, lambda each: [] if each.subject.startswith("gocardless") else [each]
    )
    assert judged(WEBHOOKS, evidence).state is BLOCKED


def test_two_versions_at_once_are_watched_although_one_of_them_was_tested() -> None:
    facts = (*ALL_WELL.facts, fact("payments", e.PROCESS_VERSION, "ba9876543210", "payments-3"))
    found = judged(WEBHOOKS, Evidence(facts))
    assert found.state is WATCH
    assert "ba9876543210" in found.because[0].value


def test_an_open_task_that_gates_an_item_puts_it_on_watch_and_no_other() -> None:
    facts = (*ALL_WELL.facts, fact("tasks", e.GATING_TASKS, 2, RAILS))
    assert judged(RAILS, Evidence(facts)).state is WATCH
    assert judged(RAILS, Evidence(facts)).because[0].value == "2 open tasks"
    assert judged(WEBHOOKS, Evidence(facts)).state is READY


def test_the_product_s_own_ai_item_is_blocked_for_want_of_a_source() -> None:
    found = judged(AI, without("provider-health", e.AI_DECISIONS))
    assert found.state is BLOCKED
    assert found.because[0].value == "no source reports AI decisions yet"
    assert found.next_action == "Connect a source of AI decisions"


def test_a_door_without_a_single_request_has_no_server_errors() -> None:
    evidence = changed("gateway", e.ANSWERS, lambda each: [replace(each, value=0)])
    assert judged(MEMBERS, evidence).state is READY


TASKS: list[tuple[Task | None, State, str]] = [
    (None, BLOCKED, "there is no task board:trial-arrival:isla-morgan yet"),
    (A_TASK, WATCH, "open in Front desk, nobody has claimed it"),
    (replace(A_TASK, state="claimed", owner="Front desk"), WATCH, "open with Front desk"),
    (replace(A_TASK, due_state="overdue"), BLOCKED, "overdue"),
    (replace(A_TASK, due_state="paused", blocked="Waiting for the member"), BLOCKED, "blocked: Waiting for the member"),
    (replace(A_TASK, state="completed", due_state="none", outcome="Arrived"), READY, "completed: Arrived"),
    (replace(A_TASK, state="cancelled"), BLOCKED, "the newest task was cancelled"),
    (replace(A_TASK, state="entered_in_error"), BLOCKED, "the newest task was entered in error"),
]


@pytest.mark.parametrize(("task", "state", "value"), TASKS)
def test_a_task_decides_its_item(task: Task | None, state: State, value: str) -> None:
    found = judged(ARRIVAL, task=task)
    assert (found.state, found.because[0].value) == (state, value)
    assert found.next_action


def test_a_task_that_cannot_be_read_blocks_its_item_and_says_why() -> None:
    found = judged(ARRIVAL, away("tasks"))
    assert (found.state, found.because[0].value) == (BLOCKED, "tasks cannot be reached")


def test_counts_name_every_state_even_where_there_is_none() -> None:
    assert counts([]) == {READY: 0, WATCH: 0, BLOCKED: 0}
    assert counts([judged(item) for item in WITH_RULES]) == {READY: len(WITH_RULES), WATCH: 0, BLOCKED: 0}


MEASURED = sorted({(each.service, each.measure) for each in ALL_WELL.facts})


def lacking(names: set[tuple[str, str]], facts: tuple[Fact, ...]) -> Evidence:
    return Evidence(tuple(each for each in facts if (each.service, each.measure) not in names))


@given(st.sets(st.sampled_from(MEASURED)), st.sets(st.sampled_from(MEASURED)), st.sampled_from(sorted(BY_ID)))
def test_more_missing_evidence_never_makes_an_item_better(
    some: set[tuple[str, str]], more: set[tuple[str, str]], item: str
) -> None:
    less, least = lacking(some, tuple(ALL_WELL.facts)), lacking(some | more, tuple(ALL_WELL.facts))
    assert judged(item, least).state >= judged(item, less).state


@given(st.lists(st.tuples(st.sampled_from(RULES), st.integers(0, 20_000)), max_size=5), st.sampled_from(WITH_RULES))
def test_older_evidence_never_makes_an_item_better(ages: list[tuple[tuple[object, Rule], int]], item: str) -> None:
    oldest = max((seconds for _, seconds in ages), default=0)

    def at(seconds: int) -> State:
        facts = tuple(replace(each, observed_at=NOW - timedelta(seconds=seconds)) for each in ALL_WELL.facts)
        return judged(item, Evidence(facts)).state

    states = [at(seconds) for seconds in range(0, oldest + 1, max(1, oldest // 5))]
    assert states == sorted(states)


@given(st.sets(st.sampled_from(WRONG)), st.sampled_from(WITH_RULES))
def test_an_item_is_as_bad_as_its_worst_rule_and_every_reason_is_told(
    wrong: set[tuple[str, str, Measure, Value, State]], item: str
) -> None:
    facts = list(ALL_WELL.facts)
    for _, service, measure, value, _ in wrong:
        facts = [
            replace(each, value=value) if (each.service, each.measure) == (service, measure.name) else each
            for each in facts
        ]
    found = judged(item, Evidence(tuple(facts)))
    assert found.state == max(each.state for each in found.because)
    assert len(found.because) == len(BY_ID[item].rules)
    assert found == judge(BY_ID[item], Evidence(tuple(facts)), None, now=NOW), "the same evidence, the same state"
