"""GoCardless goes down: three looks say so, an incident opens, collection pauses; it comes back, and all of it ends."""

from __future__ import annotations

from datetime import date
from typing import Any

from contracts.events import (
    OperationalTaskRequested,
    ProviderHealthChanged,
    ProviderHealthReviewed,
    ProviderIncidentUpdated,
)
from contracts.topics import PAYMENTS_EVENTS, PROVIDER_HEALTH_EVENTS, TASKS_COMMANDS, TASKS_EVENTS

from tests.provider_health.looking import Health
from tests.provider_health.telling import a_prevention_task, a_replay


async def test_an_outage_is_told_once_opens_an_incident_and_pauses_collection(health: Health) -> None:
    await health.goes_down()
    await health.looks(3)  # still down: nothing new

    changes = [
        (event.data.body["provider"], event.data.body["previous"], event.data.body["status"])
        for event in await health.running.emitted(PROVIDER_HEALTH_EVENTS, ProviderHealthChanged)
    ]
    assert [each for each in changes if each[0] == "gocardless"] == [
        ("gocardless", "unknown", "up"),
        ("gocardless", "up", "down"),
    ]
    incident = await health.incident()
    assert (incident["title"], incident["severity"], incident["state"]) == (
        "GoCardless does not answer",
        2,
        "detected",
    )
    ((change, pause),) = await health.pauses_told()
    assert (change, pause.scope.text, pause.mode, pause.state) == (
        "paused",
        "gocardless/*/collection",
        "hold",
        "active",
    )
    assert (pause.incident_id, [pause.id]) == (incident["id"], incident["pause_ids"])
    assert [entry["kind"] for entry in incident["timeline"]] == ["opened", "pause"]


async def test_when_it_answers_again_the_incident_says_so_and_the_pause_is_lifted(health: Health) -> None:
    await health.goes_down()
    health.gocardless.status = 200
    await health.looks(3)

    assert await health.status("gocardless/api") == "up"
    incident = await health.incident()
    assert incident["recovered_at"] is not None
    assert incident["state"] == "detected", "people say when it is over"
    assert [change for change, _ in await health.pauses_told()] == ["paused", "released"]
    assert [entry["kind"] for entry in incident["timeline"]] == ["opened", "pause", "recovered", "pause"]

    health.gocardless.status = 503
    await health.looks(3)  # three hours later by the clock: another incident
    assert len((await health.running.get("/incidents"))["items"]) == 2


async def test_an_incident_is_worked_on_step_by_step_until_its_review(health: Health) -> None:
    await health.goes_down()
    incident = await health.incident()
    path = f"/incidents/{incident['id']}"

    assert await health.refused(f"{path}/acknowledge") == (428, "precondition-required")
    assert await health.refused(f"{path}/acknowledge", 7) == (412, "precondition-failed")
    assert await health.refused(f"{path}/review", 1, decision="nothing") == (409, "incident-wrong-state")
    acknowledged = await health.post(f"{path}/acknowledge", 1, note="I am on it")
    assert (acknowledged["state"], acknowledged["owner"]["name"]) == ("acknowledged", "Maria Rossi")
    (asked,) = await health.running.emitted(TASKS_COMMANDS, OperationalTaskRequested)
    assert asked.data.body["dedupe_key"] == f"prevention:{incident['id']}"
    assert asked.data.body["fields"] == {"incident": "GoCardless does not answer"}

    mitigated = await health.post(f"{path}/mitigate", 2, action="Collection is paused")
    assert await health.refused(f"{path}/resolve", mitigated["version"]) == (409, "incident-still-failing")
    health.gocardless.status = 200
    await health.looks(3)
    version = (await health.incident())["version"]
    resolved = await health.post(f"{path}/resolve", version, note="It answers again")
    assert await review_is_refused(health, resolved) == "prevention-task-missing"


