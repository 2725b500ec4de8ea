"""A task from its opening to its end, over HTTP: what is answered, told and kept in its history."""

from __future__ import annotations

from chassis import migrations
from tasks.tables import metadata

from tests.tasks.desk import DESK, Desk


async def test_a_task_is_opened_claimed_begun_and_completed(desk: Desk) -> None:
    task = await desk.opened(due_on="2199-12-31", note="Confirm waiver, arrival time, and whether Emma is staying")
    assert (task["title"], task["state"], task["area"]) == ("Confirm Isla Morgan trial arrival", "open", "Leads")
    assert task["source"]["workflow"] == {"name": "task", "id": task["id"]}

    task = await desk.does(task, "claim", by=DESK)
    assert (task["state"], task["owner"]) == ("claimed", {"id": "front-desk", "name": "Front desk"})
    task = await desk.does(task, "start", by=DESK)
    task = await desk.does(task, "comment", {"comment": "On her way,\nwith Emma"}, by=DESK)
    task = await desk.does(task, "complete", {"code": "arrived", "evidence": ["waiver 7"]}, by=DESK)

    assert (task["state"], task["version"], task["due_state"]) == ("completed", 5, "none")
    assert task["outcome"] == {"code": "arrived", "words": "Arrived", "note": None, "evidence": ["waiver 7"]}
    assert task["ended"]["by"]["name"] == "Front desk"
    title = "Confirm Isla Morgan trial arrival"
    assert await desk.told() == [
        ("Maria Rossi", "opened", title),
        ("Front desk", "claimed", title),
        ("Front desk", "started", title),
        ("Front desk", "commented on", title),
        ("Front desk", "completed", title),
    ]
    lines = (await desk.get(f"/tasks/{task['id']}/history"))["items"]
    assert [line["change"] for line in lines] == ["opened", "claimed", "started", "commented on", "completed"]
    assert lines[3]["comment"] == "On her way,\nwith Emma"
    assert lines[4]["after"]["outcome"]["code"] == "arrived"


async def test_the_schema_is_what_the_code_declares(desk: Desk) -> None:
    url = desk.service.place.owner_url_for("tasks")

    assert await migrations.drift(url, package="tasks", schema="tasks", metadata=metadata) == []
