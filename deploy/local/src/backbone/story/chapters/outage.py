"""GoCardless goes down on the eve of a retry: an incident, a pause that holds the retry, a safe replay, a review."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Final

from backbone.faults import LocalError
from backbone.story.chapters import Step
from backbone.story.chapters.debits import debit, in_force, mandate_of
from backbone.story.chapters.month import arrives, task_with_key
from backbone.story.chapters.people import TRIAL_FEE_MINOR, TRIALIST_ID, TRIALIST_NAME
from backbone.story.page import at, money
from backbone.story.stage import Stage

_PROVIDER: Final = "gocardless"
_EVE: Final = timedelta(hours=1)
_CADENCE: Final = timedelta(seconds=31)
_LOOKS_MAX: Final = 20


def steps() -> list[Step]:
    """From Isla's returned debit to the review of the incident."""
    return [
        Step("Isla Morgan pays her trial by direct debit; her bank returns it: insufficient funds", return_debit),
        Step("On the eve of the retry GoCardless goes down", go_down),
        Step("Operations acknowledges the incident; somebody is asked to prevent another", acknowledge),
        Step("Isla's retry falls due, and the pause holds it", meet_pause),
        Step("GoCardless answers again; what was held goes on, once", come_back),
        Step("What GoCardless had told before is replayed: safe, and nothing changes", replay),
        Step("The incident is resolved and reviewed", review),
    ]


def return_debit(stage: Stage) -> None:
    """Have Isla's debit made and returned."""
    doors, cast = stage.doors, stage.cast
    _introduce(stage)
    cast.debit = debit(stage, cast.mandate, TRIAL_FEE_MINOR, "Trial month")
    for action in ("submit", "fail"):
        doors.control.post(f"/payments/{cast.debit}/actions", {"action": action})
    arrives(stage, ("payments.created", "payments.submitted", "payments.failed"))
    stage.recorded()
    payment = stage.until("payments to plan a retry", lambda: doors.payment(cast.debit), _has_retry)
    due = datetime.fromisoformat(payment["retry"]["planned_for"])
    stage.page.tell("payments", f"{money(TRIAL_FEE_MINOR)} are owed; a retry of ours is due {at(due)}")


def go_down(stage: Stage) -> None:
    """Turn the dial: GoCardless' API refuses, and it sends nothing. Three looks in a row make it an incident."""
    stage.advance_to(_retry_due(stage) - _EVE)
    stage.doors.control.call("PUT", f"/faults/{_PROVIDER}", json={"outage": {"api": True, "webhooks": True}})
    stage.page.tell("simulator", "GoCardless refuses every call and sends no webhook")
    _look(stage, "down")
    incident = stage.until("the incident", lambda: _open_incident(stage))
    stage.cast.incident = incident["id"]
    stage.page.tell("provider-health", f"incident of severity {incident['severity']}: {incident['title']}")
    pauses = stage.until("the pause", lambda: _pauses(stage))
    stage.cast.pause = pauses[0]["id"]
    stage.until("every process of payments to have stopped", lambda: _pause(stage), _has_reached_all)
    stage.page.tell("provider-health", f"collection at GoCardless is paused: {_stopped(_pause(stage))}")


def acknowledge(stage: Stage) -> None:
    """Acknowledge the incident, which asks for its prevention task; give that task to somebody."""
    operations, cast = stage.doors.operations, stage.cast
    _step(stage, "acknowledge", {})
    task = stage.until("the prevention task", lambda: task_with_key(stage, f"prevention:{cast.incident}"))
    cast.prevention = task["id"]
    if task["owner"] is None:
        owner = {"owner": {"id": "operations", "name": "Operations"}}
        task = operations.post(f"/v1/tasks/{task['id']}/assign", owner, version=task["version"])
    stage.until("the incident to know its prevention task", lambda: _incident(stage)["prevention_task_id"])
    stage.page.tell("Operations", f"acknowledges; the task {task['title']} is due {task['due_on']}")
    _step(stage, "mitigate", {"action": "Collection is paused; what falls due is held and keeps its place"})
    stage.page.tell("Operations", "mitigates: collection is paused; what falls due is held and keeps its place")


