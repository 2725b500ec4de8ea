"""What is refused, with which problem, and that nothing was changed by it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from chassis.ids import new_id

from tests.support.eventually import eventually
from tests.tasks.desk import DESK, SARAH, Desk

FREE_FIELDS: list[tuple[str, Callable[[str], dict[str, Any]]]] = [
    ("complete", lambda words: {"code": "arrived", "note": words}),
    ("complete", lambda words: {"code": "arrived", "evidence": [words]}),
    ("cancel", lambda words: {"reason": words}),
    ("comment", lambda words: {"comment": words}),
    ("block", lambda words: {"code": "other", "text": words}),
    ("unblock", lambda words: {"reason": words}),
    ("assign", lambda words: {"owner": {"id": "maria", "name": words}}),
    ("enter-in-error", lambda words: {"reason": words}),
]
BAD_WORDS = ["", "  ", "a\x00b", "a\x1b[31m", "\u202egnp.exe", "a\u2066b", "x" * 4_001, "x" * 1_000_000]


async def test_every_free_field_refuses_what_could_fool_or_flood(desk: Desk) -> None:
    task = await desk.opened()

    for verb, body in FREE_FIELDS:
        for words in BAD_WORDS:
            answer = await desk.tries(task, verb, body(words))
            assert answer.status_code == 422, (verb, words[:20], answer.text[:200])
            assert answer.json()["errors"][0]["at"][0] == "body"
            assert words[:8] not in answer.text or not words.strip("x "), "what was sent is not sent back"
    for words in BAD_WORDS:
        for more in ({"fields": {"member": words}}, {"note": words}, {"dedupe_key": words}, {"gates": [words]}):
            answer = await desk.call("POST", "/tasks", json={"kind": "trial_arrival", "queue": "Front desk", **more})
            assert answer.status_code == 422, (more, answer.text[:200])
    assert (await desk.get(f"/tasks/{task['id']}"))["version"] == 1
    assert len(await desk.ids()) == 1


async def test_html_is_text(desk: Desk) -> None:
    words = "<script>alert('Mark')</script> & <b>Stevens</b>"
    task = await desk.does(await desk.opened(), "comment", {"comment": words})

    assert (await desk.get(f"/tasks/{task['id']}/history"))["items"][1]["comment"] == words


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"kind": "lunch"}, "Lunch is no kind of task"),
        ({"fields": {}}, "A trial_arrival task needs the field member"),
        ({"due_on": "2026-12-01", "due_at": "2026-12-01T00:00:00Z"}, "Of due_on and due_at one can be given"),
        ({"due_at": "0001-01-01T00:00:00Z"}, "A date lies between 2000-01-01 and 2199-12-31"),
    ],
)
async def test_what_cannot_be_opened_says_why(desk: Desk, given: dict[str, Any], says: str) -> None:
    body = {"kind": "trial_arrival", "queue": "Front desk", "fields": {"member": "Isla Morgan"}, **given}
    answer = await desk.call("POST", "/tasks", json=body)

    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/invalid")
    assert answer.json()["detail"].startswith(says)


async def test_refusals_name_what_they_are_about(desk: Desk) -> None:
    recovery: dict[str, Any] = {"kind": "payment_recovery", "queue": "Billing", "fields": {"member": "Mark Stevens"}}
    task = await desk.opened(**recovery, blocked={"code": "medical_hold"})
    task = await desk.does(task, "claim")

    async def refused(verb: str, body: dict[str, Any] | None, status: int, slug: str, **more: Any) -> Any:
        answer = await desk.tries(task, verb, body, **more)
        assert (answer.status_code, answer.json()["type"]) == (status, f"/problems/{slug}"), answer.text
        return answer.json()

    assert (await refused("start", None, 409, "task-blocked"))["code"] == "medical_hold"
    assert (await refused("complete", {"code": "retry_now"}, 409, "outcome-forbidden"))["code"] == "medical_hold"
    assert "write_off" in (await refused("complete", {"code": "arrived"}, 422, "unknown-outcome"))["known"]
    assert (await refused("release", None, 409, "not-owner", by=DESK))["owner"]["name"] == "Maria Rossi"
    await refused("block", {"code": "other"}, 409, "task-blocked")
    await refused("complete", {"code": "retry_now"}, 412, "precondition-failed", version=1)
    task = await desk.does(task, "unblock")
    await refused("block", {"code": "lunch"}, 422, "unknown-block")
    await refused("block", {"code": "other", "until": "2020-01-01T00:00:00Z"}, 422, "until-passed")
    await refused("block", {"code": "other", "unblocked_by": "member_hold:1"}, 422, "unknown-block")
    task = await desk.does(task, "complete", {"code": "retry_now"})
    ended = await refused("comment", {"comment": "x"}, 412, "precondition-failed", version=1)
    assert ended["version"] == task["version"]
    ended = await refused("assign", {"owner": {"id": "s", "name": "Sarah"}}, 409, "already-ended", version=1)
    assert (ended["winner"]["name"], ended["outcome"]) == ("Maria Rossi", "retry_now")


async def test_a_version_is_asked_for_by_everything_that_changes_a_task(desk: Desk) -> None:
    task = await desk.opened()
    document = desk.service.runtime.service.openapi()
    verbs = [path.rpartition("/")[2] for path in document["paths"] if path.startswith("/tasks/{task_id}/")]
    bodies = {verb: body("words") for verb, body in FREE_FIELDS} | {
        "reopen": {"reason": "x"},
        "set-due": {},
        "set-priority": {"priority": "high"},
    }
    for verb in set(verbs) - {"history"}:
        answer = await desk.call("POST", f"/tasks/{task['id']}/{verb}", json=bodies.get(verb))
        assert (answer.status_code, answer.json()["type"]) == (428, "/problems/precondition-required"), verb
    assert len(verbs) == 14


async def test_what_is_not_there_is_not_found(desk: Desk) -> None:
    nobody = {"id": new_id(), "version": 1}

    assert (await desk.call("GET", f"/tasks/{nobody['id']}")).status_code == 404
    assert (await desk.call("GET", f"/tasks/{nobody['id']}/history")).status_code == 404
    assert (await desk.tries(nobody, "claim")).status_code == 404


async def test_a_task_with_the_same_key_is_noted_again_by_hand_too(desk: Desk) -> None:
    first = await desk.opened(dedupe_key="trial:isla")

    body = {"kind": "trial_arrival", "queue": "Front desk", "fields": {"member": "Isla Morgan"}}
    answer = await desk.call("POST", "/tasks", json={**body, "dedupe_key": "trial:isla"})

    assert (answer.status_code, answer.json()["id"], answer.json()["occurrences"]) == (200, first["id"], 2)


async def test_a_task_is_taken_back_assigned_and_opened_again(desk: Desk) -> None:
    task = await desk.does(await desk.opened(), "claim", by=DESK)
    task = await desk.does(task, "release", by=DESK)
    task = await desk.does(task, "assign", {"owner": {"id": SARAH.id, "name": SARAH.name}})
    task = await desk.does(task, "set-due", {"due_on": "2199-12-31", "start_by": "2199-12-01T00:00:00Z"})
    task = await desk.does(task, "set-priority", {"priority": "urgent"})
    task = await desk.does(task, "cancel", {"reason": "she is ill"})
    assert (task["state"], task["ended"]["reason"]) == ("cancelled", "she is ill")
    task = await desk.does(task, "reopen", {"reason": "she is well"})
    assert (task["state"], task["owner"]["name"], task["priority"]) == ("claimed", "Coach Sarah", "urgent")
    await desk.passes(timedelta(days=1))
    task = await desk.does(task, "complete", {"code": "arrived"}, by=SARAH)
    await desk.passes(timedelta(days=40))
    late = await desk.tries(task, "reopen", {"reason": "too late"})
    assert (late.status_code, late.json()["type"]) == (409, "/problems/too-late-to-reopen")
    task = await desk.does(task, "enter-in-error", {"reason": "another Isla"})
    assert (task["state"], task["ended"]["by"]["name"]) == ("entered_in_error", "Maria Rossi")


async def test_a_block_ends_when_its_time_has_come_once(desk: Desk) -> None:
    until = datetime.now(UTC) + timedelta(days=3)
    task = await desk.opened(blocked={"code": "waiting_for_member", "until": until.isoformat()})
    assert task["blocked"]["until"][:19] == until.isoformat()[:19]

    await desk.passes(timedelta(days=10))

    async def seen() -> Any:
        return (await desk.get(f"/tasks/{task['id']}"))["blocked"]

    await eventually(seen, lambda blocked: blocked is None)
    changes = await desk.service.rows("SELECT change, actor_name, reason FROM tasks.task_history ORDER BY version")
    assert changes[1:] == [("unblocked", "Tasks", "the block was to last until now")]


async def test_an_operation_shows_a_success_and_two_problems_and_what_repeats(desk: Desk) -> None:
    document = desk.service.runtime.service.openapi()
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if not path.startswith("/tasks"):
                continue
            name = f"{method} {path}"
            shown = {
                status: media
                for status, response in operation["responses"].items()
                for media in response.get("content", {}).values()
                if "example" in media or "examples" in media
            }
            assert any(status.startswith("2") for status in shown), name
            problems = [each for status, media in shown.items() if status[0] == "4" for each in media["examples"]]
            assert len(problems) >= 2, name
            assert operation["x-idempotency"] == ("key" if method == "post" else "natural"), name
            listing = path in {"/tasks", "/tasks/{task_id}/history"} and method == "get"
            assert operation["x-pagination"] == ("keyset" if listing else "none"), name


async def test_what_the_board_reads_is_measured(desk: Desk) -> None:
    recovery: dict[str, Any] = {"kind": "payment_recovery", "queue": "Billing", "fields": {"member": "Mark Stevens"}}
    await desk.opened(**recovery, due_on="2020-01-01", gates=["payment-rails"])
    await desk.opened(gates=["payment-rails", "members-api"])

    found = {each["name"]: each["value"] for each in await desk.service.get("/evidence")}
    assert found["recovery_tasks_overdue"] == 1
    assert (found["gating_tasks"], found["gating_tasks:payment-rails"]) == (3, 2)
