"""Holds as sentences: planned, in force, over; two of one kind never overlap."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from payments.holds.domain import (
    BadHoldError,
    Hold,
    HoldEnded,
    HoldOverError,
    HoldStarted,
    OverlappingHoldError,
    end,
    evolve,
    place,
    tick,
)

NOW = datetime(2026, 11, 25, 9, tzinfo=UTC)
DAY = timedelta(days=1)
HOLD = Hold("h1", "mark-stevens", "Mark Stevens", "medical", "planned", NOW, None, "a knee operation")
AHEAD = replace(HOLD, id="h2", starts_at=NOW + DAY, ends_at=NOW + 3 * DAY)


def test_a_hold_from_now_begins_at_once_and_one_that_lies_ahead_when_its_time_has_come() -> None:
    assert place(HOLD, (), now=NOW) == (HoldStarted(),)
    assert place(AHEAD, (), now=NOW) == ()
    assert tick(AHEAD, now=NOW + DAY) == (HoldStarted(),)


def test_a_hold_expires_when_its_end_has_come_and_a_jump_of_the_clock_begins_and_ends_it() -> None:
    in_force = replace(AHEAD, state="in_force")
    assert tick(in_force, now=NOW + 2 * DAY) == ()
    assert tick(in_force, now=NOW + 3 * DAY) == (HoldEnded("expired", NOW + 3 * DAY),)
    assert tick(AHEAD, now=NOW + 30 * DAY) == (HoldStarted(), HoldEnded("expired", NOW + 3 * DAY))


def test_ending_a_hold_ends_it_now_and_withdraws_one_that_lies_ahead() -> None:
    in_force = replace(HOLD, state="in_force")
    (ended,) = end(in_force, now=NOW + DAY)
    over = evolve(in_force, ended)
    assert (over.state, over.ends_at, over.over) == ("ended", NOW + DAY, True)
    (withdrawn,) = end(AHEAD, now=NOW)
    assert (evolve(AHEAD, withdrawn).state, evolve(AHEAD, withdrawn).ends_at) == ("withdrawn", AHEAD.starts_at)
    with pytest.raises(HoldOverError):
        end(over, now=NOW + DAY)


def test_two_holds_of_one_kind_never_overlap_and_those_of_different_kinds_may() -> None:
    open_ended = replace(HOLD, state="in_force")
    with pytest.raises(OverlappingHoldError, match="until somebody ends it"):
        place(AHEAD, (open_ended,), now=NOW)
    assert place(replace(AHEAD, kind="dispute"), (open_ended,), now=NOW) == ()
    assert place(AHEAD, (replace(open_ended, state="ended", ends_at=NOW),), now=NOW) == ()
    after = replace(AHEAD, id="h3", starts_at=NOW + 3 * DAY, ends_at=None)
    assert place(after, (AHEAD,), now=NOW) == (), "one may begin when another ends"


def test_a_hold_must_end_after_it_begins_and_after_now() -> None:
    for wrong in (replace(AHEAD, ends_at=NOW + DAY), replace(HOLD, starts_at=NOW - 3 * DAY, ends_at=NOW - DAY)):
        with pytest.raises(BadHoldError):
            place(wrong, (), now=NOW)
