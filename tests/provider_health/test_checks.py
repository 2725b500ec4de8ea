"""Looking: once over all processes, within a limit of time, told only when it changes, and quiet during maintenance."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path

from contracts.events import MaintenanceWindowUpdated, ProviderHealthChanged
from contracts.topics import PROVIDER_HEALTH_EVENTS
from provider_health.checks.jobs import Checks

from tests.provider_health.looking import CADENCE, Health, StandIn, health_of
from tests.support.infrastructure import TemporaryDatabase

Stands = tuple[StandIn, StandIn, StandIn]


async def test_every_provider_and_door_has_a_row_with_what_was_seen(health: Health) -> None:
    await health.looks()
    listed = {each["id"]: each for each in (await health.running.get("/providers"))["items"]}

    assert {check: each["status"] for check, each in listed.items()} == {
        "ai-decisions/events": "unknown",
        "gocardless/api": "up",
        "gocardless/webhooks": "unknown",
        "members-api/http": "up",
        "payment-webhooks/http": "up",
        "stripe/api": "up",
        "stripe/webhooks": "unknown",
    }
    assert listed["ai-decisions/events"]["evidence"] == "no source of AI decisions exists yet"
    stripe = listed["stripe/api"]
    assert stripe["evidence"].startswith("status 200 in ")
    assert (stripe["last_success_at"], stripe["last_failure_at"]) == (stripe["last_observed_at"], None)
    assert not stripe["stale"]
    health.advance(timedelta(days=3))
    assert set(health.stripe.asked) == {"GET /v1/balance HTTP/1.1"}
    assert set(health.gocardless.asked) == {"GET /creditors HTTP/1.1"}


async def test_two_processes_look_once_however_far_the_clock_jumps(
    database_for: Callable[..., Awaitable[TemporaryDatabase]],
    kafka: str,
    topic_prefix: str,
    tmp_path: Path,
    stands: Stands,
) -> None:
    database, clock = await database_for("provider-health"), tmp_path / "clock.json"
    async with (
        health_of(database, kafka, topic_prefix, clock, stands, instance="one") as one,
        health_of(database, kafka, topic_prefix, clock, stands, instance="two") as two,
    ):
        both = [each.running.part(Checks) for each in (one, two)]
        await asyncio.gather(*(each.drain() for each in both))
        before = len(one.stripe.asked)
        for jump in (CADENCE, 72 * CADENCE):
            one.advance(jump)
            await asyncio.gather(one.drained(both[0]), two.drained(both[1]))
        assert len(one.stripe.asked) - before == 2
        seen = (await one.running.get("/providers/stripe/checks?limit=200"))["items"]
        assert len(seen) == before + 2


async def test_a_provider_that_hangs_is_given_up_and_counts_as_failed(
    database_for: Callable[..., Awaitable[TemporaryDatabase]],
    kafka: str,
    topic_prefix: str,
    tmp_path: Path,
    stands: Stands,
) -> None:
    database = await database_for("provider-health")
    stands[0].hangs = True
    async with health_of(
        database, kafka, topic_prefix, tmp_path / "clock.json", stands, check_timeout_seconds=0.2
    ) as health:
        await health.looks(3)
        (newest, *_) = (await health.running.get("/providers/stripe/checks?category=api"))["items"]
        assert (newest["outcome"], newest["evidence"]) == ("failed", "no answer within 0.2 s")
        assert await health.status("stripe/api") == "down"


async def test_a_door_of_which_one_process_stays_away_is_degraded_and_pauses_nothing(
    database_for: Callable[..., Awaitable[TemporaryDatabase]],
    kafka: str,
    topic_prefix: str,
    tmp_path: Path,
    stands: Stands,
) -> None:
    clock, doors = tmp_path / "clock.json", f"{stands[2].url},{stands[1].url}"
    database = await database_for("provider-health")
    async with health_of(database, kafka, topic_prefix, clock, stands, payments_url=doors) as health:
        await health.looks()
        assert await health.status("payment-webhooks/http") == "up"
        health.gocardless.status = 503
        await health.looks(2)
        assert await health.status("payment-webhooks/http") == "up", "who is started anew is soon there again"

        await health.looks()
        assert await health.status("payment-webhooks/http") == "degraded"
        incidents = (await health.running.get("/incidents?provider=payment-webhooks"))["items"]
        assert [(each["severity"], each["pause_ids"]) for each in incidents] == [(3, [])]


async def test_what_was_seen_is_listed_newest_first_and_page_by_page(health: Health) -> None:
    await health.looks(3)
    page = await health.running.get("/providers/stripe/checks?limit=3")
    rest = await health.running.get(f"/providers/stripe/checks?limit=3&cursor={page['next']}")
    ids = [each["id"] for each in (*page["items"], *rest["items"])]
    assert ids == sorted(ids, reverse=True)
    assert (len(ids), rest["next"]) == (4, None)
    assert (await health.running.call("GET", "/providers/nobody/checks")).status_code == 404


async def test_being_told_to_ask_less_changes_nothing(health: Health) -> None:
    await health.looks()
    health.stripe.status = 429
    await health.looks(4)
    assert await health.status("stripe/api") == "up"
    assert (await health.running.get("/incidents"))["items"] == []


async def test_maintenance_covers_an_outage_until_it_is_over(health: Health) -> None:
    await health.looks()
    window = await health.post(
        "/maintenance-windows", provider="gocardless", lasts_minutes=600, reason="They announced it"
    )
    health.gocardless.status = 503
    await health.looks(4)
    assert await health.status("gocardless/api") == "maintenance"
    assert (await health.running.get("/incidents"))["items"] == []
    assert Counter(each["outcome"] for each in (await seen(health)))["failed"] == 4, "everything is recorded"

    await health.post(f"/maintenance-windows/{window['id']}/end", 1, reason="They are done")
    assert (await health.running.get("/maintenance-windows"))["items"] == []
    assert await health.refused(f"/maintenance-windows/{window['id']}/end", 2, reason="again") == (
        409,
        "maintenance-over",
    )
    await health.looks()
    assert await health.status("gocardless/api") == "down"
    assert (await health.incident())["title"] == "GoCardless does not answer"
    told = await health.running.emitted(PROVIDER_HEALTH_EVENTS, MaintenanceWindowUpdated)
    assert [each.data.body["change"] for each in told] == ["planned", "ended"]


async def test_maintenance_ends_by_itself(health: Health) -> None:
    await health.post("/maintenance-windows", provider="stripe", lasts_minutes=90, reason="They announced it")
    await health.looks(1)
    assert await health.status("stripe/api") == "maintenance"
    await health.looks(2)
    changes = [
        each.data.body["status"]
        for each in await health.running.emitted(PROVIDER_HEALTH_EVENTS, ProviderHealthChanged)
        if each.data.entity.id == "stripe/api"
    ]
    assert changes[-2:] == ["maintenance", "up"]
    assert await health.refused("/maintenance-windows", provider="stripe", lasts_minutes=20_000, reason="x") == (
        422,
        "invalid",
    )


async def test_the_board_is_told_how_everything_is(health: Health) -> None:
    await health.goes_down()
    told = {each["name"]: each for each in await health.running.get("/evidence")}
    assert told["provider_state:gocardless/api"]["value"] == "down"
    assert told["provider_state:members-api/http"]["value"] == "up"
    assert told["severe_incidents_open"]["value"] == 1
    assert "ai_decisions_reported" not in told, "there is no source, so there is no measurement"


async def seen(health: Health) -> list[dict[str, str]]:
    found: list[dict[str, str]] = (await health.running.get("/providers/gocardless/checks?category=api"))["items"]
    return found
