"""The stand-in for GoCardless, driven by GoCardless' own client and judged by its own signature check."""

from __future__ import annotations

import json
from decimal import Decimal

import gocardless_pro
import httpx
import pytest
from gocardless_pro import errors, webhooks

from tests.simulator.conftest import GOCARDLESS_SECRET, Inbox, Simulator

FIRST = ["mandates.created", "mandates.submitted", "mandates.active", "payments.created"]


def test_a_debit_is_created_submitted_confirmed_and_paid_out(simulator: Simulator, inbox: Inbox) -> None:
    payment = simulator.debit(simulator.mandate())
    for action in ("submit", "confirm", "pay_out"):
        simulator.act(payment, action)
    simulator.flush()

    assert inbox.gocardless_actions() == [
        *FIRST,
        "payments.submitted",
        "payments.confirmed",
        "payouts.paid",
        "payments.paid_out",
    ]
    paid = simulator.gocardless.payments.get(payment.id)
    assert (paid.status, paid.amount, paid.currency, paid.scheme) == ("paid_out", 11_000, "AUD", "becs")
    assert simulator.gocardless.payouts.get(paid.links.payout).status == "paid"


def test_every_webhook_passes_the_official_signature_check(simulator: Simulator, inbox: Inbox) -> None:
    payment = simulator.debit(simulator.mandate())
    simulator.act(payment, "confirm")
    simulator.flush()

    for delivery in inbox.at("gocardless"):
        parsed = webhooks.parse_with_meta(delivery.body, GOCARDLESS_SECRET, delivery.headers["Webhook-Signature"])
        assert parsed.webhook_id.startswith("WB")
        assert all(event.id.startswith("EV") for event in parsed.events)
        with pytest.raises(errors.InvalidSignatureError):
            webhooks.parse(delivery.body, "another", delivery.headers["Webhook-Signature"])


def test_events_of_one_action_share_a_webhook_in_order_of_milliseconds(simulator: Simulator, inbox: Inbox) -> None:
    payment = simulator.debit(simulator.mandate())
    simulator.act(payment, "confirm")
    simulator.flush()

    *_, last = inbox.at("gocardless")
    times = [event["created_at"] for event in last.json["events"]]
    assert [event["action"] for event in last.json["events"]] == ["submitted", "confirmed"]
    assert times == sorted(set(times))
    assert all(len(time) == len("2026-10-01T00:00:00.000Z") for time in times)


def test_a_failure_says_what_the_bank_said(simulator: Simulator, inbox: Inbox) -> None:
    payment = simulator.debit(simulator.mandate())
    simulator.act(payment, "submit")
    simulator.act(payment, "fail", cause="refer_to_payer", will_attempt_retry=True)
    simulator.act(payment, "autoretry")
    simulator.act(payment, "confirm")
    simulator.flush()

    events = [event for one in inbox.at("gocardless") for event in one.json["events"]]
    failed = next(event for event in events if event["action"] == "failed")
    assert failed["details"]["origin"] == "bank"
    assert (failed["details"]["cause"], failed["details"]["reason_code"]) == ("refer_to_payer", "6")
    assert (failed["details"]["scheme"], failed["details"]["will_attempt_retry"]) == ("becs", True)
    assert inbox.gocardless_actions()[len(FIRST) :] == [
        "payments.submitted",
        "payments.failed",
        "payments.resubmission_requested",
        "payments.submitted",
        "payments.confirmed",
    ]


def test_a_late_failure_is_settled_and_the_next_payout_nets_it(simulator: Simulator, inbox: Inbox) -> None:
    mandate = simulator.mandate()
    bounced, good = simulator.debit(mandate, 11_000), simulator.debit(mandate, 3_333)
    for action in ("confirm", "pay_out", "fail"):
        simulator.act(bounced, action)
    simulator.act(good, "confirm")
    payout = simulator.do("POST", "/payouts")
    simulator.flush()

    assert inbox.gocardless_actions()[-3:] == ["payouts.paid", "payments.paid_out", "payments.late_failure_settled"]
    items = list(simulator.gocardless.payout_items.all(params={"payout": payout["id"]}))
    assert [(item.type, item.amount) for item in items] == [
        ("payment_paid_out", "3333.0"),
        ("gocardless_fee", "-73.3"),
        ("payment_failed", "-11000.0"),
        ("gocardless_fee", "150.0"),
    ]
    assert round(sum(Decimal(item.amount) for item in items)) == payout["amount"]
    assert simulator.gocardless.payments.get(bounced.id).status == "failed"


def test_one_action_makes_a_late_failure_for_a_demonstration(simulator: Simulator, inbox: Inbox) -> None:
    payment = simulator.debit(simulator.mandate())
    for action in ("confirm", "pay_out", "late_fail"):
        simulator.act(payment, action)
    simulator.flush()

    *_, last = inbox.at("gocardless")
    assert [event["action"] for event in last.json["events"]] == ["failed", "late_failure_settled"]


