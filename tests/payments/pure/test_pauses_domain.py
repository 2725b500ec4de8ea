"""Pauses as sentences: what they stop, and that nothing moves where nobody can say whether it is paused."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from payments.pauses.domain import Blind, Known, Open, Pause, Paused, Verdict, verdict

NOW = datetime(2026, 11, 25, 9, tzinfo=UTC)
HOUR = timedelta(hours=1)
STRIPE = Pause("p1", "stripe", None, "collection", "hold", "Stripe is down", NOW + HOUR)
HEARD = Known({"stripe/*/collection": STRIPE}, epoch=4, heartbeat_epoch=4, heartbeat_at=NOW)


def asked(known: Known, **changed: Any) -> Verdict:
    given: dict[str, Any] = {
        "provider": "stripe",
        "account": "self",
        "action": "collection",
        "by_staff": False,
        "current": True,
        "now": NOW,
        "real_now": NOW,
        "heartbeat_limit": timedelta(seconds=10),
    }
    return verdict(known, **{**given, **changed})


def with_pause(**changed: Any) -> Known:
    return replace(HEARD, pauses={"scope": replace(STRIPE, **changed)})


def test_a_pause_stops_what_its_scope_names_and_nothing_else() -> None:
    assert asked(HEARD) == Paused(STRIPE)
    assert asked(HEARD, provider="gocardless") == Open()
    assert asked(HEARD, action="notices") == Open()
    assert isinstance(asked(with_pause(provider=None, action="all"), provider="gocardless"), Paused)
    assert asked(with_pause(account="acct_1")) == Open()


def test_a_pause_ends_by_this_process_own_clock() -> None:
    assert asked(HEARD, now=NOW + HOUR) == Open()


def test_what_a_person_does_is_stopped_only_where_the_pause_says_so() -> None:
    assert asked(HEARD, by_staff=True) == Open()
    assert isinstance(asked(with_pause(binds_staff=True), by_staff=True), Paused)


def test_nothing_moves_without_having_read_to_the_end_without_a_heartbeat_or_behind_an_epoch() -> None:
    free = replace(HEARD, pauses={})
    assert asked(free) == Open()
    for blind in (
        asked(free, current=False),
        asked(replace(free, heartbeat_at=None)),
        asked(free, real_now=NOW + timedelta(seconds=11)),
        asked(replace(free, heartbeat_epoch=5)),
        asked(free, by_staff=True, real_now=NOW + timedelta(seconds=11)),
    ):
        assert isinstance(blind, Blind), blind


def test_an_hour_without_heartbeat_ends_a_pause_and_still_nothing_moves() -> None:
    """Money stays closed although the pause itself has run out."""
    later = NOW + 2 * HOUR
    assert isinstance(asked(HEARD, now=later, real_now=later), Blind)
    assert asked(replace(HEARD, heartbeat_at=later), now=later, real_now=later) == Open()
