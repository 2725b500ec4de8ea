"""Plans of retries as sentences: who tries again, when, and when nobody does any more."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from payments.recovery import declines, domain
from payments.recovery.domain import Attempt, Due, Failing, HandOver, Hold, Made, Needless, Plan, decide, derive

FIRST = datetime(2026, 11, 2, 9, tzinfo=UTC)
DAY = timedelta(days=1)
TABLE = declines.TABLE
SOFT = Failing("failed", 1, FIRST, FIRST, "soft", "insufficient_funds", False, True, False)


def made(*states: Any, manual: bool = False) -> tuple[Made, ...]:
    """Attempts of ours, each recorded when all earlier failures were known."""
    return tuple(
        Made(number, manual, f"key-{number}", state, number, FIRST + 3 * DAY) for number, state in enumerate(states, 1)
    )


def planned(failing: Failing, stored: Plan | None = None, attempts: tuple[Made, ...] = ()) -> Plan:
    plan = derive(failing, stored, attempts, TABLE)
    assert plan is not None
    return plan


def after(failures: int, days: int, **changed: Any) -> Failing:
    """The same payment after another failure."""
    return replace(SOFT, failures=failures, last_failed_at=FIRST + days * DAY, **changed)


def test_a_soft_decline_is_tried_again_after_three_five_and_seven_days_counted_from_the_latest_failure() -> None:
    first = planned(SOFT)
    assert (first.state, first.owner, first.number, first.due_at) == ("scheduled", "us", 1, FIRST + 3 * DAY)
    second = planned(after(2, 3), first, made("declined"))
    assert (second.number, second.due_at) == (2, FIRST + 8 * DAY)
    third = planned(after(3, 8), second, made("declined", "declined"))
    assert (third.number, third.due_at) == (3, FIRST + 15 * DAY)
    ended = planned(after(4, 15), third, made("declined", "declined", "declined"))
    assert (ended.state, ended.owner, ended.why, ended.due_at) == ("recovery", "nobody", "exhausted", None)


def test_nothing_is_tried_after_the_window_of_a_card_and_a_debit_has_a_longer_one() -> None:
    late = after(2, 17)
    assert planned(late, None, made("declined")).why == "exhausted"
    assert planned(replace(late, direct_debit=True), None, made("declined")).due_at == FIRST + 22 * DAY


def test_a_bank_that_did_not_honour_it_is_asked_once_more_and_late() -> None:
    cautious = replace(SOFT, decline="cautious")
    assert planned(cautious).due_at == FIRST + 7 * DAY
    again = replace(cautious, failures=2, last_failed_at=FIRST + 7 * DAY)
    assert planned(again, None, made("declined")).why == "exhausted"


@pytest.mark.parametrize(
    ("decline", "owner", "why"), [("hard", "nobody", "hard_decline"), ("member", "member", "member_must_act")]
)
def test_what_another_attempt_cannot_mend_is_handed_over_at_once(decline: Any, owner: str, why: str) -> None:
    plan = planned(replace(SOFT, decline=decline))
    assert (plan.state, plan.owner, plan.why, plan.due_at) == ("recovery", owner, why, None)


def test_where_the_provider_tries_again_itself_nothing_of_ours_is_queued() -> None:
    plan = planned(replace(SOFT, provider_retries=True))
    assert (plan.state, plan.owner, plan.due_at) == ("provider", "provider", None)
    assert planned(replace(SOFT, provider_retries=True), planned(SOFT)).state == "provider", (
        "a queued one is taken back"
    )


def test_a_success_cancels_a_queued_retry_and_one_that_never_failed_has_no_plan() -> None:
    """Scenario 3: failed, then succeeded in the same second, in either order of arrival."""
    paid = replace(SOFT, standing="paid")
    for stored in (planned(SOFT), domain.held(planned(SOFT), "paused"), domain.handed_over(planned(SOFT), "held")):
        plan = planned(paid, stored)
        assert (plan.state, plan.owner, plan.why, plan.due_at) == ("closed", "nobody", "paid", None)
    assert derive(paid, None, (), TABLE) is None


def test_a_late_failure_after_a_success_is_planned_anew() -> None:
    closed = planned(replace(SOFT, standing="paid"), planned(SOFT))
    assert planned(after(2, 10), closed).state == "scheduled"


def test_while_an_attempt_is_out_nothing_else_is_planned() -> None:
    calling = domain.calling(planned(SOFT))
    for state in ("calling", "unknown", "accepted", "declined"):
        assert planned(SOFT, calling, made(state)).state == "calling"
    assert planned(after(2, 3), calling, made("unknown")).number == 2, "its failure was told: the next one is planned"


def test_the_same_facts_again_change_nothing_not_even_a_held_retry() -> None:
    for stored in (planned(SOFT), domain.held(planned(SOFT), "paused")):
        assert planned(SOFT, stored) == stored


def test_a_payment_in_recovery_stays_there_whatever_else_fails() -> None:
    stored = domain.handed_over(planned(SOFT), "held")
    assert (planned(SOFT, stored).state, planned(SOFT, stored).why) == ("recovery", "held")
    assert planned(after(2, 30), stored).state == "recovery"


def test_what_a_person_decided_holds() -> None:
    closed = domain.closed(planned(SOFT), "write_off")
    assert planned(SOFT, closed) == closed
    by_hand = domain.retried_by_hand(
        domain.handed_over(planned(SOFT), "held"), made=(), why="retry_now", now=FIRST + DAY
    )
    assert planned(SOFT, by_hand) == by_hand
    assert by_hand.due_at == FIRST + DAY
    again = planned(after(2, 2), domain.calling(by_hand), made("declined", manual=True))
    assert (again.state, again.why) == ("recovery", "exhausted"), "an attempt by hand starts no schedule"


def test_every_plan_has_one_owner_in_every_order_of_a_failure_and_what_follows() -> None:
    steps = (SOFT, after(2, 3), replace(after(2, 3), standing="under_way"), replace(after(2, 4), standing="paid"))
    for order in itertools.permutations(steps):
        stored: Plan | None = None
        for failing in order:
            stored = derive(failing, stored, (), TABLE) or stored
        final = derive(steps[-1], stored, (), TABLE)
        assert final is None or (final.state, final.owner) == ("closed", "nobody")


def due(**changed: Any) -> Due:
    given: dict[str, Any] = {"plan": planned(SOFT), "made": (), "unpaid": True, "hold": None, "paused": None}
    return Due("pay-1", **{**given, **changed})


def test_a_due_retry_is_made_under_the_key_that_it_was_planned_with() -> None:
    assert decide(due(), now=FIRST + 3 * DAY) == Attempt(1, "backbone-retry-pay-1-1", False)


def test_a_due_retry_that_meets_a_hold_is_handed_over_even_while_paused() -> None:
    assert decide(due(hold="medical", paused="paused"), now=FIRST) == HandOver("held")


def test_a_pause_holds_a_due_retry_which_keeps_its_key_and_its_time() -> None:
    assert decide(due(paused="paused: Stripe is down"), now=FIRST) == Hold("paused: Stripe is down")
    plan = planned(SOFT)
    assert domain.released(domain.held(plan, "paused")) == plan


def test_what_was_paid_meanwhile_or_is_not_planned_any_more_is_left_alone() -> None:
    assert decide(due(unpaid=False), now=FIRST) == Needless()
    assert decide(due(plan=domain.closed(planned(SOFT), "write_off")), now=FIRST) == Needless()


def test_not_even_a_person_tries_a_twenty_first_time() -> None:
    by_hand = domain.retried_by_hand(replace(planned(SOFT), failures=20), made=(), why="retry_now", now=FIRST)
    assert decide(due(plan=by_hand), now=FIRST) == HandOver("exhausted")


def test_an_attempt_that_was_begun_is_looked_up_and_made_again_only_while_its_key_is_remembered() -> None:
    calling = domain.calling(planned(SOFT))
    for state in ("calling", "unknown"):
        begun = made(state)
        recorded = begun[0].recorded_at
        soon = decide(due(plan=calling, made=begun), now=recorded + timedelta(hours=22))
        assert soon == Attempt(1, "key-1", False, look_up=True, send=True)
        late = decide(due(plan=calling, made=begun), now=recorded + timedelta(hours=23))
        assert late == Attempt(1, "key-1", False, look_up=True, send=False)
    for hindrance in ({"hold": "medical"}, {"paused": "paused"}, {"unpaid": False}):
        looked = decide(due(plan=calling, made=made("unknown"), **hindrance), now=FIRST + 3 * DAY)
        assert looked == Attempt(1, "key-1", False, look_up=True, send=False)


@pytest.mark.parametrize(
    ("provider", "codes", "expected"),
    [
        ("stripe", ("insufficient_funds", "card_declined"), "soft"),
        ("stripe", ("stolen_card", "card_declined"), "hard"),
        ("stripe", (None, "expired_card"), "hard"),
        ("stripe", ("authentication_required", "card_declined"), "member"),
        ("stripe", ("do_not_honor", "card_declined"), "cautious"),
        ("stripe", ("never_heard_of", "card_declined"), "cautious"),
        ("gocardless", ("6", "refer_to_payer"), "soft"),
        ("gocardless", ("3", "bank_account_closed"), "hard"),
        ("gocardless", (), "cautious"),
    ],
)
def test_codes_are_classified_by_the_table(provider: str, codes: tuple[str | None, ...], expected: str) -> None:
    assert TABLE.classify(provider, codes) == expected


def test_a_table_with_a_code_twice_or_a_class_that_nobody_knows_is_refused() -> None:
    empty = '"soft": [], "cautious": [], "member": [], "hard": []'
    assert declines.load(f'{{"version": "1", "stripe": {{{empty}}}}}').version == "1"
    with pytest.raises(ValueError, match="stands twice"):
        declines.load('{"version": "1", "stripe": {"soft": ["a"], "cautious": ["a"], "member": [], "hard": []}}')
    with pytest.raises(ValueError, match="classes"):
        declines.load(f'{{"version": "1", "stripe": {{{empty}, "softer": []}}}}')
