"""The life of a pause, told as sentences."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from contracts.events import PauseScope
from provider_health.pauses.domain import (
    EndedError,
    Pause,
    Scope,
    Stop,
    TooLongError,
    Who,
    due_next,
    ended,
    extended,
    reached,
    until,
)

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
OPERATIONS = Who("staff", "operations", "Operations")
SCOPE = Scope("gocardless", None, "collection")
PAUSE = Pause("p", SCOPE, "hold", "active", "an outage", OPERATIONS, 7, NOW, NOW, NOW + timedelta(hours=1))


@pytest.mark.parametrize("lasts", [timedelta(), timedelta(minutes=-1), timedelta(hours=24, seconds=1)])
def test_no_pause_lasts_for_ever_or_not_at_all(lasts: timedelta) -> None:
    with pytest.raises(TooLongError):
        until(NOW, lasts)


def test_an_extension_counts_from_when_it_was_asked_for() -> None:
    later = NOW + timedelta(minutes=50)
    longer = extended(PAUSE, timedelta(hours=24), by_policy=False, now=later)
    assert (longer.anchored_at, longer.expires_at) == (later, later + timedelta(hours=24))


def test_whoever_extends_a_pause_of_the_policy_takes_it_over() -> None:
    by_policy = replace(PAUSE, by_policy=True)
    assert not extended(by_policy, timedelta(hours=1), by_policy=False, now=NOW).by_policy


def test_the_policy_looks_shortly_before_the_end_of_its_own_pause_and_at_it() -> None:
    by_policy, end = replace(PAUSE, by_policy=True), PAUSE.expires_at
    assert due_next(PAUSE, now=NOW) == end
    assert due_next(by_policy, now=NOW) == end - timedelta(minutes=5)
    assert due_next(by_policy, now=end - timedelta(minutes=5)) == end
    assert due_next(ended(by_policy, "released", now=NOW), now=NOW) is None


def test_what_is_over_is_over() -> None:
    over = ended(PAUSE, "released", now=NOW)
    assert (over.state, over.ended_at) == ("released", NOW)
    with pytest.raises(EndedError):
        ended(over, "expired", now=NOW)
    with pytest.raises(EndedError):
        extended(over, timedelta(hours=1), by_policy=False, now=NOW)


@pytest.mark.parametrize("scope", [SCOPE, Scope(None, None, "all"), Scope("stripe", "acct_1", "replays")])
def test_a_scope_is_spelt_as_the_topic_spells_it(scope: Scope) -> None:
    assert scope.text == PauseScope(provider=scope.provider, account=scope.account, action=scope.action).text


def test_a_scope_is_told_in_words() -> None:
    assert SCOPE.words("GoCardless") == "collection at GoCardless"
    assert Scope(None, None, "all").words(None) == "everything at every provider"
    assert Scope("stripe", "acct_1", "replays").words("Stripe") == "replays at Stripe, account acct_1"


def test_how_far_it_reached_counts_the_living_and_the_slowest() -> None:
    stops = [
        Stop("payments", "payments-1", 7, NOW + timedelta(seconds=0.1), live=True),
        Stop("payments", "payments-2", 7, NOW + timedelta(seconds=0.4), live=True),
        Stop("payments", "payments-9", 3, None, live=False),
    ]
    assert reached(stops, changed_at=NOW).words == "2 of 2 stopped in 0.4 s"
    one_is_late = [stops[0], replace(stops[1], applied_at=None)]
    assert reached(one_is_late, changed_at=NOW).words == "1 of 2 stopped in 0.1 s"
    assert reached([], changed_at=NOW).words == "0 of 0 stopped"
