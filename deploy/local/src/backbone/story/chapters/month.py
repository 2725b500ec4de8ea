"""Mark Stevens' month: his card fails, he goes on medical hold, and the due retry becomes a call that waits for him."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from contracts.tasks import PAYMENT_RECOVERY

from backbone.story.chapters import Step
from backbone.story.chapters.front_desk import OPEN_STATES
from backbone.story.chapters.people import AMOUNT_MINOR, MEMBER_ID, MEMBER_NAME
from backbone.story.page import at, money
from backbone.story.stage import Stage

FIRST_TRY: Final = (
    "invoice.created",
    "payment_intent.created",
    "invoice.finalized",
    "charge.failed",
    "payment_intent.payment_failed",
    "invoice.payment_failed",
)


def steps() -> list[Step]:
    """From the failed card to the call that waits."""
    return [
        Step("Mark Stevens is a member, and a customer of Stripe", introduce),
        Step("Stripe bills A$110.00 for the month; the card has insufficient funds", bill),
        Step("Mark has a knee operation: he goes on medical hold", put_on_hold),
        Step("The retry is due, and meets the hold: nobody charges him, somebody calls him", meet_hold),
    ]


def introduce(stage: Stage) -> None:
    """Make Mark a customer of Stripe where he is none, and tell payments by which reference Stripe knows him."""
    known = customers_of(stage, MEMBER_ID, "stripe")
    found = [each for each in known if stage.doors.stripe.ask("GET", f"/v1/customers/{each}").is_success]
    stage.cast.stripe_customer = found[0] if found else ""
    if found:
        stage.page.tell("payments", f"knows {MEMBER_NAME} already, as {found[0]}")
        return
    form = {
        "name": MEMBER_NAME,
        "email": "mark.stevens@example.com",
        "invoice_settings[default_payment_method]": "pm_card_visa",
    }
    stage.cast.stripe_customer = stage.doors.stripe.call("POST", "/v1/customers", data=form)["id"]
    keep_member(stage, MEMBER_ID, MEMBER_NAME, "stripe", [*known, stage.cast.stripe_customer])
    stage.page.tell("Maria Rossi", f"adds the member {MEMBER_NAME}, customer {stage.cast.stripe_customer}")
    stage.deliver()


def bill(stage: Stage) -> None:
    """Let Stripe bill the month. The next attempt after this one will succeed."""
    doors, cast = stage.doors, stage.cast
    script = {"outcomes": ["insufficient_funds", "succeed"]}
    doors.control.call("PUT", f"/stripe/customers/{cast.stripe_customer}/outcomes", json=script)
    invoice = doors.control.post("/stripe/periods", {"customer": cast.stripe_customer, "amount_minor": AMOUNT_MINOR})
    cast.invoice = invoice["id"]
    intents = doors.stripe.get("/v1/payment_intents", customer=cast.stripe_customer, limit=1)
    cast.intent = intents["data"][0]["id"]
    arrives(stage, FIRST_TRY)
    stage.recorded()
    payment = stage.until("payments to plan a retry", lambda: doors.payment(cast.intent), _has_retry)
    due = datetime.fromisoformat(payment["retry"]["planned_for"])
    stage.page.tell("payments", f"the ledger shows {money(AMOUNT_MINOR)} owed; a retry of ours is due {at(due)}")


def put_on_hold(stage: Stage) -> None:
    """Put Mark on medical hold, until somebody ends it."""
    given = {"kind": "medical", "reason": "knee operation"}
    hold = stage.doors.front_desk.post(f"/v1/members/{MEMBER_ID}/holds", given)
    stage.cast.hold = hold["id"]
    stage.page.tell("Front desk", f"puts {MEMBER_NAME} on medical hold: {given['reason']}")


def meet_hold(stage: Stage) -> None:
    """Let the retry fall due. It meets the hold, so recovery is asked for, and the task waits for the hold's end."""
    doors, cast = stage.doors, stage.cast
    payment = doors.known_payment(cast.intent)
    stage.advance_to(datetime.fromisoformat(payment["retry"]["planned_for"]))
    stage.deliver()
    key = f"{PAYMENT_RECOVERY}:{payment['id']}"
    task = stage.until("the recovery task", lambda: task_with_key(stage, key))
    cast.call = task["id"]
    stage.expect("the task's title", task["title"], f"Call {MEMBER_NAME} about failed payment")
    stage.expect("the task's owner", task["owner"], {"id": "maria-rossi", "name": "Maria Rossi"})
    stage.expect("what the task waits for", task["blocked"]["unblocked_by"], f"member_hold:{cast.hold}")
    stage.expect("charges during the hold", doors.asked("stripe", f"/v1/payment_intents/{cast.intent}/confirm"), [])
    stage.page.tell("tasks", f"{task['title']}: {task['owner']['name']}, blocked: {task['blocked']['words']}")
    stage.page.tell("simulator", "Stripe was not asked for anything")


def arrives(stage: Stage, types: Sequence[str]) -> None:
    """Deliver, and hold what arrived against the types that should: each as often as it is named, in whatever order."""
    sent = stage.deliver()
    found = sorted(event for one in sent for event in one.event_types)
    stage.expect("what the provider delivered", found, sorted(types))
    stage.expect("deliveries that were accepted", {one.state for one in sent}, {"delivered"})


def customers_of(stage: Stage, member_id: str, provider: str) -> list[str]:
    """The references by which a provider knows a member, as payments has them."""
    return [each["reference"] for each in _customers(stage, member_id) if each["provider"] == provider]


def keep_member(stage: Stage, member_id: str, name: str, provider: str, references: Sequence[str]) -> None:
    """Tell payments a member's name and by which references a provider knows them; other providers know the same."""
    others = [each for each in _customers(stage, member_id) if each["provider"] != provider]
    customers = [*others, *({"provider": provider, "reference": each} for each in references)]
    stage.doors.billing.call("PUT", f"/v1/members/{member_id}", json={"name": name, "customers": customers})


def _customers(stage: Stage, member_id: str) -> list[dict[str, str]]:
    answer = stage.doors.billing.ask("GET", f"/v1/members/{member_id}/ledger")
    return list(answer.json()["member"]["customers"]) if answer.is_success else []


def task_with_key(stage: Stage, key: str) -> dict[str, Any] | None:
    """The open task that was asked for under this dedupe key."""
    items = stage.doors.operations.pages("/v1/tasks", dedupe_key=key, state=OPEN_STATES)
    return next(items, None)


def _has_retry(payment: dict[str, Any]) -> bool:
    return payment.get("retry") is not None
