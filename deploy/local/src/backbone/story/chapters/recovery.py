"""The hold ends, Maria Rossi calls, Mark pays; and somebody tries to deliver what no provider has sent."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from backbone.story.chapters import Step
from backbone.story.chapters.month import arrives
from backbone.story.chapters.people import AMOUNT_MINOR, MEMBER_ID, MEMBER_NAME
from backbone.story.page import money
from backbone.story.stage import Stage

SECOND_TRY: Final = (
    "charge.succeeded",
    "payment_intent.succeeded",
    "invoice.paid",
    "invoice.payment_succeeded",
    "invoice_payment.paid",
)
_FORGED: Final = "payment_intent.succeeded"


def steps() -> list[Step]:
    """From the hold's end to the balance of nothing."""
    return [
        Step("Mark trains again: his hold ends, and with it what Maria's call waited for", end_hold),
        Step("Maria Rossi calls him and completes the task: try again now", complete_call),
        Step("Stripe charges the card and succeeds; its events arrive in reversed order, one of them twice", pay),
        Step("Somebody sends a copy of a delivery with one digit changed", forge),
    ]


def end_hold(stage: Stage) -> None:
    """End the hold; the block that names it ends by itself."""
    doors, cast = stage.doors, stage.cast
    hold = next(each for each in doors.front_desk.pages(f"/v1/members/{MEMBER_ID}/holds") if each["id"] == cast.hold)
    doors.front_desk.post(f"/v1/holds/{cast.hold}/end", {"reason": "he trains again"}, version=hold["version"])
    stage.page.tell("Front desk", f"ends the medical hold of {MEMBER_NAME}: he trains again")
    call = stage.until("the task to be unblocked", lambda: _call(stage), lambda task: task["blocked"] is None)
    stage.page.tell("tasks", f"{call['title']} is not blocked any more")


def complete_call(stage: Stage) -> None:
    """Complete the call. Its outcome has payments charge the card, whose events come in reversed order."""
    billing, cast = stage.doors.billing, stage.cast
    fault = {"fault": "reorder", "window": len(SECOND_TRY), "mode": "reverse"}
    stage.doors.control.post("/faults/stripe/next", fault)
    task = billing.post(f"/v1/tasks/{cast.call}/start", version=_call(stage)["version"])
    outcome = {"code": "retry_now", "note": "He has topped up the card and asks us to try again"}
    done = billing.post(f"/v1/tasks/{cast.call}/complete", outcome, version=task["version"])
    stage.page.tell("Maria Rossi", f"completes {done['title']}: {outcome['note']}")


def pay(stage: Stage) -> None:
    """Wait for the one charge that the outcome asks for, and for what Stripe tells of it."""
    doors, cast = stage.doors, stage.cast
    path = f"/v1/payment_intents/{cast.intent}/confirm"
    stage.until("payments to ask Stripe", lambda: [call for call in doors.asked("stripe", path) if call["ending"]])
    arrives(stage, SECOND_TRY)
    succeeded = next(one for one in stage.deliveries if _FORGED in one.event_types)
    doors.control.post(f"/deliveries/{succeeded.id}/resend")
    arrives(stage, (_FORGED,))
    stage.recorded()
    stage.until("the payment to succeed", lambda: doors.payment(cast.intent), _has_succeeded)
    charges = [call["ending"] for call in doors.asked("stripe", path) if call["ending"] != "replayed"]
    stage.expect("charges at Stripe", charges, ["answered"])
    stage.page.tell("payments", f"{money(AMOUNT_MINOR)} are paid: one charge, each event once")


def forge(stage: Stage) -> None:
    """Change one digit of a delivery that was genuine: it is refused, and kept as evidence."""
    doors = stage.doors
    genuine = next(one for one in stage.deliveries if _FORGED in one.event_types)
    forgery = {"provider": "stripe", "how": "altered_byte", "delivery": genuine.id}
    doors.control.post("/forgeries", forgery)
    (sent,) = stage.deliver()
    stage.expect("the forgery's answer", (sent.forged, sent.status, sent.state), (True, 400, "failed"))
    query = {"provider": "stripe", "state": "rejected", "limit": 1}

    def kept() -> list[Any]:
        items = doors.billing.get("/v1/deliveries", **query)["items"]
        since = sent.first_attempt_at
        return [each for each in items if since and datetime.fromisoformat(each["last_received_at"]) >= since]

    stage.until("the forgery to be kept as rejected", kept)
    stage.page.tell("payments", "refused, and kept as evidence; nothing was read from it")


def _call(stage: Stage) -> dict[str, Any]:
    shown: dict[str, Any] = stage.doors.billing.get(f"/v1/tasks/{stage.cast.call}")
    return shown


def _has_succeeded(payment: dict[str, Any]) -> bool:
    return bool(payment["state"] == "succeeded")