def meet_pause(stage: Stage) -> None:
    """Let the retry fall due while collection is paused."""
    stage.advance_to(_retry_due(stage))
    stage.until(
        "the retry to be held", lambda: stage.doors.payment(stage.cast.debit), lambda one: _retry_state(one) == "held"
    )
    stage.expect("retries at GoCardless during the pause", _retries(stage), [])
    stage.page.tell("payments", "the retry is due and held: it keeps its place; GoCardless was not asked")


def come_back(stage: Stage) -> None:
    """End the outage. The checks see it, the policy lifts its pause, and the held retry runs once."""
    doors, cast = stage.doors, stage.cast
    doors.control.call("PUT", f"/faults/{_PROVIDER}", json={})
    stage.page.tell("simulator", "GoCardless works again")
    _look(stage, "up")
    stage.until("the incident to have recovered", lambda: _incident(stage)["recovered_at"])
    stage.until("the pause to be released", lambda: _pause(stage)["state"], lambda state: state == "released")
    stage.page.tell("provider-health", "GoCardless answers again: collection goes on")
    _until_asked(stage)
    doors.control.post(f"/payments/{cast.debit}/actions", {"action": "confirm"})
    arrives(stage, ("payments.resubmission_requested", "payments.submitted", "payments.confirmed"))
    stage.recorded()
    stage.until("Isla's debit to be paid", lambda: doors.payment(cast.debit), lambda one: one["state"] == "succeeded")
    stage.expect("retries at GoCardless", [call["ending"] for call in _retries(stage)], ["answered"])
    stage.page.tell("payments", "the held retry ran once, and the bank has paid")


def replay(stage: Stage) -> None:
    """Replay what GoCardless had delivered: first dry, then in earnest."""
    operations, cast = stage.doors.operations, stage.cast
    first = min(one.first_attempt_at for one in stage.deliveries if one.provider == _PROVIDER and one.first_attempt_at)
    wanted = {
        "filter": {"provider": _PROVIDER, "received_from": first.isoformat()},
        "purpose": "make sure that nothing of the outage is missing",
        "incident_id": cast.incident,
        "max_per_second": 100,
    }
    dry = _replayed(stage, operations.post("/v1/replays", {**wanted, "dry_run": True}))
    stage.page.tell("Operations", f"dry run: {dry['counts']['matched']} events would be replayed")
    done = _replayed(stage, operations.post("/v1/replays", {**wanted, "dry_run": False}))
    cast.replay = done["id"]
    counts = done["counts"]
    stage.expect("what the replay matched", counts["matched"], dry["counts"]["matched"])
    stage.expect("what the replay changed, or failed at", (counts["replayed"], counts["failed"]), (0, 0))
    stage.page.tell("payments", f"{counts['unchanged']} are safe and known: replayed, they change nothing")
    for item in operations.pages(f"/v1/replays/{cast.replay}/items"):
        if item["outcome"] == "refused":
            stage.page.tell("payments", f"{item['type']} is not replayed: {item['why']}")
    stage.until("the incident to know its replay", lambda: cast.replay in _incident(stage)["replay_ids"])


def review(stage: Stage) -> None:
    """Resolve the incident and review it, with its replay and its prevention task."""
    cast = stage.cast
    _step(stage, "resolve", {"note": "GoCardless answers, the held retry has run"})
    decision = "Pausing held every retry; the alarm came at the third look. Nothing was lost."
    _step(stage, "review", {"decision": decision, "replay_ids": [cast.replay]})
    incident = _incident(stage)
    stage.expect("the incident's state", incident["state"], "reviewed")
    stage.expect("its prevention task", incident["prevention_task_id"], cast.prevention)
    stage.page.tell("Operations", f"resolves and reviews: {decision}")


def _introduce(stage: Stage) -> None:
    """Make Isla a customer of GoCardless with a mandate in force, and tell payments by which reference."""
    customer, mandate = mandate_of(stage, TRIALIST_ID, TRIALIST_NAME)
    stage.cast.gocardless_customer, stage.cast.mandate = customer, mandate["id"]
    if mandate["status"] != "active":
        in_force(stage, mandate["id"])