def test_a_member_takes_the_money_back_through_the_bank(simulator: Simulator, inbox: Inbox) -> None:
    payment = simulator.debit(simulator.mandate())
    for action in ("confirm", "pay_out", "charge_back", "settle"):
        simulator.act(payment, action)
    simulator.flush()

    assert inbox.gocardless_actions()[-2:] == ["payments.charged_back", "payments.chargeback_settled"]
    assert simulator.gocardless.payments.get(payment.id).status == "charged_back"


def test_a_failed_debit_is_retried_three_times_at_most(simulator: Simulator) -> None:
    payment = simulator.debit(simulator.mandate())
    for _ in range(3):
        simulator.act(payment, "submit")
        simulator.act(payment, "fail")
        assert simulator.gocardless.payments.retry(payment.id).status == "pending_submission"
    simulator.act(payment, "submit")
    simulator.act(payment, "fail")

    with pytest.raises(errors.InvalidStateError, match="could not be retried"):
        simulator.gocardless.payments.retry(payment.id)


def test_the_same_idempotency_key_makes_one_payment(simulator: Simulator) -> None:
    mandate = simulator.mandate()
    asked = {"amount": 11_000, "currency": "AUD", "links": {"mandate": mandate.id}}

    first = simulator.gocardless.payments.create(params=asked, headers={"Idempotency-Key": "october-mark"})
    again = simulator.gocardless.payments.create(params=asked, headers={"Idempotency-Key": "october-mark"})

    assert again.id == first.id
    assert len(simulator.gocardless.payments.list().records) == 1
    strict = gocardless_pro.Client(
        access_token="t", base_url=simulator.origins["gocardless"], raise_on_idempotency_conflict=True
    )
    with pytest.raises(errors.IdempotentCreationConflictError) as conflict:
        strict.payments.create(params=asked, headers={"Idempotency-Key": "october-mark"})
    assert conflict.value.conflicting_resource_id == first.id


def test_events_page_by_cursor_newest_first_and_filter(simulator: Simulator) -> None:
    payment = simulator.debit(simulator.mandate())
    simulator.act(payment, "confirm")

    events = list(simulator.gocardless.events.all(params={"limit": 2}))
    assert [event.action for event in events] == ["confirmed", "submitted", "created", "active", "submitted", "created"]
    page = simulator.gocardless.events.list(params={"limit": 2, "after": events[1].id})
    assert [event.id for event in page.records] == [event.id for event in events[2:4]]
    assert (page.before, page.after) == (events[2].id, events[3].id)
    of_payment = simulator.gocardless.events.list(params={"payment": payment.id, "action": "confirmed"}).records
    assert [event.links.payment for event in of_payment] == [payment.id]
    since = simulator.gocardless.events.list(params={"created_at[gt]": events[1].created_at}).records
    assert [event.action for event in since] == ["confirmed"]
    assert simulator.gocardless.events.get(events[0].id).details.cause == "payment_confirmed"


def test_what_gocardless_would_refuse_is_refused_in_its_shapes(simulator: Simulator) -> None:
    mandate = simulator.mandate()
    with pytest.raises(errors.ValidationFailedError) as invalid:
        simulator.debit(mandate, amount=-1)
    assert invalid.value.errors[0]["request_pointer"] == "/payments/amount"
    with pytest.raises(errors.InvalidApiUsageError) as missing:
        simulator.gocardless.payments.get("PM000NOTHING")
    assert (missing.value.code, missing.value.errors[0]["reason"]) == (404, "resource_not_found")
    payment = simulator.debit(mandate)
    simulator.act(payment, "submit")
    with pytest.raises(errors.InvalidStateError) as late:
        simulator.gocardless.payments.cancel(payment.id)
    assert late.value.errors[0]["reason"] == "cancellation_failed"
    simulator.gocardless.mandates.cancel(mandate.id)
    with pytest.raises(errors.InvalidStateError) as inactive:
        simulator.debit(mandate)
    assert inactive.value.errors[0]["reason"] == "mandate_is_inactive"


@pytest.mark.parametrize(
    ("headers", "status", "reason"),
    [
        ({"GoCardless-Version": "2015-07-06"}, 401, "missing_authorization_header"),
        ({"Authorization": "Bearer t"}, 400, "missing_version_header"),
        ({"Authorization": "Bearer t", "GoCardless-Version": "2014-01-01"}, 400, "version_not_found"),
    ],
)
def test_a_request_without_its_headers_is_refused(
    simulator: Simulator, headers: dict[str, str], status: int, reason: str
) -> None:
    answer = httpx.get(f"{simulator.origins['gocardless']}/payments", headers=headers, trust_env=False)
    assert (answer.status_code, answer.json()["error"]["errors"][0]["reason"]) == (status, reason)


@pytest.mark.parametrize("body", [b"[1, 2]", b"{", b'{"payments": 7}', json.dumps([[]] * 3).encode()])
def test_a_document_of_another_structure_is_refused(simulator: Simulator, body: bytes) -> None:
    headers = {"Authorization": "Bearer t", "GoCardless-Version": "2015-07-06"}
    answer = httpx.post(f"{simulator.origins['gocardless']}/payments", content=body, headers=headers, trust_env=False)
    assert answer.status_code == 400
    assert answer.json()["error"]["errors"][0]["reason"] == "invalid_document_structure"
