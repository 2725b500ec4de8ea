"""Tasks that other services ask for: each message delivered twice, one task for each key."""

from __future__ import annotations

from datetime import date

from contracts.topics import PAYMENTS_EVENTS, TASKS_COMMANDS

from tests.tasks.desk import HOLD, Desk, a_hold_that_ended, a_request, a_settlement

TITLE = "Call Mark Stevens about failed payment"


async def only_task(desk: Desk) -> dict[str, object]:
    (item,) = (await desk.get("/tasks"))["items"]
    task: dict[str, object] = item
    return task


async def test_a_request_opens_one_task_for_whoever_is_on_the_rota(desk: Desk) -> None:
    request = a_request(due_on=date(2199, 3, 4), note="Failed monthly payment is now in active recovery")

    await desk.service.receives(TASKS_COMMANDS, request)

    task = await only_task(desk)
    assert (task["title"], task["queue"], task["state"]) == (TITLE, "Billing", "claimed")
    assert task["owner"] == {"id": "maria-rossi", "name": "Maria Rossi"}
    assert (task["due_on"], task["due_state"], task["gates"]) == ("2199-03-04", "upcoming", ["payment-rails"])
    assert (task["member_id"], task["dedupe_key"]) == ("mark-stevens", "payment_recovery:pay-1")
    assert task["note"] == "Failed monthly payment is now in active recovery"
    source = task["source"]
    assert isinstance(source, dict)
    assert source["entity"] == {"type": "payment", "id": "pay-1"}
    assert source["event_id"] == request.id
    assert source["pointer"].startswith("tasks-commands/"), "from where it can be replayed"
    assert await desk.told() == [("Payments", "opened", TITLE)]


async def test_a_queue_that_nobody_is_on_the_rota_for_keeps_its_tasks_open(desk: Desk) -> None:
    await desk.service.receives(TASKS_COMMANDS, a_request(queue="Operations"))

    task = await only_task(desk)
    assert (task["state"], task["owner"]) == ("open", None)


async def test_further_triggers_are_noted_on_the_open_task(desk: Desk) -> None:
    await desk.service.receives(TASKS_COMMANDS, a_request(), a_request(note="declined again"))

    task = await only_task(desk)
    assert (task["occurrences"], task["version"]) == (2, 2)
    assert await desk.told() == [("Payments", "opened", TITLE), ("Payments", "noted again", TITLE)]
    noted = await desk.service.rows("SELECT number, note FROM tasks.task_occurrences ORDER BY number")
    assert noted == [(1, None), (2, "declined again")]


async def test_a_trigger_after_the_end_opens_another_task(desk: Desk) -> None:
    await desk.service.receives(TASKS_COMMANDS, a_request())
    first = (await desk.get("/tasks"))["items"][0]
    await desk.does(first, "complete", {"code": "paid_otherwise"})

    await desk.service.receives(TASKS_COMMANDS, a_request())

    second, old = (await desk.get("/tasks", dedupe_key="payment_recovery:pay-1"))["items"]
    assert (second["state"], old["state"], old["id"]) == ("claimed", "completed", first["id"])
    reopened = await desk.tries(old, "reopen", {"reason": "declined again"}, version=2)
    assert (reopened.status_code, reopened.json()["type"]) == (409, "/problems/still-open")
    assert reopened.json()["task_id"] == second["id"]


async def test_a_block_ends_with_its_condition(desk: Desk) -> None:
    await desk.service.receives(TASKS_COMMANDS, a_request(held=HOLD))
    task = await only_task(desk)
    assert isinstance(task["blocked"], dict)
    assert (task["blocked"]["code"], task["blocked"]["forbids"]) == ("medical_hold", ["retry_now"])

    await desk.service.receives(PAYMENTS_EVENTS, a_hold_that_ended("another"), a_hold_that_ended())

    assert (await only_task(desk))["blocked"] is None
    assert await desk.told() == [("Payments", "opened", TITLE), ("Tasks", "unblocked", TITLE)]


async def test_a_block_on_what_is_over_already_ends_at_once(desk: Desk) -> None:
    """The other order: the condition ended before anybody waited for it."""
    await desk.service.receives(PAYMENTS_EVENTS, a_hold_that_ended())

    await desk.service.receives(TASKS_COMMANDS, a_request(held=HOLD), a_request("pay-2", queue="Front desk"))

    held, other = await desk.ids(member="mark-stevens", queue="Billing"), await desk.ids(queue="Front desk")
    assert (await desk.get(f"/tasks/{held[0]}"))["blocked"] is None
    history = (await desk.get(f"/tasks/{held[0]}/history"))["items"]
    assert [(line["change"], line["reason"]) for line in history] == [
        ("opened", None),
        ("unblocked", "what it waited for is over"),
    ]

    task = await desk.get(f"/tasks/{other[0]}")
    task = await desk.does(task, "block", {"code": "medical_hold", "unblocked_by": f"member_hold:{HOLD}"})
    assert (task["blocked"], task["version"]) == (None, 3), "by hand too"


async def test_what_asks_for_something_that_there_is_not_is_set_aside_and_stops_nobody(desk: Desk) -> None:
    wrong = [a_request("pay-1", kind="lunch"), a_request("pay-2", queue="Kitchen")]

    await desk.service.receives(TASKS_COMMANDS, *wrong, a_request("pay-3"))

    assert [task["dedupe_key"] for task in (await desk.get("/tasks"))["items"]] == ["payment_recovery:pay-3"]
    letters = (await desk.service.get("/dead-letters"))["items"]
    assert sorted(letter["reason"].partition(";")[0] for letter in letters) == [
        "BadRequestError: Kitchen is no queue",
        "BadRequestError: lunch is no kind of task",
    ]


async def test_a_name_that_could_fool_the_eye_is_shown_without_harm(desk: Desk) -> None:
    request = a_request()
    fields = {"member": "Mark \u202esnevetS", "member_id": "mark-stevens"}
    body = request.data.body.model_copy(update={"fields": fields, "note": "x" * 10_000})
    tricky = request.model_copy(update={"data": request.data.model_copy(update={"body": body})})

    await desk.service.receives(TASKS_COMMANDS, tricky)

    task = await only_task(desk)
    assert task["title"] == "Call Mark \ufffdsnevetS about failed payment"
    assert len(str(task["note"])) == 4_000


async def test_what_has_come_right_by_itself_ends_its_task_and_nothing_else(desk: Desk) -> None:
    await desk.service.receives(TASKS_COMMANDS, a_request(kind="payment_review"), a_request("pay-2"))
    await desk.service.receives(TASKS_COMMANDS, a_settlement(), a_settlement("pay-3"))

    (ended,) = (await desk.get("/tasks", state="completed"))["items"]
    (going_on,) = (await desk.get("/tasks", state="claimed"))["items"]
    assert (ended["dedupe_key"], going_on["dedupe_key"]) == ("payment_recovery:pay-1", "payment_recovery:pay-2")
    assert (await desk.get(f"/tasks/{ended['id']}"))["outcome"]["code"] == "matched"


async def test_a_task_that_somebody_has_ended_stays_as_they_ended_it(desk: Desk) -> None:
    await desk.service.receives(TASKS_COMMANDS, a_request(kind="payment_review"))
    task = await desk.get(f"/tasks/{(await only_task(desk))['id']}")
    await desk.does(task, "complete", {"code": "refunded"})
    await desk.service.receives(TASKS_COMMANDS, a_settlement())

    assert (await desk.get(f"/tasks/{task['id']}"))["outcome"]["code"] == "refunded"
