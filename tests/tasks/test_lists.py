"""Finding tasks: every filter, pages without gaps, and due states that lists and tasks agree about."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests.tasks.desk import DESK, Desk

SYDNEY = ZoneInfo("Australia/Sydney")


async def a_task_of_each(desk: Desk) -> dict[str, dict[str, Any]]:
    """Tasks that differ in everything that one can look for."""
    source = {"workflow": {"name": "trial", "id": "t-1"}, "entity": {"type": "member", "id": "isla-morgan"}}
    isla = await desk.opened(source=source, note="Confirm the waiver")
    comp = await desk.opened(
        kind="event_preparation",
        queue="Coaches",
        fields={"title": "Build comp board for winter invitational"},
        owner={"id": "coach-sarah", "name": "Coach Sarah"},
        gates=["winter-board"],
    )
    pickup = await desk.opened(
        kind="pickup_authority",
        fields={"member": "Alessandro", "member_id": "alessandro"},
        dedupe_key="pickup:alessandro",
        blocked={"code": "waiting_for_member", "text": "100% sure? a_b"},
    )
    done = await desk.does(await desk.opened(), "complete", {"code": "no_show"}, by=DESK)
    return {"isla": isla, "comp": comp, "pickup": pickup, "done": done}


async def test_every_filter_finds_what_it_names(desk: Desk) -> None:
    tasks = await a_task_of_each(desk)

    async def found(**filters: Any) -> set[str]:
        ids = await desk.ids(**filters)
        return {name for name, task in tasks.items() if task["id"] in ids}

    assert await found(queue="Coaches") == {"comp"}
    assert await found(owner="coach-sarah") == {"comp"}
    assert await found(state="completed") == {"done"}
    assert await found(state=["open", "claimed"]) == {"isla", "comp", "pickup"}
    assert await found(blocked=True) == {"pickup"}
    assert await found(blocked=False, state="open") == {"isla"}
    assert await found(kind="pickup_authority") == {"pickup"}
    assert await found(gate="winter-board") == {"comp"}
    assert await found(dedupe_key="pickup:alessandro") == {"pickup"}
    assert await found(member="alessandro") == {"pickup"}
    assert await found(member="isla-morgan") == {"isla"}, "the entity that it comes from is a member"
    assert await found(entity="member:isla-morgan") == {"isla"}
    assert await found(entity="member") == {"isla"}
    assert await found(workflow="trial:t-1") == {"isla"}
    assert await found(text="WAIVER") == {"isla"}
    assert await found(text="100% sure") == {"pickup"}
    assert await found(text="1__%") == set(), "what is looked for is text, not a pattern"
    assert await found(queue="Front desk", state="open", text="morgan") == {"isla"}


async def test_pages_follow_each_other_without_gap_or_repetition(desk: Desk) -> None:
    opened = [(await desk.opened(fields={"member": f"Isla Morgan {number}"}))["id"] for number in range(7)]

    seen: list[str] = []
    cursor: dict[str, str] = {}
    while not seen or cursor:
        page = await desk.get("/tasks", limit=3, queue="Front desk", **cursor)
        seen += [item["id"] for item in page["items"]]
        cursor = {"cursor": page["next"]} if page["next"] else {}
    assert seen == opened[::-1]


async def test_the_history_has_pages_too(desk: Desk) -> None:
    task = await desk.opened()
    for number in range(4):
        task = await desk.does(task, "comment", {"comment": f"call {number}"})

    first = await desk.get(f"/tasks/{task['id']}/history", limit=3)
    second = await desk.get(f"/tasks/{task['id']}/history", limit=3, cursor=first["next"])
    assert [line["version"] for line in first["items"] + second["items"]] == [1, 2, 3, 4, 5]
    assert second["next"] is None


async def test_lists_and_tasks_agree_about_due_states_as_business_time_passes(desk: Desk) -> None:
    started = datetime.now(UTC)
    today = started.astimezone(SYDNEY).date() + timedelta(days=1)
    now = datetime.combine(today, time(12), tzinfo=SYDNEY)
    await desk.passes(now - started)  # noon: no day ends while the test runs
    waiting = {"code": "waiting_for_member"}
    for given in (
        {},
        {"due_on": str(today)},
        {"due_on": str(today + timedelta(days=1))},
        {"due_on": str(today + timedelta(days=2)), "blocked": waiting},
        {"due_at": (now + timedelta(hours=30)).isoformat()},
        {"due_at": (now - timedelta(hours=1)).isoformat()},
        {"due_at": (now - timedelta(hours=1)).isoformat(), "blocked": {"code": "waiting_for_colleague"}},
    ):
        await desk.opened(**given)
    await desk.does(await desk.opened(due_on=str(today)), "complete", {"code": "arrived"})

    for days in (0, 1, 2, 6, 8, 30):
        await desk.passes(now - started + timedelta(days=days))
        tasks = (await desk.get("/tasks"))["items"]
        by_task = {task["id"]: task["due_state"] for task in tasks}
        by_list = {
            found: state
            for state in ("overdue", "due_today", "upcoming", "paused", "none")
            for found in await desk.ids(due_state=state)
        }
        assert by_list == by_task, f"after {days} days"
        states = sorted(by_task.values())
        if days == 0:
            assert states == ["due_today", "none", "none", "overdue", "overdue", "paused", "upcoming", "upcoming"]
        if days == 8:
            assert set(states) == {"none", "overdue", "upcoming"}, "seven days is as long as it may wait for a member"
    assert set(states) == {"none", "overdue"}


@pytest.mark.parametrize(
    "query", ["queue=Kitchen", "state=lost", "due_state=soon", "blocked=perhaps", "text=", "nobody=1", "limit=1000"]
)
async def test_a_filter_that_makes_no_sense_is_refused(desk: Desk, query: str) -> None:
    answer = await desk.call("GET", f"/tasks?{query}")

    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/invalid")
