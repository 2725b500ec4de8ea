"""Money on its way back and to the bank at the stand-in for Stripe: refunds, disputes, payouts, credit notes."""

from __future__ import annotations

from typing import Any

import pytest
import stripe

from tests.simulator.conftest import STRIPE_SECRET, Inbox, Simulator


def _paid(simulator: Simulator, amount: int = 11_000) -> stripe.PaymentIntent:
    return simulator.stripe.v1.payment_intents.create(
        {"amount": amount, "currency": "aud", "customer": simulator.member().id, "confirm": True}
    )


def _month(simulator: Simulator) -> dict[str, Any]:
    invoice: dict[str, Any] = simulator.do(
        "POST", "/stripe/periods", {"customer": simulator.member().id, "amount_minor": 11_000}
    )
    return invoice


def _nets(simulator: Simulator, payout: str | None = None) -> list[tuple[str, int, int]]:
    listing = simulator.stripe.v1.balance_transactions
    entries = listing.list({"limit": 100, "payout": payout}) if payout else listing.list({"limit": 100})
    return [(entry.type, entry.amount, entry.fee) for entry in entries.data[::-1]]


def test_a_charge_is_refunded_in_parts_and_no_further(simulator: Simulator, inbox: Inbox) -> None:
    paid = _paid(simulator)
    for amount in (3_333, 3_333, 4_334):
        refund = simulator.stripe.v1.refunds.create({"payment_intent": paid.id, "amount": amount})
        assert (refund.status, refund.amount) == ("succeeded", amount)

    with pytest.raises(stripe.InvalidRequestError, match="already been refunded"):
        simulator.stripe.v1.refunds.create({"payment_intent": paid.id, "amount": 1})
    simulator.flush()
    assert inbox.stripe_types()[-2:] == ["refund.created", "charge.refunded"]
    charge = inbox.stripe_object("charge.refunded")
    assert (charge["amount_refunded"], charge["refunded"]) == (11_000, True)
    assert inbox.at("stripe")[-1].json["data"]["previous_attributes"]["amount_refunded"] == 6_666
    whole = simulator.stripe.v1.charges.retrieve(charge["id"], {"expand": ["refunds", "balance_transaction"]})
    assert whole.refunds is not None
    assert [one.amount for one in whole.refunds.data] == [4_334, 3_333, 3_333]
    listed = simulator.stripe.v1.refunds.list({"charge": charge["id"]})
    assert [one.amount for one in listed.data] == [4_334, 3_333, 3_333]
    assert _nets(simulator)[1:] == [("refund", -3_333, 0), ("refund", -3_333, 0), ("refund", -4_334, 0)]


def test_a_refund_of_more_than_is_left_is_refused(simulator: Simulator) -> None:
    paid = _paid(simulator)
    with pytest.raises(stripe.InvalidRequestError, match="greater than unrefunded amount"):
        simulator.stripe.v1.refunds.create({"payment_intent": paid.id, "amount": 11_001})


def test_a_refund_that_the_bank_sends_back_is_in_the_balance_again(simulator: Simulator, inbox: Inbox) -> None:
    paid = _paid(simulator)
    refund = simulator.stripe.v1.refunds.create({"payment_intent": paid.id})
    simulator.do("POST", f"/stripe/refunds/{refund.id}/actions", {"action": "fail"})
    simulator.flush()

    assert inbox.stripe_types()[-3:] == ["refund.failed", "refund.updated", "charge.refund.updated"]
    failed = simulator.stripe.v1.refunds.retrieve(refund.id)
    assert (failed.status, failed.failure_reason) == ("failed", "lost_or_stolen_card")
    assert failed.failure_balance_transaction is not None
    assert _nets(simulator)[1:] == [("refund", -11_000, 0), ("refund_failure", 11_000, 0)]


