"""Two kinds of time: business time moves with its file, real time never does."""

from __future__ import annotations

import math
from datetime import UTC, timedelta
from pathlib import Path

import pytest
from chassis import clock
from chassis.clock import BusinessClock, read_offset, real_now, write_offset


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "clock.json"


def ahead(business: BusinessClock) -> timedelta:
    """How far business time runs ahead, to the second."""
    return timedelta(seconds=round((business.now() - real_now()).total_seconds()))


def test_without_a_file_business_time_is_real_time() -> None:
    assert ahead(BusinessClock()) == timedelta()
    assert BusinessClock().now().tzinfo is UTC


def test_a_file_that_is_not_there_yet_is_no_offset(file: Path) -> None:
    assert ahead(BusinessClock(file)) == timedelta()


def test_business_time_starts_where_the_file_says(file: Path) -> None:
    write_offset(file, timedelta(days=3))

    assert ahead(BusinessClock(file)) == BusinessClock(file).offset == timedelta(days=3)


def test_a_running_clock_follows_the_file(file: Path) -> None:
    """Every process reads the file again a tenth of a second after it last did."""
    business = BusinessClock(file, recheck_seconds=0)
    assert ahead(business) == timedelta()

    write_offset(file, timedelta(days=3))
    assert ahead(business) == timedelta(days=3)
    write_offset(file, timedelta(days=-1))
    assert ahead(business) == timedelta(days=-1)
    file.unlink()
    assert ahead(business) == timedelta()


def test_writing_is_atomic_and_leaves_nothing_else(file: Path) -> None:
    for days in range(20):
        write_offset(file, timedelta(days=days))
        assert read_offset(file) == timedelta(days=days)

    assert list(file.parent.iterdir()) == [file]


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"offset_seconds": "soon"}', '{"offset_seconds": 1e400}', "\x00"])
def test_a_file_that_says_something_else_is_an_error(file: Path, content: str) -> None:
    file.write_text(content)

    with pytest.raises(ValueError, match="must hold"):
        read_offset(file)


def test_real_time_is_aware_and_does_not_move(file: Path) -> None:
    write_offset(file, timedelta(days=400))

    before = real_now()
    assert before.tzinfo is UTC
    assert math.isclose((clock.real_now() - before).total_seconds(), 0, abs_tol=60)
