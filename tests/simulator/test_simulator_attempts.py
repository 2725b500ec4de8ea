"""Attempts that a merchant makes by itself, through the official clients: each is made once, and told of as it went."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import gocardless_pro
import pytest
import stripe
from gocardless_pro import errors

from tests.simulator.conftest import Inbox, Simulator
from tests.simulator.waiting import eventually

CHARGE_FAILED = ["charge.failed", "payment_intent.payment_failed", "invoice.payment_failed"]
CHARGE_PAID = [
    "charge.succeeded",
    "payment_intent.succeeded",
    "invoice.paid",
    "invoice.payment_succeeded",
    "invoice_payment.paid",
]


def a_failed_month(simulator: Simulator, inbox: Inbox, *next_outcomes: str) -> stripe.PaymentIntent:
    """The PaymentIntent of a month that failed with insufficient funds; the next attempts go as scripted."""
    member = simulator.member()
    outcomes = {"outcomes": ["insufficient_funds", *next_outcomes]}
    simulator.do("PUT", f"/stripe/customers/{member.id}/outcomes", outcomes)
    simulator.do("POST", "/stripe/periods", {"customer": member.id, "amount_minor": 11_000})
    simulator.flush()
    inbox.received.clear()
    (intent,) = simulator.stripe.v1.payment_intents.list({"customer": member.id}).data
    return intent


def method_of(intent: stripe.PaymentIntent) -> str:
    """The payment method of the attempt that failed, which the next one has to name."""
    assert intent.last_payment_error is not None
    method = intent.last_payment_error.payment_method
    assert method is not None
    return method.id


def retry(simulator: Simulator, intent: stripe.PaymentIntent, key: str) -> stripe.PaymentIntent:
    wanted: stripe.params.PaymentIntentConfirmParams = {"payment_method": method_of(intent), "off_session": True}
    return simulator.stripe.v1.payment_intents.confirm(intent.id, wanted, {"idempotency_key": key})


def calls(simulator: Simulator, **query: str) -> list[dict[str, Any]]:
    """What the providers were asked, oldest first."""
    items: list[dict[str, Any]] = simulator.control.get("/calls", params=query).json()["items"]
    return items[::-1]


def test_a_month_that_failed_is_paid_by_confirming_its_payment_again(simulator: Simulator, inbox: Inbox) -> None:
    intent = a_failed_month(simulator, inbox, "succeed")

    assert retry(simulator, intent, "attempt-1").status == "succeeded"

    simulator.flush()
    assert inbox.stripe_types() == CHARGE_PAID
    assert inbox.at("stripe")[0].json["request"]["idempotency_key"] == "attempt-1"
    assert inbox.stripe_object("invoice.paid")["attempt_count"] == 1


def test_a_retry_that_is_declined_tells_of_it_and_the_next_may_succeed(simulator: Simulator, inbox: Inbox) -> None:
    intent = a_failed_month(simulator, inbox, "insufficient_funds", "lost_card", "succeed")

    for number, code in enumerate(("insufficient_funds", "lost_card")):
        with pytest.raises(stripe.CardError) as declined:
            retry(simulator, intent, f"attempt-{number}")
        assert declined.value.error is not None
        assert declined.value.error.decline_code == code
    retry(simulator, intent, "attempt-3")

    simulator.flush()
    assert inbox.stripe_types() == [*CHARGE_FAILED, *CHARGE_FAILED, *CHARGE_PAID]


def test_the_same_key_charges_once_whatever_the_attempt_came_to(simulator: Simulator, inbox: Inbox) -> None:
    intent = a_failed_month(simulator, inbox, "insufficient_funds", "succeed")
    for _ in range(3):
        with pytest.raises(stripe.CardError):
            retry(simulator, intent, "attempt-1")
    assert {retry(simulator, intent, "attempt-2").latest_charge for _ in range(3)} != {intent.latest_charge}

    assert len(simulator.stripe.v1.charges.list({"payment_intent": intent.id}).data) == 3
    confirms = calls(simulator, method="POST", path=f"/v1/payment_intents/{intent.id}/confirm")
    assert [(call["idempotency_key"], call["ending"], call["status"]) for call in confirms] == [
        ("attempt-1", "answered", 402),
        ("attempt-1", "replayed", 402),
        ("attempt-1", "replayed", 402),
        ("attempt-2", "answered", 200),
        ("attempt-2", "replayed", 200),
        ("attempt-2", "replayed", 200),
    ]


def test_a_card_that_was_declined_is_not_used_again_unless_it_is_named(simulator: Simulator, inbox: Inbox) -> None:
    intent = a_failed_month(simulator, inbox, "succeed")
    assert intent.payment_method is None

    with pytest.raises(stripe.InvalidRequestError, match="missing a payment method"):
        simulator.stripe.v1.payment_intents.confirm(intent.id)

    assert [charge.status for charge in simulator.stripe.v1.charges.list().data] == ["failed"]


def test_what_is_paid_is_not_paid_again(simulator: Simulator, inbox: Inbox) -> None:
    intent = a_failed_month(simulator, inbox, "succeed")
    retry(simulator, intent, "attempt-1")

    with pytest.raises(stripe.InvalidRequestError) as refused:
        retry(simulator, intent, "attempt-2")
    assert refused.value.code == "payment_intent_unexpected_state"
    assert simulator.stripe.v1.payment_intents.retrieve(intent.id).amount_received == 11_000


def test_a_debit_is_retried_and_goes_to_the_bank_again(simulator: Simulator, inbox: Inbox) -> None:
    payment = simulator.debit(simulator.mandate())
    simulator.act(payment, "submit")
    simulator.act(payment, "fail")
    simulator.flush()
    inbox.received.clear()

    assert simulator.gocardless.payments.retry(payment.id).status == "pending_submission"
    with pytest.raises(errors.InvalidStateError, match="could not be retried"):
        simulator.gocardless.payments.retry(payment.id)
    simulator.act(payment, "confirm")
    simulator.flush()

    assert inbox.gocardless_actions() == [
        "payments.resubmission_requested",
        "payments.submitted",
        "payments.confirmed",
    ]
    asked = calls(simulator, provider="gocardless", path=f"/payments/{payment.id}/actions/retry")
    assert [call["status"] for call in asked] == [200, 422]


def test_a_health_check_reads_what_needs_no_object(simulator: Simulator) -> None:
    client = simulator.stripe.v1
    client.payment_intents.create(
        {"amount": 11_000, "currency": "aud", "payment_method": "pm_card_visa", "confirm": True}
    )

    balance = client.balance.retrieve()
    (creditor,) = simulator.gocardless.creditors.list().records

    assert [(held.amount, held.currency) for held in balance.pending] == [(10_783, "aud")]
    assert [held.amount for held in balance.available] == [0]
    assert simulator.gocardless.creditors.get(creditor.id).verification_status == "successful"
    with pytest.raises(errors.InvalidApiUsageError):
        simulator.gocardless.creditors.get("CR000NOBODY")


@pytest.fixture
def hurried(simulator: Simulator) -> Iterator[stripe.StripeClient]:
    """Stripe's client with a caller who waits for a second."""
    client = stripe.RequestsClient(timeout=1)
    yield stripe.StripeClient(
        "sk_test_backbone",
        base_addresses={"api": simulator.origins["stripe"]},
        http_client=client,
        max_network_retries=0,
    )
    client.close()  # type: ignore[no-untyped-call]


