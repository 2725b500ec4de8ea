"""The gym's own work: three tasks that no provider knows of, and what an interrupted story may have left behind."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any, Final

from contracts.tasks import INCIDENT_PREVENTION

from backbone.story.chapters import Step
from backbone.story.chapters.people import COMP_BOARD_KEY, MEMBER_ID, PICKUP_KEY, TRIAL_KEY, TRIALIST_NAME
from backbone.story.doors import Door
from backbone.story.page import SYDNEY
from backbone.story.stage import Stage

OPEN_STATES: Final = ("open", "claimed", "in_progress")
_TRIAL_IN: Final = timedelta(days=21)
_PICKUP_IN: Final = timedelta(days=28)
_COMP_BOARD_IN: Final = timedelta(days=42)


def steps() -> list[Step]:
    """The work of the gym itself."""
    return [
        Step("The front desk opens: what was left behind is put right", tidy),
        Step("Isla Morgan comes for a trial: the front desk wants to be ready", expect_trial),
        Step("Somebody else may pick up Alessandro; that has to be made sure of first", ask_about_pickup),
        Step("The winter invitational needs a comp board", plan_comp_board),
    ]


def tidy(stage: Stage) -> None:
    """Turn the providers' faults off, end holds and prevention tasks of an earlier story."""
    doors = stage.doors
    for provider in ("stripe", "gocardless"):
        doors.control.call("PUT", f"/faults/{provider}", json={})
    for hold in _holds(stage):
        if hold["state"] == "in_force":
            doors.front_desk.post(f"/v1/holds/{hold['id']}/end", {"reason": "left behind"}, version=hold["version"])
            stage.page.tell("Front desk", "ends a hold that an interrupted story had left behind")
    for task in list(doors.operations.pages("/v1/tasks", kind=INCIDENT_PREVENTION, state=OPEN_STATES)):
        outcome = {"code": "prevented", "note": "The provider's own status page now pauses collection sooner"}
        doors.operations.post(f"/v1/tasks/{task['id']}/complete", outcome, version=task["version"])
        stage.page.tell("Operations", f"completes last month's task: {task['title']}")
    stage.page.tell("simulator", "both providers work as they should")


def expect_trial(stage: Stage) -> None:
    """Open Isla's task, or note on the open one that it is still expected."""
    stage.cast.trial = _opened(
        stage,
        stage.doors.front_desk,
        "Front desk",
        {
            "kind": "trial_arrival",
            "fields": {"member": TRIALIST_NAME},
            "queue": "Front desk",
            "dedupe_key": TRIAL_KEY,
            "note": "Confirm waiver, arrival time, and whether Emma is staying to watch the class",
            "due_on": _day(stage, _TRIAL_IN),
        },
    )


def ask_about_pickup(stage: Stage) -> None:
    """Open the task about Alessandro, which waits for his family."""
    task_id = stage.cast.pickup = _opened(
        stage,
        stage.doors.front_desk,
        "Front desk",
        {
            "kind": "pickup_authority",
            "fields": {"member": "Alessandro"},
            "queue": "Front desk",
            "dedupe_key": PICKUP_KEY,
            "note": "Need confirmation before adding a second pickup adult to the family relationship",
            "due_on": _day(stage, _PICKUP_IN),
        },
    )
    task = stage.doors.front_desk.get(f"/v1/tasks/{task_id}")
    if task["blocked"] is None:
        blocked = {"code": "waiting_for_member", "text": "The family has not confirmed the second adult yet"}
        stage.doors.front_desk.post(f"/v1/tasks/{task_id}/block", blocked, version=task["version"])
        stage.page.tell("Front desk", f"blocks it: {blocked['text']}")


def plan_comp_board(stage: Stage) -> None:
    """Ask the coaches for the comp board; their rota gives it to Coach Sarah."""
    task_id = stage.cast.comp_board = _opened(
        stage,
        stage.doors.coach,
        "Coach Sarah",
        {
            "kind": "event_preparation",
            "fields": {"title": "Build comp board for winter invitational"},
            "queue": "Coaches",
            "dedupe_key": COMP_BOARD_KEY,
            "note": "Shortlist who should be invited and who needs extra rounds before committing",
            "due_on": _day(stage, _COMP_BOARD_IN),
        },
    )
    task = stage.doors.coach.get(f"/v1/tasks/{task_id}")
    if task["owner"] is None:
        task = stage.doors.coach.post(f"/v1/tasks/{task_id}/claim", version=task["version"])
        stage.page.tell("Coach Sarah", "claims it")
    stage.expect("the comp board's owner", task["owner"], {"id": "coach-sarah", "name": "Coach Sarah"})


def _holds(stage: Stage) -> list[dict[str, Any]]:
    answer = stage.doors.front_desk.ask("GET", f"/v1/members/{MEMBER_ID}/holds")
    return list(answer.json()["items"]) if answer.is_success else []


def _day(stage: Stage, after: timedelta) -> str:
    day: date = (stage.business_time() + after).astimezone(SYDNEY).date()
    return day.isoformat()


def _opened(stage: Stage, door: Door, who: str, wanted: Mapping[str, Any]) -> str:
    """Open a task; where one is open already under this key, it is noted again and due later."""
    task = door.post("/v1/tasks", wanted)
    task_id = str(task["id"])
    if task["occurrences"] == 1:
        stage.page.tell(who, f"opens the task {task['title']} for {task['queue']}, due {task['due_on']}")
        return task_id
    later = door.post(f"/v1/tasks/{task_id}/set-due", {"due_on": wanted["due_on"]}, version=task["version"])
    stage.page.tell(who, f"notes the task {task['title']} again, due {later['due_on']}: it was open already")
    return task_id
