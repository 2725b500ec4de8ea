"""Incidents that people report, hand on and make worse; and two people who do the same at the same moment."""

from __future__ import annotations

import asyncio
from typing import Any

from contracts.events import OperationalTaskRequested, ProviderIncidentUpdated
from contracts.topics import PROVIDER_HEALTH_EVENTS, TASKS_COMMANDS

from tests.provider_health.looking import Health, if_match


async def test_one_is_reported_assigned_noted_and_made_worse(health: Health) -> None:
    made = await health.post(
        "/incidents", title="Wrong balances", provider="members-api", severity=3, note="Seen twice"
    )
    path = f"/incidents/{made['id']}"
    again: dict[str, Any] = {"title": "Again", "provider": "members-api", "severity": 3}
    assert await health.refused("/incidents", **again) == (409, "incident-already-open")

    assigned = await health.post(f"{path}/assign", 1, owner={"id": "platform", "name": "Platform"}, reason="Their code")
    await health.post(f"{path}/acknowledge", assigned["version"])
    assert (await health.incident())["owner"]["name"] == "Platform", "whoever acknowledges takes it from nobody"
    assert await health.running.emitted(TASKS_COMMANDS, OperationalTaskRequested) == []
    worse = await health.post(f"{path}/escalate", 3, severity=1, reason="Every member is affected")
    await health.post(f"{path}/note", worse["version"], note="Line one\nline two <b>bold</b>")

    (asked,) = await health.running.emitted(TASKS_COMMANDS, OperationalTaskRequested)
    assert asked.data.body["dedupe_key"] == f"prevention:{made['id']}"
    told = await health.running.emitted(PROVIDER_HEALTH_EVENTS, ProviderIncidentUpdated)
    changes = [(each.data.body["change"], each.data.body["incident"]["version"]) for each in told]
    assert changes == [("opened", 1), ("assigned", 2), ("acknowledged", 3), ("escalated", 4), ("noted", 5)]


async def test_of_two_people_one_acknowledges_and_the_other_hears_of_it(health: Health) -> None:
    made = await health.post("/incidents", title="Wrong balances", provider="members-api", severity=3)
    path = f"/incidents/{made['id']}/acknowledge"

    answers = await asyncio.gather(*(health.running.call("POST", path, json={}, headers=if_match(1)) for _ in range(6)))

    assert sorted(answer.status_code for answer in answers) == [200, 412, 412, 412, 412, 412]
    assert len((await health.incident())["timeline"]) == 2


async def test_lists_are_filtered_and_come_in_pages(health: Health) -> None:
    for provider, severity in (("stripe", 1), ("gocardless", 2), ("members-api", 2)):
        await health.post("/incidents", title=f"About {provider}", provider=provider, severity=severity)

    assert [each["provider"] for each in (await health.running.get("/incidents?severity=2"))["items"]] == [
        "members-api",
        "gocardless",
    ]
    assert (await health.running.get("/incidents?open=false"))["items"] == []
    page = await health.running.get("/incidents?limit=2")
    rest = await health.running.get(f"/incidents?limit=2&cursor={page['next']}")
    assert [each["provider"] for each in (*page["items"], *rest["items"])] == ["members-api", "gocardless", "stripe"]
    assert (await health.running.call("GET", "/incidents?sevreity=2")).status_code == 422


async def test_text_is_bounded_and_free_of_control_characters(health: Health) -> None:
    for title in ("", "x" * 201, "a\x00b", "a\x1bb", "two\nlines"):
        given: dict[str, Any] = {"title": title, "provider": "stripe", "severity": 2}
        assert await health.refused("/incidents", **given) == (422, "invalid"), repr(title)
    unknown: dict[str, Any] = {"title": "t", "provider": "stripe", "severity": 2, "colour": "red"}
    assert await health.refused("/incidents", **unknown) == (422, "invalid")


async def test_a_repeated_request_reports_once(health: Health) -> None:
    given = {"title": "Wrong balances", "provider": "members-api", "severity": 3}
    headers = {"Idempotency-Key": "report-1"}
    answers = [await health.running.call("POST", "/incidents", json=given, headers=headers) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0].json()["id"] == answers[1].json()["id"]


async def test_who_may_only_read_changes_nothing(health: Health) -> None:
    billing = {"Authorization": f"Bearer {health.running.token('billing')}"}
    given = {"title": "Wrong balances", "provider": "members-api", "severity": 3}
    answer = await health.running.client.post("/incidents", json=given, headers=billing)
    assert (answer.status_code, answer.json()["type"]) == (403, "/problems/missing-scope")
    assert (await health.running.client.get("/incidents", headers=billing)).status_code == 200
