"""The life of an incident, told as sentences."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from provider_health.incidents.domain import (
    NOTICES_AN_HOUR,
    STEPS,
    AtRisk,
    Incident,
    PreventionMissingError,
    PreventionTask,
    PreventionUnassuredError,
    State,
    Verb,
    WrongStateError,
    asks_for_prevention,
    duration_words,
    identity,
    impact_of,
    incident_of,
    may_notice,
    opening,
    prevention_key,
    step,
    still_gathers,
)

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
ID = "0198c2f4-7d1e-7c35-9a51-6f0e4b8d2a17"


def an_incident(state: State = "detected", severity: int = 2, task: str | None = None) -> Incident:
    return Incident(
        ID, "GoCardless does not answer", "gocardless", "api", state, severity, NOW, prevention_task_id=task
    )


def a_task(owner: str | None = "Operations", due: str | None = "2026-12-10") -> PreventionTask:
    return PreventionTask("task_1", ID, owner, due, version=1)


@pytest.mark.parametrize("verb", STEPS)
@pytest.mark.parametrize("state", ["detected", "acknowledged", "mitigated", "resolved", "reviewed"])
def test_each_verb_leads_on_from_one_state_alone(verb: Verb, state: State) -> None:
    incident = an_incident(state, severity=3)
    start, end = STEPS[verb]
    if state == start:
        assert step(incident, verb) == end
    else:
        with pytest.raises(WrongStateError, match=f"is {state}: one cannot {verb} it now"):
            step(incident, verb)


@pytest.mark.parametrize("severity", [1, 2])
def test_a_severe_one_is_not_reviewed_before_something_prevents_another(severity: int) -> None:
    with pytest.raises(PreventionMissingError, match="needs a prevention task"):
        step(an_incident("resolved", severity), "review")
    with pytest.raises(PreventionMissingError, match="needs a prevention task"):
        step(an_incident("resolved", severity, task="task_1"), "review")
    assert step(an_incident("resolved", severity, task="task_1"), "review", a_task()) == "reviewed"


@pytest.mark.parametrize(
    ("owner", "due", "lacks"),
    [
        (None, "2026-12-10", "has no owner yet"),
        ("Operations", None, "has no due date yet"),
        (None, None, "has no owner and due date yet"),
    ],
)
def test_what_prevents_another_is_somebodys_and_due(owner: str | None, due: str | None, lacks: str) -> None:
    with pytest.raises(PreventionUnassuredError, match=f"the prevention task task_1 of the incident .* {lacks}"):
        step(an_incident("resolved", 2, task="task_1"), "review", a_task(owner, due))
    assert step(an_incident("resolved", 3, task="task_1"), "review", a_task(owner, due)) == "reviewed"


def test_only_the_acknowledgement_of_a_severe_one_asks_for_its_task() -> None:
    assert asks_for_prevention(an_incident(severity=2), "acknowledge")
    assert not asks_for_prevention(an_incident(severity=3), "acknowledge")
    assert not asks_for_prevention(an_incident(severity=2), "mitigate")
    assert not asks_for_prevention(an_incident(severity=2, task="task_1"), "acknowledge")


def test_symptoms_gather_until_it_is_resolved_or_has_long_been_over() -> None:
    recovered = replace(an_incident("acknowledged"), recovered_at=NOW)
    assert still_gathers(an_incident(), now=NOW + timedelta(days=3))
    assert still_gathers(recovered, now=NOW + timedelta(minutes=59))
    assert not still_gathers(recovered, now=NOW + timedelta(minutes=60))
    assert not still_gathers(replace(an_incident("resolved"), gathers=False), now=NOW)


@given(st.lists(st.integers(0, 600), max_size=60).map(sorted))
def test_people_are_told_at_most_twice_an_hour(minutes: list[int]) -> None:
    told: list[datetime] = []
    for at in (NOW + timedelta(minutes=minute) for minute in minutes):
        if may_notice(told, now=at):
            told.append(at)
    for at in told:
        assert sum(timedelta() <= other - at < timedelta(hours=1) for other in told) <= NOTICES_AN_HOUR


def test_a_prevention_task_is_known_by_the_incident_that_it_prevents() -> None:
    assert incident_of(prevention_key(ID)) == ID
    assert incident_of("payment_recovery:pay_1") is None
    assert incident_of("prevention:whatever") is None
    assert incident_of(None) is None
    assert identity("' OR true") is None


def test_it_is_told_in_words() -> None:
    assert opening("GoCardless", "api", "down").title == "GoCardless does not answer"
    assert opening("Stripe", "webhooks", "down").title == "Deliveries of Stripe are refused"
    assert opening("Stripe", "api", "flapping").severity == 3
    assert impact_of(AtRisk(3, 33_000, "AUD")) == "3 payments wait"
    assert impact_of(AtRisk(1, 11_000, "AUD")) == "1 payment waits"
    assert impact_of(None) is None
    assert [duration_words(seconds) for seconds in (5, 60, 3_000, 10_800)] == [
        "less than a minute",
        "1 minute",
        "50 minutes",
        "3 hours",
    ]
