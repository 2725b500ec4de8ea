"""Pauses by people and by the policy: numbered in the order of their commits, told, acknowledged, and over in time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from contracts.topics import AUTOMATION_PAUSES, PAYMENTS_EVENTS
from provider_health.pauses.jobs import Expiries, OldStops
from sqlalchemy import text

from tests.provider_health.looking import Health, StandIn, health_of
from tests.provider_health.telling import an_acknowledgement
from tests.support.eventually import eventually
from tests.support.infrastructure import TemporaryDatabase
from tests.support.service_process import ServiceProcess

HOUR = timedelta(hours=1)
Stands = tuple[StandIn, StandIn, StandIn]


def a_pause(action: str = "collection", provider: str | None = "stripe", **more: Any) -> dict[str, Any]:
    scope = {"provider": provider, "action": action}
    return {"scope": scope, "reason": "Stripe looks wrong", "expires_in_minutes": 60, **more}


async def test_a_person_pauses_extends_and_releases_and_each_change_is_told_with_the_next_epoch(
    health: Health,
) -> None:
    made = await health.post("/pauses", **a_pause())
    path = f"/pauses/{made['id']}"
    assert (made["scope_text"], made["state"], made["epoch"]) == ("stripe/*/collection", "active", 1)
    assert await health.refused("/pauses", **a_pause()) == (409, "already-paused")
    assert await health.refused("/pauses", **a_pause(expires_in_minutes=1_441)) == (422, "invalid")
    assert await health.refused(f"{path}/extend", reason="longer", expires_in_minutes=60) == (
        428,
        "precondition-required",
    )

    extended = await health.post(f"{path}/extend", 1, reason="They are still at it", expires_in_minutes=1_440)
    assert await health.refused(f"{path}/release", 1, reason="over") == (412, "precondition-failed")
    released = await health.post(f"{path}/release", extended["version"], reason="It works again")
    assert await health.refused(f"{path}/release", released["version"], reason="again") == (409, "pause-over")

    told = await health.pauses_told()
    assert [(change, pause.epoch, pause.state) for change, pause in told] == [
        ("paused", 1, "active"),
        ("extended the pause of", 2, "active"),
        ("released", 3, "released"),
    ]
    changes = (await health.running.get(path))["changes"]
    assert [(each["change"], each["actor_name"]) for each in changes] == [
        ("paused", "Maria Rossi"),
        ("extended the pause of", "Maria Rossi"),
        ("released", "Maria Rossi"),
    ]


async def test_epochs_are_in_the_order_of_commits_whoever_pauses_at_the_same_moment(health: Health) -> None:
    scopes = [("stripe", "replays"), ("gocardless", "replays"), (None, "all"), ("stripe", "notices")]
    await asyncio.gather(*(health.post("/pauses", **a_pause(action, provider)) for provider, action in scopes))
    refused = await asyncio.gather(*(health.refused("/pauses", **a_pause(each, one)) for one, each in scopes))
    assert set(refused) == {(409, "already-paused")}

    told = [pause.epoch for _, pause in await health.pauses_told()]
    assert told == [1, 2, 3, 4], "on one partition, in the order of their epochs, without a gap"
    assert await health.running.rows("SELECT epoch FROM provider_health.pause_head") == [(4,)]


async def test_a_pause_ends_when_its_time_is_over_and_once_however_far_the_clock_jumps(health: Health) -> None:
    made = await health.post("/pauses", **a_pause())
    health.advance(timedelta(minutes=59))
    await health.drained(health.running.part(Expiries))
    path = f"/pauses/{made['id']}"
    assert (await health.running.get(path))["state"] == "active"

    health.advance(timedelta(days=30))

    # Whoever records what a check saw may hold the pause for a moment: then it ends at the next turn.
    await eventually(lambda: health.running.get(path), lambda pause: pause["state"] == "expired")
    assert [change for change, _ in await health.pauses_told()] == ["paused", "resumed"]


async def test_whoever_extends_the_policys_pause_takes_it_over(health: Health) -> None:
    await health.goes_down()
    (pause_id,) = (await health.incident())["pause_ids"]
    pause = await health.running.get(f"/pauses/{pause_id}")
    assert pause["by_policy"]
    await health.post(f"/pauses/{pause_id}/extend", 1, reason="We want to look first", expires_in_minutes=1_440)

    health.gocardless.status = 200
    await health.looks(3)

    assert await health.status("gocardless/api") == "up"
    assert (await health.running.get(f"/pauses/{pause_id}"))["state"] == "active"


async def test_a_pause_of_the_policy_goes_on_while_its_provider_is_down_and_no_longer(health: Health) -> None:
    await health.goes_down()
    (pause_id,) = (await health.incident())["pause_ids"]
    first = await health.running.get(f"/pauses/{pause_id}")

    for day in (1, 2):
        health.advance(timedelta(hours=23, minutes=56))
        await health.drained(health.running.part(Expiries))
        pause = await health.running.get(f"/pauses/{pause_id}")
        assert (pause["state"], pause["by_policy"], pause["version"]) == ("active", True, 1 + day)
        assert pause["expires_at"] > first["expires_at"], "before the end: there is no gap between"
    told = await health.pauses_told()
    assert [change for change, _ in told] == ["paused", *["extended the pause of"] * 2]
    assert [pause.epoch for _, pause in told] == [1, 2, 3]
    entry = (await health.incident())["timeline"][-1]
    assert entry["words"] == "collection stays paused for 24 hours at most: GoCardless is still down"

    health.gocardless.status = 200
    await health.looks(3)
    assert (await health.running.get(f"/pauses/{pause_id}"))["state"] == "released"


async def test_a_pause_of_the_policy_ends_at_its_end_where_nobody_says_that_it_is_needed(health: Health) -> None:
    await health.goes_down()
    (pause_id,) = (await health.incident())["pause_ids"]
    await health.post("/maintenance-windows", provider="gocardless", lasts_minutes=2_880, reason="They told us so")
    await health.looks()
    assert await health.status("gocardless/api") == "maintenance"

    health.advance(timedelta(hours=22, minutes=56))
    await health.drained(health.running.part(Expiries))
    assert (await health.running.get(f"/pauses/{pause_id}"))["state"] == "active", "its end has not come yet"
    health.advance(timedelta(minutes=5))
    await health.drained(health.running.part(Expiries))
    assert (await health.running.get(f"/pauses/{pause_id}"))["state"] == "expired"
    assert (await health.incident())["timeline"][-1]["words"] == "a pause has run out"


async def test_who_stopped_when_is_forgotten_after_a_quarter(health: Health) -> None:
    stopped = """
        INSERT INTO provider_health.pause_stops (service, instance, epoch, applied_at)
        SELECT 'payments', 'payments-' || days, 1, now() - make_interval(days => days)
        FROM unnest(ARRAY[1, 89, 91, 400]) AS days
        """
    lived = """
        INSERT INTO provider_health.pause_instances (service, instance, epoch, applied_at, leased_until)
        SELECT 'payments', 'payments-' || days, 1, now(), now() - make_interval(days => days)
        FROM unnest(ARRAY[1, 89, 91, 400]) AS days
        """
    async with health.running.runtime.database.transaction() as tx:
        for statement in (stopped, lived):
            await tx.connection.execute(text(statement))
    await health.running.part(OldStops).step()

    for table in ("pause_stops", "pause_instances"):
        left = await health.running.rows(f"SELECT instance FROM provider_health.{table} ORDER BY 1")
        assert left == [("payments-1",), ("payments-89",)]


async def test_the_policy_adds_none_where_a_person_has_paused_already(health: Health) -> None:
    await health.post("/pauses", **a_pause(provider="gocardless", expires_in_minutes=1_440))
    await health.goes_down()
    assert (await health.incident())["pause_ids"] == []
    assert [pause.epoch for _, pause in await health.pauses_told()] == [1]
    assert await health.running.rows("SELECT epoch FROM provider_health.pause_head") == [(1,)]


async def test_a_pause_for_an_incident_stands_on_its_timeline(health: Health) -> None:
    reported = await health.post("/incidents", title="Members see wrong balances", provider="members-api", severity=3)
    made = await health.post("/pauses", **a_pause("replays", incident_id=reported["id"]))

    incident = await health.incident()
    assert incident["pause_ids"] == [made["id"]]
    assert [entry["kind"] for entry in incident["timeline"]] == ["opened", "pause"]
    unknown = "0198c2f4-7d1e-7c35-9a51-6f0e4b8d2a17"
    assert await health.refused("/pauses", **a_pause("notices", incident_id=unknown)) == (404, "not-found")


async def test_it_says_who_has_stopped_and_how_soon(health: Health) -> None:
    await health.running.receives(
        PAYMENTS_EVENTS, an_acknowledgement("payments-1", 0), an_acknowledgement("payments-2", 0)
    )
    made = await health.post("/pauses", **a_pause())
    path = f"/pauses/{made['id']}"
    assert (await health.running.get(path))["acknowledgements"]["words"] == "0 of 2 stopped"

    await health.running.receives(
        PAYMENTS_EVENTS, an_acknowledgement("payments-1", 1), an_acknowledgement("payments-2", 1)
    )
    await health.post("/pauses", **a_pause("replays"))
    await health.running.receives(PAYMENTS_EVENTS, an_acknowledgement("payments-1", 2, after_seconds=900))

    found = (await health.running.get(path))["acknowledgements"]
    assert (found["stopped"], found["of"]) == (2, 2)
    assert 0.4 <= found["seconds"] < 600, "how soon it had stopped, not when it last said so"
    assert found["words"].startswith("2 of 2 stopped in ")


@pytest.fixture
async def database(database_for: Callable[..., Awaitable[TemporaryDatabase]]) -> TemporaryDatabase:
    return await database_for("provider-health")


async def heartbeats(health: Health) -> list[int]:
    events = await health.running.published(AUTOMATION_PAUSES)
    return [event.data.body["epoch"] for event in events if event.type == "automation_pause.heartbeat"]


async def test_two_processes_beat_as_often_as_one(
    database: TemporaryDatabase, kafka: str, topic_prefix: str, tmp_path: Path, stands: Stands
) -> None:
    clock = tmp_path / "clock.json"
    async with (
        health_of(database, kafka, topic_prefix, clock, stands, instance="one") as one,
        health_of(database, kafka, topic_prefix, clock, stands, instance="two"),
    ):
        await one.post("/pauses", **a_pause())
        began, before = time.monotonic(), len(await heartbeats(one))
        await eventually(lambda: heartbeats(one), lambda told: told.count(1) >= 2)
        assert len(await heartbeats(one)) - before <= 1 + (time.monotonic() - began) / 2.0


async def test_killed_with_a_pause_in_force_it_goes_on_where_it_was_and_ends_what_ran_out(
    database: TemporaryDatabase, kafka: str, topic_prefix: str, tmp_path: Path, stands: Stands
) -> None:
    """Dead for an hour by the business clock: what was to end meanwhile ends at once, and the epoch goes on."""
    clock, directory = tmp_path / "clock.json", tmp_path
    told = {"clock_file": clock, "heartbeat_seconds": 0.2, "instance": "provider-health-1"}
    process = ServiceProcess.of("provider_health", database, kafka, topic_prefix, directory, **told)
    async with health_of(database, kafka, topic_prefix, clock, stands, work=False, consume=False) as watching:
        try:
            process.start()
            await process.ready()
            short = await watching.post("/pauses", **a_pause())
            long = await watching.post("/pauses", **a_pause("replays", expires_in_minutes=1_440))
            await eventually(lambda: heartbeats(watching), lambda told: 2 in told)
            process.kill()
            watching.advance(2 * HOUR)
            assert await states(watching, short, long) == ["active", "active"], "nobody is there to end it"

            process.start()
            await eventually(lambda: states(watching, short, long), lambda found: found == ["expired", "active"])
            beats = await eventually(lambda: heartbeats(watching), lambda told: told[-1] == 3)
            assert beats == sorted(beats)
            assert [pause.epoch for _, pause in await watching.pauses_told()] == [1, 2, 3]
        finally:
            process.end()


async def states(health: Health, *pauses: dict[str, Any]) -> list[str]:
    return [(await health.running.get(f"/pauses/{each['id']}"))["state"] for each in pauses]
