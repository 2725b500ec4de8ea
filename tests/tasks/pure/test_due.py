"""Due dates in Sydney, whose days have 23, 24 or 25 hours, against an oracle that walks through them hour by hour."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tasks.due import DueState, deadline, due_state, end_of_day, pause_ends_at, start_of_day
from tasks.states import Block, Due, DueAt, DueOn, Open

from tests.tasks.pure.saying import MARIA, PAID, SYDNEY, an_open_one, facts, one_completed_by

CLOCKS_BACK = date(2026, 4, 5)
CLOCKS_FORWARD = date(2026, 10, 4)


def at(text: str) -> datetime:
    """An instant as Sydney's clocks show it."""
    return datetime.fromisoformat(text).replace(tzinfo=SYDNEY).astimezone(UTC)


@pytest.mark.parametrize(
    ("day", "hours"),
    [(CLOCKS_BACK, 25), (CLOCKS_FORWARD, 23), (date(2026, 7, 1), 24)],
    ids=["back", "forward", "usual"],
)
def test_a_day_ends_when_the_next_one_begins(day: date, hours: int) -> None:
    assert end_of_day(day, SYDNEY) - start_of_day(day, SYDNEY) == timedelta(hours=hours)
    assert end_of_day(day, SYDNEY) == start_of_day(day + timedelta(days=1), SYDNEY)


@pytest.mark.parametrize("day", [CLOCKS_BACK, CLOCKS_FORWARD, date(2026, 12, 31)])
def test_a_date_is_due_until_the_end_of_that_day(day: date) -> None:
    task, before, after = an_open_one(due=DueOn(day)), day - timedelta(days=1), day + timedelta(days=1)

    assert due_state(task, at(f"{before}T23:59:59"), SYDNEY) == "upcoming"
    assert due_state(task, at(f"{day}T00:00"), SYDNEY) == "due_today"
    assert due_state(task, at(f"{day}T23:59:59"), SYDNEY) == "due_today"
    assert due_state(task, at(f"{after}T00:00"), SYDNEY) == "overdue"


def test_an_instant_is_due_to_the_second() -> None:
    task = an_open_one(due=DueAt(at("2026-04-05T14:30")))

    assert due_state(task, at("2026-04-04T23:59"), SYDNEY) == "upcoming"
    assert due_state(task, at("2026-04-05T00:00"), SYDNEY) == "due_today"
    assert due_state(task, at("2026-04-05T14:29:59"), SYDNEY) == "due_today"
    assert due_state(task, at("2026-04-05T14:30"), SYDNEY) == "overdue"


def test_without_a_date_and_after_the_end_nothing_is_due() -> None:
    assert due_state(an_open_one(), at("2026-04-05T14:30"), SYDNEY) == "none"
    assert due_state(one_completed_by(MARIA, PAID), at("2199-01-01T00:00"), SYDNEY) == "none"


def held_since(instant: datetime, code: str = "medical_hold") -> Block:
    return Block(code, instant, instant)


def test_a_hold_pauses_the_clock_for_as_long_as_its_code_allows() -> None:
    since = at("2026-04-01T09:00")
    task = an_open_one(due=DueOn(date(2026, 4, 2)), blocked=held_since(since))

    assert due_state(task, at("2026-06-01T00:00"), SYDNEY) == "paused"
    assert pause_ends_at(task.facts) == since + timedelta(days=180)
    assert due_state(task, since + timedelta(days=180), SYDNEY) == "upcoming"
    assert due_state(task, at("2026-09-30T00:00"), SYDNEY) == "overdue"


def test_a_block_that_does_not_pause_lets_the_clock_run() -> None:
    task = an_open_one(due=DueOn(date(2026, 4, 2)), blocked=held_since(at("2026-04-01T09:00"), "waiting_for_colleague"))

    assert due_state(task, at("2026-04-03T00:00"), SYDNEY) == "overdue"


@pytest.mark.parametrize(
    ("paused", "day"),
    [
        (timedelta(hours=3), date(2026, 4, 3)),
        (timedelta(hours=11, minutes=59), date(2026, 4, 3)),
        (timedelta(days=1), date(2026, 4, 4)),
        (timedelta(days=3, hours=13), date(2026, 4, 7)),
    ],
)
def test_time_that_stood_still_moves_a_date_by_whole_days(paused: timedelta, day: date) -> None:
    """Across the change of clocks too: a date stays a date."""
    assert deadline(facts(due=DueOn(date(2026, 4, 3)), paused=paused), SYDNEY) == end_of_day(day, SYDNEY)


def test_time_that_stood_still_moves_an_instant_by_itself() -> None:
    due = at("2026-04-04T14:00")

    assert deadline(facts(due=DueAt(due), paused=timedelta(hours=30)), SYDNEY) == due + timedelta(hours=30)


hours = st.integers(0, 24 * 400)
START = at("2026-01-01T00:00")
dues: st.SearchStrategy[Due] = st.one_of(
    st.dates(date(2026, 1, 1), date(2026, 12, 31)).map(DueOn),
    hours.map(lambda count: DueAt(START + timedelta(hours=count))),
)


def oracle(due: Due, now: datetime) -> DueState:
    """By calendar alone: the local date and time of day, no reckoning in UTC."""
    local = now.astimezone(SYDNEY)
    if isinstance(due, DueOn):
        return "overdue" if local.date() > due.day else "due_today" if local.date() == due.day else "upcoming"
    if now >= due.instant:
        return "overdue"
    last = (due.instant - timedelta(microseconds=1)).astimezone(SYDNEY)
    return "due_today" if last.date() <= local.date() else "upcoming"


@settings(max_examples=500, deadline=None)
@given(dues, hours)
def test_the_due_state_is_what_a_calendar_says(due: Due, count: int) -> None:
    now = START + timedelta(hours=count)

    assert due_state(Open(facts(due=due)), now, SYDNEY) == oracle(due, now)
