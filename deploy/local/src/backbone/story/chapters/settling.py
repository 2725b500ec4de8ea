"""Money on its way: a debit that the bank takes back late, a partial refund, and payouts that add up to the cent."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from backbone.story.chapters import Step
from backbone.story.chapters.debits import debit, in_force, mandate_of
from backbone.story.chapters.month import arrives
from backbone.story.chapters.people import GRADING_MINOR, MEMBER_ID, MEMBER_NAME, REFUND_MINOR
from backbone.story.page import at, money
from backbone.story.stage import Stage

_TURN: Final = timedelta(seconds=31)
_TURNS_MAX: Final = 20


def steps() -> list[Step]:
    """From Mark's grading to the money at the bank."""
    return [
        Step("GoCardless pays out Isla's trial, less its fee", pay_out_trial),
        Step("Mark pays his grading by direct debit; his bank confirms it, and takes it back days later", fail_late),
        Step("Three days later the debit is tried again, and the bank pays", try_again),
        Step("A$50.00 of Mark's month are refunded: he could not train for half of it", refund),
        Step("Both providers pay out; each payout is held against its lines, to a tenth of a cent", pay_out),
    ]


def pay_out_trial(stage: Stage) -> None:
    """Pay out what has been confirmed, before another day does it."""
    _gocardless_payout(stage, stage.cast.debit)


def fail_late(stage: Stage) -> None:
    """Have Mark's debit confirmed and then taken back: the ledger reverses it, and the retry is planned."""
    doors, cast = stage.doors, stage.cast
    cast.grading_customer, mandate = mandate_of(stage, MEMBER_ID, MEMBER_NAME)
    cast.grading_mandate = mandate["id"]
    if mandate["status"] != "active":
        in_force(stage, mandate["id"])
    cast.grading = debit(stage, mandate["id"], GRADING_MINOR, "Grading")
    for action in ("submit", "confirm"):
        doors.control.post(f"/payments/{cast.grading}/actions", {"action": action})
    arrives(stage, ("payments.created", "payments.submitted", "payments.confirmed"))
    stage.until("the grading to be paid", lambda: doors.payment(cast.grading), _is_paid)
    doors.control.post(f"/payments/{cast.grading}/actions", {"action": "late_fail"})
    arrives(stage, ("payments.failed",))
    stage.recorded()
    failed = stage.until("payments to plan a retry", lambda: doors.payment(cast.grading), _has_retry)
    stage.expect("how the grading stands", failed["state"], "failed")
    due = datetime.fromisoformat(failed["retry"]["planned_for"])
    stage.page.tell("payments", f"takes {money(GRADING_MINOR)} back, as of today; a retry of ours is due {at(due)}")


def try_again(stage: Stage) -> None:
    """Let the retry fall due, and have the bank pay this time."""
    doors, cast = stage.doors, stage.cast
    stage.advance_to(datetime.fromisoformat(doors.known_payment(cast.grading)["retry"]["planned_for"]))
    for _ in range(_TURNS_MAX):
        if _retried(stage):
            break
        stage.advance(_TURN)
    stage.until("payments to ask GoCardless", lambda: _retried(stage))
    doors.control.post(f"/payments/{cast.grading}/actions", {"action": "confirm"})
    arrives(stage, ("payments.resubmission_requested", "payments.submitted", "payments.confirmed"))
    stage.recorded()
    stage.until("the grading to be paid", lambda: doors.payment(cast.grading), _is_paid)
    stage.page.tell("payments", f"{money(GRADING_MINOR)} are paid at the second attempt")


def refund(stage: Stage) -> None:
    """Give a part of the month back at Stripe."""
    doors, cast = stage.doors, stage.cast
    # Stripe's times are whole seconds: without this the refund may be dated before the debit of just now.
    stage.advance(_TURN)
    form = {"payment_intent": cast.intent, "amount": REFUND_MINOR, "reason": "requested_by_customer"}
    doors.stripe.call("POST", "/v1/refunds", data=form)
    arrives(stage, ("refund.created", "charge.refunded"))
    stage.recorded()
    payment = doors.known_payment(cast.intent)

    def given_back() -> Any:
        return doors.billing.get(f"/v1/payments/{payment['id']}/returns")["refunds"]

    (done,) = stage.until(
        "the refund to be paid", given_back, lambda found: [each["state"] for each in found] == ["paid"]
    )
    stage.expect("what was given back", done["amount"]["amount_minor"], REFUND_MINOR)
    gst = (2 * REFUND_MINOR + 11) // 22
    stage.page.tell(
        "payments", f"{money(REFUND_MINOR)} are given back, {money(gst)} of it GST that is not owed any more"
    )


def pay_out(stage: Stage) -> None:
    """Have both providers pay out; each payout has to be explained by its lines."""
    doors, cast = stage.doors, stage.cast
    made = doors.control.post("/stripe/payouts")
    cast.payouts.append(made["id"])
    doors.control.post(f"/stripe/payouts/{made['id']}/actions", {"action": "arrive"})
    arrives(stage, ("payout.created", "payout.updated", "payout.paid", "payout.reconciliation_completed"))
    _explained(stage, made["id"])
    _gocardless_payout(stage, cast.grading)


def _gocardless_payout(stage: Stage, payment: str) -> None:
    made = stage.doors.control.post("/payouts", {"payments": [payment]})
    stage.cast.payouts.append(made["id"])
    arrives(stage, ("payments.paid_out", "payouts.paid"))
    _explained(stage, made["id"])


def _explained(stage: Stage, reference: str) -> None:
    """Wait until payments has read a payout's lines; they must add up to it."""
    stage.recorded()
    found = stage.until(
        f"the lines of {reference}",
        lambda: stage.doors.payout(reference),
        lambda payout: payout["state"] == "paid" and payout["difference"] is not None,
    )
    stage.expect(f"what does not add up in {reference}", found["difference"]["amount_minor"], 0)
    amount, lines = money(found["amount"]["amount_minor"]), len(found["lines"])
    stage.page.tell("payments", f"{reference}: {amount} is what its {lines} lines add up to; nothing is unexplained")


def _retried(stage: Stage) -> Sequence[dict[str, Any]]:
    path = f"/payments/{stage.cast.grading}/actions/retry"
    return [call for call in stage.doors.asked("gocardless", path) if call["ending"] == "answered"]


def _has_retry(payment: dict[str, Any]) -> bool:
    return payment.get("retry") is not None and payment["retry"]["planned_for"] is not None


def _is_paid(payment: dict[str, Any]) -> bool:
    return bool(payment["state"] == "succeeded" and payment["amount"])