def test_a_dispute_takes_amount_and_fee_and_winning_brings_both_back(simulator: Simulator, inbox: Inbox) -> None:
    charge = str(_paid(simulator).latest_charge)
    dispute = simulator.do("POST", f"/stripe/charges/{charge}/disputes", {"reason": "fraudulent"})
    with pytest.raises(stripe.InvalidRequestError, match="charged back"):
        simulator.stripe.v1.refunds.create({"charge": charge})
    simulator.stripe.v1.disputes.update(dispute["id"], {"evidence": {"uncategorized_text": "signed"}})
    simulator.do("POST", f"/stripe/disputes/{dispute['id']}/actions", {"action": "win"})
    simulator.flush()

    assert [kind for kind in inbox.stripe_types() if "dispute" in kind] == [
        "charge.dispute.created",
        "charge.dispute.funds_withdrawn",
        "charge.dispute.updated",
        "charge.dispute.funds_reinstated",
        "charge.dispute.closed",
    ]
    won = simulator.stripe.v1.disputes.retrieve(dispute["id"])
    assert won.status == "won"
    assert [(one.amount, one.fee, one.net) for one in won.balance_transactions] == [
        (-11_000, 2_500, -13_500),
        (11_000, -2_500, 13_500),
    ]
    fees = [(part.type, part.amount) for part in won.balance_transactions[0].fee_details]
    assert fees == [("stripe_fee", 2_273), ("tax", 227)]


def test_an_accepted_dispute_is_lost(simulator: Simulator, inbox: Inbox) -> None:
    charge = str(_paid(simulator).latest_charge)
    dispute = simulator.do("POST", f"/stripe/charges/{charge}/disputes")
    assert simulator.stripe.v1.disputes.close(dispute["id"]).status == "lost"
    simulator.flush()
    assert inbox.stripe_types()[-1] == "charge.dispute.closed"


def test_an_inquiry_moves_nothing_until_it_becomes_a_chargeback(simulator: Simulator, inbox: Inbox) -> None:
    charge = str(_paid(simulator).latest_charge)
    inquiry = simulator.do("POST", f"/stripe/charges/{charge}/disputes", {"inquiry": True})
    assert (inquiry["status"], inquiry["is_charge_refundable"]) == ("warning_needs_response", True)
    assert inquiry["balance_transactions"] == []

    after = simulator.do("POST", f"/stripe/disputes/{inquiry['id']}/actions", {"action": "escalate"})
    assert (after["status"], len(after["balance_transactions"])) == ("needs_response", 1)
    other = str(_paid(simulator).latest_charge)
    second = simulator.do("POST", f"/stripe/charges/{other}/disputes", {"inquiry": True})
    closed = simulator.do("POST", f"/stripe/disputes/{second['id']}/actions", {"action": "close"})
    assert (closed["status"], closed["balance_transactions"]) == ("warning_closed", [])


def test_an_automatic_payout_carries_what_is_in_the_balance_and_lists_it(simulator: Simulator, inbox: Inbox) -> None:
    paid = _paid(simulator)
    simulator.stripe.v1.refunds.create({"payment_intent": paid.id, "amount": 1_000})
    payout = simulator.do("POST", "/stripe/payouts")
    simulator.do("POST", f"/stripe/payouts/{payout['id']}/actions", {"action": "arrive"})
    simulator.flush()

    assert payout["amount"] == 11_000 - 217 - 1_000
    assert inbox.stripe_types()[-4:] == [
        "payout.created",
        "payout.updated",
        "payout.paid",
        "payout.reconciliation_completed",
    ]
    assert _nets(simulator, payout=payout["id"]) == [
        ("charge", 11_000, 217),
        ("refund", -1_000, 0),
        ("payout", -9_783, 0),
    ]


def test_a_payout_may_be_below_zero_fail_or_be_made_by_hand(simulator: Simulator, inbox: Inbox) -> None:
    paid = _paid(simulator)
    simulator.do("POST", "/stripe/payouts")
    simulator.stripe.v1.refunds.create({"payment_intent": paid.id})
    negative = simulator.do("POST", "/stripe/payouts")
    assert negative["amount"] == -11_000
    failed = simulator.do("POST", f"/stripe/payouts/{negative['id']}/actions", {"action": "fail"})
    assert (failed["status"], failed["failure_code"]) == ("failed", "account_closed")
    by_hand = simulator.stripe.v1.payouts.create({"amount": 500, "currency": "aud"})
    assert (by_hand.automatic, by_hand.reconciliation_status) == (False, "not_applicable")
    assert _nets(simulator, payout=by_hand.id) == []
    simulator.stripe.v1.payouts.cancel(by_hand.id)
    simulator.flush()
    assert inbox.stripe_types()[-3:] == ["payout.failed", "payout.created", "payout.canceled"]