@pytest.mark.parametrize(("how", "ending", "charges"), [("hang", "hung", 1), ("lose", "lost", 2)])
def test_an_attempt_without_an_answer_was_made_or_not_and_its_key_tells(
    simulator: Simulator, inbox: Inbox, hurried: stripe.StripeClient, how: str, ending: str, charges: int
) -> None:
    intent = a_failed_month(simulator, inbox, "succeed")
    simulator.do("PUT", "/faults/stripe", {"outage": {"api": True, "how": how}})
    wanted: stripe.params.PaymentIntentConfirmParams = {"payment_method": method_of(intent)}

    with pytest.raises(stripe.APIConnectionError):
        hurried.v1.payment_intents.confirm(intent.id, wanted, {"idempotency_key": "attempt-1"})

    confirms = {"path": f"/v1/payment_intents/{intent.id}/confirm"}
    eventually(lambda: calls(simulator, **confirms)[-1]["ending"] == ending, "the call is given up")
    simulator.do("PUT", "/faults/stripe", {})
    assert len(simulator.stripe.v1.charges.list().data) == charges

    again = simulator.stripe.v1.payment_intents.confirm(intent.id, wanted, {"idempotency_key": "attempt-1"})

    assert again.status == "succeeded"
    assert len(simulator.stripe.v1.charges.list().data) == 2
    assert calls(simulator, **confirms)[-1]["ending"] == ("replayed" if how == "lose" else "answered")


def test_calls_that_hang_are_answered_503_when_the_outage_ends(simulator: Simulator) -> None:
    simulator.do("PUT", "/faults/gocardless", {"outage": {"api": True, "how": "hang"}})
    with ThreadPoolExecutor(3) as callers:
        waiting = [callers.submit(simulator.gocardless.creditors.list) for _ in range(3)]
        eventually(lambda: len(calls(simulator, provider="gocardless")) >= 3, "three calls hang")
        assert {call["ending"] for call in calls(simulator, provider="gocardless")} == {None}

        simulator.do("PUT", "/faults/gocardless", {})

        for one in waiting:
            error = one.exception(30)
            assert isinstance(error, errors.GoCardlessInternalError)
            assert error.code == 503


def test_an_outage_is_noted_call_by_call(simulator: Simulator) -> None:
    simulator.do("PUT", "/faults/gocardless", {"outage": {"api": True}})
    client = gocardless_pro.Client(access_token="t", base_url=simulator.origins["gocardless"])
    with pytest.raises(errors.GoCardlessInternalError):
        client.creditors.list()
    simulator.do("PUT", "/faults/gocardless", {})
    client.creditors.list()

    noted = calls(simulator, provider="gocardless", method="GET", path="/creditors")
    assert [call["ending"] for call in noted][-2:] == ["refused", "answered"]
    assert {call["status"] for call in noted[:-1]} == {503}


def test_parallel_attempts_with_one_key_charge_once(simulator: Simulator, inbox: Inbox) -> None:
    intent = a_failed_month(simulator, inbox, *["succeed"] * 8)
    barrier = threading.Barrier(8)

    def at_once(_: int) -> str:
        barrier.wait(30)
        return retry(simulator, intent, "attempt-1").status

    with ThreadPoolExecutor(8) as callers:
        assert set(callers.map(at_once, range(8))) == {"succeeded"}
    assert [charge.status for charge in simulator.stripe.v1.charges.list().data] == ["succeeded", "failed"]
