"""The clock moves by durations as people write them."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta

import pytest
from backbone.durations import LONGEST, parse
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("3d", timedelta(days=3)),
        ("12h", timedelta(hours=12)),
        ("90m", timedelta(minutes=90)),
        ("1d12h", timedelta(days=1, hours=12)),
        ("2w", timedelta(weeks=2)),
        ("1s", timedelta(seconds=1)),
    ],
)
def test_durations(text: str, duration: timedelta) -> None:
    assert parse(text) == duration


@pytest.mark.parametrize(
    "text", ["", "3", "d", "-3d", "3 d", "3d!", "0d", "11w3x", "9999999999d", "999999999w", "1.5h"]
)
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no duration|must be above zero"):
        parse(text)


@given(st.text(alphabet="0123456789wdhms .-", max_size=14))
def test_any_text_is_a_duration_within_limits_or_refused(text: str) -> None:
    with suppress(ValueError):
        assert timedelta() < parse(text) <= LONGEST