def test_the_balance_transaction_may_come_a_moment_after_the_success(simulator: Simulator, inbox: Inbox) -> None:
    simulator.do("PUT", "/stripe/fees", {"late": True})
    _paid(simulator)
    simulator.flush()

    assert inbox.stripe_types()[-3:] == ["charge.succeeded", "payment_intent.succeeded", "charge.updated"]
    assert inbox.stripe_object("charge.succeeded")["balance_transaction"] is None
    assert inbox.stripe_object("charge.updated")["balance_transaction"].startswith("txn_")
    assert inbox.at("stripe")[-1].json["data"]["previous_attributes"] == {"balance_transaction": None}


def test_a_credit_note_takes_back_part_of_an_invoice_with_its_gst(simulator: Simulator, inbox: Inbox) -> None:
    invoice = _month(simulator)
    note = simulator.stripe.v1.credit_notes.create({"invoice": invoice["id"], "amount": 5_500, "refund_amount": 5_500})
    simulator.flush()
    assert (note.type, note.total, note.status) == ("post_payment", 5_500, "issued")
    assert [tax.amount for tax in note.total_taxes or ()] == [500]
    assert inbox.stripe_types()[-3:] == ["refund.created", "charge.refunded", "credit_note.created"]
    voided = simulator.stripe.v1.credit_notes.void_credit_note(note.id)
    assert (voided.status, inbox.stripe_object("credit_note.created")["status"]) == ("void", "issued")
    with pytest.raises(stripe.InvalidRequestError, match="greater than what is left"):
        simulator.stripe.v1.credit_notes.create({"invoice": invoice["id"], "amount": 11_001})


def test_an_invoice_is_voided_given_up_or_paid_elsewhere(simulator: Simulator, inbox: Inbox) -> None:
    client, member = simulator.stripe.v1, simulator.member()
    simulator.do("PUT", f"/stripe/customers/{member.id}/outcomes", {"outcomes": ["insufficient_funds"] * 3})
    first, second, third = (
        simulator.do("POST", "/stripe/periods", {"customer": member.id, "amount_minor": 11_000})["id"] for _ in range(3)
    )
    client.invoices.void_invoice(first)
    client.invoices.mark_uncollectible(second)
    client.invoices.pay(third, {"paid_out_of_band": True})
    simulator.flush()

    assert inbox.stripe_object("invoice.voided")["status_transitions"]["voided_at"] is not None
    given_up = inbox.stripe_object("invoice.marked_uncollectible")
    assert given_up["status"] == "uncollectible"
    assert given_up["status_transitions"]["marked_uncollectible_at"] is not None
    assert (inbox.stripe_object("invoice.paid")["amount_paid"]) == 0


def test_an_endpoint_for_thin_events_is_told_what_happened_and_fetches_the_rest(
    simulator: Simulator, inbox: Inbox
) -> None:
    endpoint = {"provider": "stripe", "url": f"{inbox.url}/stripe", "secrets": [STRIPE_SECRET], "payload": "thin"}
    simulator.do("PUT", "/endpoints", {"endpoints": [endpoint]})
    _paid(simulator)
    simulator.flush()

    delivery = next(one for one in inbox.at("stripe") if one.json["type"] == "v1.charge.succeeded")
    told = simulator.stripe.parse_event_notification(delivery.body, delivery.headers["Stripe-Signature"], STRIPE_SECRET)
    assert "data" not in delivery.json
    assert delivery.json["created"].endswith("Z")
    event = simulator.stripe.v2.core.events.retrieve(told.id)
    assert (event.type, event.object) == ("v1.charge.succeeded", "v2.core.event")
    related = delivery.json["related_object"]
    assert simulator.stripe.v1.charges.retrieve(related["id"]).status == "succeeded"
    assert related["url"] == f"/v1/charges/{related['id']}"
