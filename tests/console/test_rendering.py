"""What templates print: instants as the business says them, commands as code, and text of others without harm."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from gateway.console import rendering

SYDNEY = ZoneInfo("Australia/Sydney")


@pytest.mark.parametrize(
    ("moment", "told"),
    [
        (datetime(2026, 11, 25, 13, 30, tzinfo=UTC), "26 Nov 2026 00:30 AEDT"),
        ("2026-06-30T23:59:59Z", "01 Jul 2026 09:59 AEST"),
        ("2026-06-30T23:59:59.123456+00:00", "01 Jul 2026 09:59 AEST"),
        ("last week", "last week"),
        ("", "–"),
        (None, "–"),
    ],
)
def test_an_instant_is_told_in_the_time_zone_of_the_business(moment: datetime | str | None, told: str) -> None:
    assert rendering.at(moment, SYDNEY, "%d %b %Y %H:%M %Z") == told


@pytest.mark.parametrize(
    ("words", "html"),
    [
        ("Run `make test` for this version", "Run <code>make test</code> for this version"),
        ("`a` and `b`", "<code>a</code> and <code>b</code>"),
        ("one ` alone, and ``", "one ` alone, and ``"),
        ("`<script>` & more", "<code>&lt;script&gt;</code> &amp; more"),
        ("turned \u202e around", "turned \ufffd around"),
    ],
)
def test_what_stands_in_backticks_is_code(words: str, html: str) -> None:
    assert str(rendering.commands(words)) == html
