"""Money on its way back at the stand-in for GoCardless: refunds, chargebacks, fees, and the life of mandates."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from gocardless_pro import errors

from tests.simulator.conftest import Inbox, Simulator


def _collected(simulator: Simulator, amount: int = 11_000) -> Any:
    payment = simulator.debit(simulator.mandate(), amount)
    for action in ("confirm", "pay_out"):
        simulator.act(payment, action)
    return payment


def _refund(simulator: Simulator, payment: Any, amount: int, total: int) -> Any:
    return simulator.gocardless.refunds.create(
        params={"amount": amount, "total_amount_confirmation": total, "links": {"payment": payment.id}}
    )


def _act(simulator: Simulator, refund: Any, action: str) -> Any:
    return simulator.do("POST", f"/gocardless/refunds/{refund.id}/actions", {"action": action})


def _items(simulator: Simulator, payout: str) -> list[tuple[str, str]]:
    return [(item.type, item.amount) for item in simulator.gocardless.payout_items.all(params={"payout": payout})]


def test_a_debit_is_refunded_and_the_next_payout_is_smaller(simulator: Simulator, inbox: Inbox) -> None:
    payment = _collected(simulator)
    refund = _refund(simulator, payment, 5_000, 5_000)
    _act(simulator, refund, "pay")
    payout = simulator.do("POST", "/payouts")
    simulator.flush()

    assert inbox.gocardless_actions()[-4:] == [
        "refunds.created",
        "refunds.paid",
        "payouts.paid",
        "refunds.refund_settled",
    ]
    assert _items(simulator, payout["id"]) == [("refund", "-5000.0")]
    assert payout["amount"] == -5_000
    assert simulator.gocardless.payments.get(payment.id).attributes["amount_refunded"] == 5_000
    assert [one.id for one in simulator.gocardless.refunds.list(params={"payment": payment.id}).records] == [refund.id]


def test_refunds_of_more_than_was_collected_are_refused(simulator: Simulator) -> None:
    payment = _collected(simulator)
    with pytest.raises(errors.InvalidStateError, match="total of all refunds"):
        _refund(simulator, payment, 5_000, 6_000)
    _refund(simulator, payment, 5_000, 5_000)
    with pytest.raises(errors.InvalidStateError, match="exceeds"):
        _refund(simulator, payment, 6_001, 11_001)


def test_a_refund_comes_back(simulator: Simulator, inbox: Inbox) -> None:
    refund = _refund(simulator, _collected(simulator), 5_000, 5_000)
    _act(simulator, refund, "pay")
    simulator.do("POST", "/payouts")
    _act(simulator, refund, "fail")
    _act(simulator, refund, "return_funds")
    back = simulator.do("POST", "/payouts")
    simulator.flush()

    assert [action for action in inbox.gocardless_actions() if action.startswith("refunds")] == [
        "refunds.created",
        "refunds.paid",
        "refunds.refund_settled",
        "refunds.failed",
        "refunds.funds_returned",
    ]
    assert _items(simulator, back["id"]) == [("refund_funds_returned", "5000.0")]


def test_a_chargeback_is_cancelled(simulator: Simulator, inbox: Inbox) -> None:
    payment = _collected(simulator)
    for action in ("charge_back", "cancel_chargeback"):
        shown = simulator.act(payment, action)
    simulator.flush()
    assert shown["status"] == "paid_out"
    assert inbox.gocardless_actions()[-2:] == ["payments.charged_back", "payments.chargeback_cancelled"]


def test_a_returned_debit_costs_a_fee_with_its_tax_to_a_tenth_of_a_cent(simulator: Simulator) -> None:
    mandate = simulator.mandate()
    good, bounced = simulator.debit(mandate, 1_005), simulator.debit(mandate)
    simulator.act(bounced, "submit")
    simulator.act(bounced, "fail")
    simulator.act(bounced, "surcharge")
    simulator.act(good, "confirm")
    payout = simulator.do("POST", "/payouts")

    items = _items(simulator, payout["id"])
    assert items == [("payment_paid_out", "1005.0"), ("gocardless_fee", "-50.0"), ("surcharge_fee", "-50.0")]
    assert round(sum(Decimal(amount) for _, amount in items)) == payout["amount"]
    first = simulator.gocardless.payout_items.list(params={"payout": payout["id"], "limit": 2})
    assert len(first.records) == 2
    assert first.after is not None


def test_a_debit_needs_the_customers_approval(simulator: Simulator, inbox: Inbox) -> None:
    payment = simulator.debit(simulator.mandate())
    assert simulator.act(payment, "deny")["status"] == "customer_approval_denied"
    simulator.flush()
    assert inbox.gocardless_actions()[-1] == "payments.customer_approval_denied"


@pytest.mark.parametrize(
    ("action", "told", "status"),
    [
        ("fail", "failed", "failed"),
        ("expire", "expired", "expired"),
        ("block", "blocked", "blocked"),
        ("consume", "consumed", "consumed"),
        ("transfer", "transferred", "active"),
    ],
)
def test_a_mandate_ends_or_moves(simulator: Simulator, inbox: Inbox, action: str, told: str, status: str) -> None:
    mandate = simulator.mandate()
    shown = simulator.do("POST", f"/mandates/{mandate.id}/actions", {"action": action})
    simulator.flush()
    assert (shown["status"], inbox.gocardless_actions()[-1]) == (status, f"mandates.{told}")


def test_a_mandate_comes_back_or_is_replaced(simulator: Simulator, inbox: Inbox) -> None:
    mandate = simulator.mandate()
    for action in ("expire", "reinstate", "replace"):
        simulator.do("POST", f"/mandates/{mandate.id}/actions", {"action": action})
    simulator.flush()
    assert inbox.gocardless_actions()[-4:] == [
        "mandates.expired",
        "mandates.reinstated",
        "mandates.created",
        "mandates.replaced",
    ]
    *_, last = inbox.at("gocardless")
    assert last.json["events"][-1]["links"]["new_mandate"].startswith("MD")
