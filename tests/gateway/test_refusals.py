"""What is counted of refused requests, and when it is told: pure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from gateway.domain import DIFFERENT_MAX, MANY, NOBODY, Refusals, Refused, Who

NOON = datetime(2026, 11, 25, 12, 0, 0, tzinfo=UTC)
MARIA = Who("staff", "maria-rossi", "Maria Rossi")


def refused(who: Who = MARIA, route: str = "POST /v1/tasks", *, seconds: float = 0.0) -> Refused:
    at = NOON + timedelta(seconds=seconds)
    return Refused(who, "open task", route, "missing-scope", "the scope is missing", at, "request-0001")


def counts(refusals: Refusals, *, seconds: float, ending: bool = False) -> list[tuple[str, int]]:
    """What is due then, which is told thereby."""
    now = NOON + timedelta(seconds=seconds)
    due = refusals.due(now, ending=ending)
    refusals.told(due, now)
    return sorted((told.first.who.id, told.count) for told in due.values())


def test_the_first_refusal_of_somebody_with_a_name_is_told_at_once() -> None:
    refusals = Refusals()

    assert refusals.note(refused())
    assert counts(refusals, seconds=1) == [("maria-rossi", 1)]


def test_further_ones_of_the_same_minute_are_told_when_it_is_over() -> None:
    refusals = Refusals()
    refusals.note(refused())
    counts(refusals, seconds=1)

    assert not any(refusals.note(refused(seconds=second)) for second in range(2, 40))
    assert counts(refusals, seconds=59) == []
    assert counts(refusals, seconds=60) == [("maria-rossi", 38)]
    assert counts(refusals, seconds=120) == []


def test_those_that_came_before_the_first_could_be_told_are_told_with_it() -> None:
    refusals = Refusals()
    for second in range(5):
        refusals.note(refused(seconds=second))

    assert counts(refusals, seconds=6) == [("maria-rossi", 5)]


def test_what_is_counted_while_it_is_told_is_not_lost() -> None:
    refusals = Refusals()
    refusals.note(refused())
    due = refusals.due(NOON)
    refusals.note(refused(seconds=2))
    refusals.told(due, NOON + timedelta(seconds=3))

    assert counts(refusals, seconds=61) == [("maria-rossi", 1)]


def test_other_operations_and_other_minutes_are_told_apart() -> None:
    refusals = Refusals()
    refusals.note(refused())
    refusals.note(refused(route="POST /v1/pauses"))
    refusals.note(refused(seconds=61))

    assert counts(refusals, seconds=62) == [("maria-rossi", 1)] * 3


def test_callers_without_a_name_are_one_caller_told_once_a_minute() -> None:
    refusals = Refusals()

    assert not any(refusals.note(refused(NOBODY, seconds=second)) for second in range(50))
    assert counts(refusals, seconds=59) == []
    assert counts(refusals, seconds=60) == [("anonymous", 50)]


def test_everything_is_told_when_the_process_ends() -> None:
    refusals = Refusals()
    refusals.note(refused(NOBODY))

    assert counts(refusals, seconds=1, ending=True) == [("anonymous", 1)]


def test_a_flood_of_different_callers_costs_a_bounded_memory_and_loses_no_count() -> None:
    refusals = Refusals()
    for number in range(DIFFERENT_MAX + 500):
        refusals.note(refused(Who("staff", f"staff-{number}", "Somebody")))

    assert len(refusals.waiting) <= DIFFERENT_MAX + 1
    told = counts(refusals, seconds=61)
    assert sum(count for _, count in told) == DIFFERENT_MAX + 500
    assert (MANY.id, 500) in told
    assert refusals.waiting == {}