def _look(stage: Stage, status: str) -> None:
    """Let the cadence of the checks pass, look after look, until GoCardless has this status."""
    for number in range(1, _LOOKS_MAX + 1):
        before = _check(stage)
        stage.advance(timedelta(seconds=before["cadence_seconds"] + 1))
        check = stage.until("the next look at GoCardless", lambda: _check(stage), _later(before["last_observed_at"]))
        if check["status"] == status:
            stage.page.tell("provider-health", f"{status} after {number} looks: {check['evidence']}")
            return
    raise LocalError(f"GoCardless is not {status} after {_LOOKS_MAX} looks; the last: {_check(stage)}")


def _later(before: str | None) -> Callable[[dict[str, Any]], bool]:
    return lambda check: check["last_observed_at"] is not None and check["last_observed_at"] != before


def _check(stage: Stage) -> dict[str, Any]:
    """The check of GoCardless' API."""
    checks = stage.doors.operations.pages("/v1/providers")
    return next(each for each in checks if (each["provider"], each["category"]) == (_PROVIDER, "api"))


def _open_incident(stage: Stage) -> dict[str, Any] | None:
    incidents = stage.doors.operations.pages("/v1/incidents")
    return next((each for each in incidents if each["provider"] == _PROVIDER and each["state"] == "detected"), None)


def _incident(stage: Stage) -> dict[str, Any]:
    shown: dict[str, Any] = stage.doors.operations.get(f"/v1/incidents/{stage.cast.incident}")
    return shown


def _step(stage: Stage, verb: str, given: dict[str, Any]) -> None:
    """Take the incident one step on. Its own reactions may change it meanwhile, so its version is read just before."""
    path = f"/v1/incidents/{stage.cast.incident}/{verb}"
    for _ in range(_LOOKS_MAX):
        headers = {"If-Match": f'"{_incident(stage)["version"]}"'}
        answer = stage.doors.operations.ask("POST", path, json=given, headers=headers)
        if answer.status_code != 412:
            break
    if not answer.is_success:
        raise LocalError(f"POST {path} was answered {answer.status_code}: {answer.text[:400]}")


def _pauses(stage: Stage) -> list[dict[str, Any]]:
    pauses = stage.doors.operations.pages("/v1/pauses")
    return [each for each in pauses if each["incident_id"] == stage.cast.incident and each["state"] == "active"]


def _pause(stage: Stage) -> dict[str, Any]:
    shown: dict[str, Any] = stage.doors.operations.get(f"/v1/pauses/{stage.cast.pause}")
    return shown


def _has_reached_all(pause: dict[str, Any]) -> bool:
    reached = pause["acknowledgements"]
    return bool(reached["of"]) and reached["stopped"] == reached["of"]


def _stopped(pause: dict[str, Any]) -> str:
    return str(pause["acknowledgements"]["words"])


def _retry_due(stage: Stage) -> datetime:
    payment = stage.doors.known_payment(stage.cast.debit)
    return datetime.fromisoformat(payment["retry"]["planned_for"])


def _has_retry(payment: dict[str, Any]) -> bool:
    return payment.get("retry") is not None and payment["retry"]["planned_for"] is not None


def _retry_state(payment: dict[str, Any]) -> str | None:
    return payment["retry"]["state"] if payment.get("retry") else None


def _retries(stage: Stage) -> list[dict[str, Any]]:
    return [
        call
        for call in stage.doors.asked(_PROVIDER, f"/payments/{stage.cast.debit}/actions/retry")
        if call["ending"] != "refused"
    ]


def _until_asked(stage: Stage) -> None:
    """Wait until the held retry has run: asked and answered. It is let go in steps, so time has to pass for it."""
    for _ in range(_LOOKS_MAX):
        if _retries(stage):
            break
        stage.advance(_CADENCE)
    stage.until("the held retry to run", lambda: [call for call in _retries(stage) if call["ending"]])


def _replayed(stage: Stage, replay: dict[str, Any]) -> dict[str, Any]:
    """Wait until a replay has ended."""
    path = f"/v1/replays/{replay['id']}"

    def ended(shown: dict[str, Any]) -> bool:
        return shown["state"] in {"completed", "cancelled", "refused"}

    shown = stage.until("the replay to end", lambda: stage.doors.operations.get(path), ended)
    stage.expect("how the replay ended", shown["state"], "completed")
    return dict(shown)
