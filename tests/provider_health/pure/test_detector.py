"""The detector: how soon it alarms at which share of failures, that it keeps quiet about blips, and a whole day."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import cycle, islice
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from provider_health.checks.domain import (
    ALARMING,
    Detector,
    Observation,
    Outcome,
    Score,
    Status,
    change,
    observe,
    shown,
)
from provider_health.incidents.domain import (
    NOTICES_AN_HOUR,
    Incident,
    may_notice,
    opening,
    still_gathers,
)

START = datetime(2026, 3, 2, tzinfo=UTC)
CADENCE = timedelta(seconds=30)
DWELL = timedelta(minutes=2)
Step = Callable[[Score, bool], Score]


def both(score: Score, bad: bool) -> Score:
    return score.seen(bad, START, timedelta())


def score_alone(score: Score, bad: bool) -> Score:
    return replace(score, in_a_row=0).seen(bad, START, timedelta())


def run_alone(score: Score, bad: bool) -> Score:
    return replace(score, points=0).seen(bad, START, timedelta())


def mean_checks_to_alarm(failing: float, step: Step) -> float:
    """The exact mean of the Markov chain that the scores are: from every score, what one more check leads to."""
    known, rows = [Score()], []
    for score in known:  # grows as new scores turn up
        after = [(step(score, True), failing), (step(score, False), 1 - failing)]
        known += [each for each, _ in dict(after).items() if not each.tripped and each not in known]
        rows.append([(known.index(each), share) for each, share in after if not each.tripped and share])
    return solved(rows)[0]


def solved(rows: list[list[tuple[int, float]]]) -> list[float]:
    """The means m of m[i] = 1 + sum of share * m[j]."""
    size = len(rows)
    matrix = [[float(i == j) - sum(share for k, share in rows[i] if k == j) for j in range(size)] for i in range(size)]
    right = [1.0] * size
    for pivot in range(size):
        best = max(range(pivot, size), key=lambda row: abs(matrix[row][pivot]))
        matrix[pivot], matrix[best], right[pivot], right[best] = matrix[best], matrix[pivot], right[best], right[pivot]
        for row in range(size):
            factor = matrix[row][pivot] / matrix[pivot][pivot] if row != pivot else 0.0
            matrix[row] = [one - factor * other for one, other in zip(matrix[row], matrix[pivot], strict=True)]
            right[row] -= factor * right[pivot]
    return [right[index] / matrix[index][index] for index in range(size)]


@pytest.mark.parametrize(
    ("failing", "step", "checks"),
    [
        pytest.param(0.01, score_alone, 2_770_000, id="1 % by the score"),
        pytest.param(0.01, run_alone, 1_010_000, id="1 % by three in a row"),
        pytest.param(0.20, score_alone, 41, id="20 % by the score"),
        pytest.param(0.20, run_alone, 155, id="20 % by three in a row"),
        pytest.param(1.00, both, 3, id="a total outage by both"),
        pytest.param(0.20, both, 40, id="20 % by both"),
    ],
)
def test_it_alarms_as_soon_as_was_computed(failing: float, step: Step, checks: int) -> None:
    assert mean_checks_to_alarm(failing, step) == pytest.approx(checks, rel=0.01)


def checks_to_alarm(outcomes: Iterable[bool], step: Step) -> int | None:
    score = Score()
    for count, bad in enumerate(outcomes, start=1):
        score = step(score, bad)
        if score.tripped:
            return count
    return None


def test_strict_alternation_alarms_at_the_seventh_check_by_the_score_and_never_by_runs() -> None:
    assert checks_to_alarm(cycle([True, False]), score_alone) == 7
    assert checks_to_alarm(islice(cycle([True, False]), 10_000), run_alone) is None


@given(st.lists(st.booleans(), max_size=200))
def test_a_score_stays_within_its_bounds_and_is_mirrored(outcomes: list[bool]) -> None:
    score = mirror = Score()
    mirror = replace(mirror, tripped=True)
    for bad in outcomes:
        score, mirror = both(score, bad), both(mirror, not bad)
        assert 0 <= score.points < 16
        assert 0 <= score.in_a_row < 3
        assert (mirror.points, mirror.in_a_row, mirror.tripped) == (score.points, score.in_a_row, not score.tripped)


@given(st.lists(st.sampled_from(["ok", "impaired", "failed", "limited", "early"]), max_size=120))
def test_one_blip_of_at_most_two_checks_among_good_ones_never_alarms(noise: list[str]) -> None:
    """Blips: one or two failures, and at least ten good checks around each."""
    outcomes: list[str] = []
    for each in noise:
        outcomes += [*["ok"] * 10, each, *(["failed"] if each == "failed" else [])]
    assert not [status for _, status, _ in followed(outcomes) if status in ALARMING]


def seen(outcome: str, at: datetime) -> Observation:
    return Observation(cast("Outcome", outcome), at, f"seen {outcome}")


def followed(outcomes: Iterable[str]) -> Iterator[tuple[datetime, Status, Detector]]:
    """The status after each observation of a trace, 30 s apart."""
    detector = Detector()
    for count, outcome in enumerate(outcomes):
        at = START + count * CADENCE
        detector = observe(detector, seen(outcome, at), dwell=DWELL)
        yield at, detector.status, detector


def statuses(outcomes: Iterable[str]) -> list[Status]:
    return [status for _, status, _ in followed(outcomes)]


def test_a_check_is_unknown_until_something_is_known() -> None:
    assert statuses(["failed", "failed"]) == ["unknown", "unknown"]
    assert statuses(["failed", "failed", "failed"])[-1] == "down"
    assert statuses(["ok"]) == ["up"]
    assert statuses(["ok", "absent"]) == ["up", "unknown"]


def test_slow_answers_degrade_and_never_take_a_check_down() -> None:
    assert statuses(["ok", *["impaired"] * 60])[-1] == "degraded"
    assert "down" not in statuses(["ok", *["impaired"] * 60])


def test_being_told_that_we_ask_too_often_says_nothing_about_the_other_side() -> None:
    assert set(statuses(["ok", *["limited"] * 120])) == {"up"}
    assert statuses(["ok", *["failed"] * 3, *["limited"] * 120])[-1] == "down"


def test_it_recovers_by_the_mirrored_score_and_not_before_it_has_dwelt() -> None:
    outage = ["ok", "failed", "failed", "failed"]
    assert statuses([*outage, "ok", "ok", "ok"])[-1] == "down"  # three in a row, 90 s: too soon
    assert statuses([*outage, "ok", "ok", "ok", "ok"])[-1] == "up"


def test_what_comes_and_goes_is_flapping_until_it_is_quiet() -> None:
    found = statuses([*["ok"] * 40, *(["failed", "ok"] * 60), *["ok"] * 60])
    first = found.index("flapping")
    last = len(found) - 1 - found[::-1].index("flapping")
    assert set(found[first : last + 1]) == {"flapping"}, "once flapping, it stays so until it is quiet"
    assert found[-1] == "up"


def test_a_maintenance_window_covers_whatever_is_seen() -> None:
    *_, (_, _, detector) = followed(["ok", "failed", "failed", "failed"])
    assert shown(detector, in_maintenance=True) == "maintenance"
    assert shown(detector, in_maintenance=False) == "down"
    assert change("maintenance", "maintenance", detector, seen("failed", START)) is None


@dataclass
class Staff:
    """Gathers what the checks say into incidents, as the service does, and counts what people are told."""

    incidents: list[Incident]
    noticed: list[datetime]

    def told(self, at: datetime, status: Status) -> None:
        current = self.incidents[-1] if self.incidents else None
        if status in ALARMING:
            if current is None or not still_gathers(current, now=at):
                found = opening("GoCardless", "api", status)
                made = Incident(
                    str(len(self.incidents)), found.title, "gocardless", "api", "detected", found.severity, at
                )
                self.incidents.append(replace(made, noticed=(at,)))
                self.noticed.append(at)
            elif current.recovered_at is not None:
                self.incidents[-1] = self.notice(replace(current, recovered_at=None, relapses=current.relapses + 1), at)
        elif status == "up" and current is not None and current.recovered_at is None:
            self.incidents[-1] = self.notice(replace(current, recovered_at=at), at)

    def notice(self, incident: Incident, at: datetime) -> Incident:
        if not may_notice(incident.noticed, now=at):
            return incident
        self.noticed.append(at)
        return replace(incident, noticed=(*incident.noticed, at))


def a_day(chance: random.Random) -> list[str]:
    """A day at 30 s: an alternating hour, one of 20 % failures, blips, an outage, an hour of slow answers, 429s."""
    hour = 120
    quiet = ["ok"] * hour
    blips = (["ok"] * 28 + ["failed", "failed"]) * 4
    fifth = chance.choices(["failed", "ok"], [0.2, 0.8], k=hour)
    alternating = ["failed", "ok"] * (hour // 2)
    outage, slow, limited = ["failed"] * hour, ["impaired"] * hour, ["limited"] * hour
    day = [*quiet * 2, *alternating, *quiet * 2, *blips * 3, *fifth, *quiet * 2, *outage, *quiet * 2, *slow]
    day += [*quiet * 2, *limited]
    return [*day, *quiet * (24 - len(day) // hour)]


def lived(day: Iterable[str]) -> Staff:
    """What a day makes of it."""
    staff, before = Staff([], []), "unknown"
    for at, status, _ in followed(day):
        if status != before:
            staff.told(at, status)
        before = status
    return staff


def hours_of(staff: Staff) -> list[int]:
    return [(incident.detected_at - START) // timedelta(hours=1) for incident in staff.incidents]


def test_a_day_makes_four_incidents_none_of_a_blip_or_of_429s() -> None:
    """The alternating hour, the one of 20 %, the outage and the slow one; each is over when its cause is."""
    staff = lived(a_day(random.Random(1)))
    assert hours_of(staff) == [2, 8, 11, 14]
    assert all(incident.recovered_at is not None for incident in staff.incidents)


@pytest.mark.parametrize("seed", range(100))
def test_whatever_the_chance_of_that_day_nothing_else_alarms_and_notices_stay_few(seed: int) -> None:
    """An hour of 20 % does now and then not alarm: its mean is a third of an hour."""
    staff = lived(a_day(random.Random(seed)))
    assert set(hours_of(staff)) <= {2, 8, 11, 14}
    assert len(staff.incidents) <= 4
    for at in staff.noticed:
        assert sum(timedelta() <= other - at < timedelta(hours=1) for other in staff.noticed) <= NOTICES_AN_HOUR