async def test_a_prevention_task_that_is_nobodys_or_never_due_does_not_close_a_severe_incident(health: Health) -> None:
    incident = await health.post("/incidents", title="Members are charged twice", provider="stripe", severity=1)
    path = f"/incidents/{incident['id']}"
    await health.post(f"{path}/acknowledge", 1)
    await health.post(f"{path}/mitigate", 2, action="Collection is paused")
    await health.post(f"{path}/resolve", 3)

    someday = date(2026, 12, 10)
    for version, (owner, due_on) in enumerate(((None, someday), ("Operations", None), (None, None)), start=1):
        task = a_prevention_task(incident["id"], owner=owner, due_on=due_on, version=version)
        await health.running.receives(TASKS_EVENTS, task)
        assert await review_is_refused(health, incident) == "prevention-task-unassured"

    assigned = a_prevention_task(incident["id"], "assigned", version=5)
    late = a_prevention_task(incident["id"], "released", owner=None, version=4)
    await health.running.receives(TASKS_EVENTS, assigned, late)
    reviewed = await health.post(f"{path}/review", await version_of(health, incident), decision="Once is enough")
    assert reviewed["state"] == "reviewed"


async def test_whoever_has_completed_the_prevention_task_has_owned_it(health: Health) -> None:
    incident = await health.post("/incidents", title="Members are charged twice", provider="stripe", severity=2)
    path = f"/incidents/{incident['id']}"
    await health.post(f"{path}/acknowledge", 1)
    await health.post(f"{path}/mitigate", 2, action="Collection is paused")
    await health.post(f"{path}/resolve", 3)
    done = a_prevention_task(incident["id"], "completed", state="completed", owner=None, due_on=None)
    await health.running.receives(TASKS_EVENTS, done)

    reviewed = await health.post(f"{path}/review", await version_of(health, incident), decision="It is done")
    assert reviewed["state"] == "reviewed"


async def version_of(health: Health, incident: dict[str, Any]) -> int:
    return int((await health.running.get(f"/incidents/{incident['id']}"))["version"])


async def review_is_refused(health: Health, incident: dict[str, Any]) -> str:
    """Try to review the incident; returns why that is refused."""
    version = await version_of(health, incident)
    status, why = await health.refused(f"/incidents/{incident['id']}/review", version, decision="fine")
    assert status == 409
    return why


async def test_the_review_names_what_was_looked_at_counted_and_done(health: Health) -> None:

    await health.goes_down()
    incident_id = (await health.incident())["id"]
    path = f"/incidents/{incident_id}"
    await health.post(f"{path}/acknowledge", 1)
    await health.post(f"{path}/mitigate", 2, action="Collection is paused")
    health.gocardless.status = 200
    await health.looks(3)
    await health.running.receives(TASKS_EVENTS, a_prevention_task(incident_id))
    await health.running.receives(PAYMENTS_EVENTS, a_replay(incident_id, replayed=3))

    incident = await health.incident()
    assert incident["prevention_task_id"] == "task_1"
    assert incident["replay_ids"] == ["replay_1"]
    resolved = await health.post(f"{path}/resolve", incident["version"])
    reviewed = await health.post(
        f"{path}/review", resolved["version"], decision="Nothing was lost", filters={"account": "self"}
    )

    assert reviewed["state"] == "reviewed"
    (event,) = await health.running.emitted(PROVIDER_HEALTH_EVENTS, ProviderHealthReviewed)
    body = event.data.body
    assert (event.data.actor.name, body["decision"]) == ("Maria Rossi", "Nothing was lost")
    assert body["filters"]["provider"] == "gocardless"
    assert body["filters"]["account"] == "self"
    assert (body["counts"]["checks_failed"], body["counts"]["replays"], body["counts"]["pauses"]) == (1, 1, 1)
    assert (body["replay_ids"], body["prevention_task_id"]) == (["replay_1"], "task_1")
    told = await health.running.emitted(PROVIDER_HEALTH_EVENTS, ProviderIncidentUpdated)
    assert [each.data.body["change"] for each in told] == [
        "opened",
        "acknowledged",
        "mitigated",
        "recovered",
        "noted",
        "noted",
        "resolved",
    ]
    kinds = [entry["kind"] for entry in (await health.incident())["timeline"]]
    assert kinds[-4:] == ["task", "replay", "resolved", "reviewed"]
