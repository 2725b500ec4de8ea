"""The stand-in for Stripe, driven by Stripe's own client and judged by Stripe's own signature check."""

from __future__ import annotations

import httpx
import pytest
import stripe

from tests.simulator.conftest import STRIPE_NEW_SECRET, STRIPE_SECRET, Inbox, Simulator, Start

BEFORE_BASIL = "2024-06-20"
PAID = [
    "charge.succeeded",
    "payment_intent.succeeded",
    "invoice.paid",
    "invoice.payment_succeeded",
    "invoice_payment.paid",
]
FAILED = ["charge.failed", "payment_intent.payment_failed", "invoice.payment_failed"]


def test_a_card_payment_succeeds_and_tells_of_it(simulator: Simulator, inbox: Inbox) -> None:
    member = simulator.member()

    intent = simulator.stripe.v1.payment_intents.create(
        {"amount": 11_000, "currency": "aud", "customer": member.id, "confirm": True, "expand": ["latest_charge"]}
    )

    simulator.flush()
    assert intent.status == "succeeded"
    assert isinstance(intent.latest_charge, stripe.Charge)
    assert intent.latest_charge.status == "succeeded"
    assert inbox.stripe_types() == [
        "customer.created",
        "payment_intent.created",
        "charge.succeeded",
        "payment_intent.succeeded",
    ]


def test_every_delivery_passes_the_official_signature_check_under_each_active_secret(
    simulator: Simulator, inbox: Inbox
) -> None:
    simulator.member()
    simulator.flush()

    (delivery,) = inbox.at("stripe")
    for secret in (STRIPE_SECRET, STRIPE_NEW_SECRET):
        event = stripe.Webhook.construct_event(delivery.body, delivery.headers["Stripe-Signature"], secret)
        assert event.type == "customer.created"
        assert event.livemode is False
    assert delivery.body.startswith(b'{\n  "id": "evt_')
    assert delivery.body.endswith(b"}")
    assert delivery.json["request"]["id"].startswith("req_")


@pytest.mark.parametrize(
    ("method", "code", "decline_code"),
    [
        ("pm_card_visa_chargeDeclinedInsufficientFunds", "card_declined", "insufficient_funds"),
        ("pm_card_visa_chargeDeclinedLostCard", "card_declined", "lost_card"),
        ("pm_card_chargeDeclinedExpiredCard", "expired_card", None),
    ],
)
def test_a_test_card_is_declined_as_stripe_declines_it(
    simulator: Simulator, inbox: Inbox, method: str, code: str, decline_code: str | None
) -> None:
    member = simulator.member(method)

    with pytest.raises(stripe.CardError) as declined:
        simulator.stripe.v1.payment_intents.create(
            {"amount": 11_000, "currency": "aud", "customer": member.id, "confirm": True}
        )

    simulator.flush()
    assert declined.value.http_status == 402
    assert declined.value.error is not None
    assert (declined.value.error.code, declined.value.error.decline_code) == (code, decline_code)
    assert declined.value.error.payment_intent is not None
    assert declined.value.error.payment_intent["status"] == "requires_payment_method"
    assert inbox.stripe_types()[-2:] == ["charge.failed", "payment_intent.payment_failed"]
    assert inbox.stripe_object("charge.failed")["failure_code"] == code
    error = inbox.stripe_object("payment_intent.payment_failed")["last_payment_error"]
    assert (error["code"], error.get("decline_code")) == (code, decline_code)


def test_a_month_fails_with_insufficient_funds_and_is_paid_on_the_second_try(
    simulator: Simulator, inbox: Inbox
) -> None:
    member = simulator.member()
    simulator.do("PUT", f"/stripe/customers/{member.id}/outcomes", {"outcomes": ["insufficient_funds", "succeed"]})

    invoice = simulator.do("POST", "/stripe/periods", {"customer": member.id, "amount_minor": 11_000})
    assert invoice["status"] == "open"
    simulator.stripe.v1.invoices.pay(invoice["id"])

    simulator.flush()
    drafted = ["customer.created", "invoice.created", "payment_intent.created", "invoice.finalized"]
    assert inbox.stripe_types() == [*drafted, *FAILED, *PAID]
    assert inbox.stripe_object("invoice.payment_failed")["attempt_count"] == 1
    assert inbox.stripe_object("invoice.paid")["amount_paid"] == 11_000
    charges = simulator.stripe.v1.charges.list({"customer": member.id})
    assert [charge.status for charge in charges.data] == ["succeeded", "failed"]


def test_before_basil_the_invoice_names_its_payment_and_its_tax(start: Start, inbox: Inbox) -> None:
    simulator = start(stripe_api_version=BEFORE_BASIL)
    member = simulator.member()
    simulator.do("POST", "/stripe/periods", {"customer": member.id, "amount_minor": 11_000})
    simulator.flush()

    invoice = inbox.stripe_object("invoice.paid")
    intent = inbox.stripe_object("payment_intent.succeeded")
    charge = inbox.stripe_object("charge.succeeded")
    assert inbox.at("stripe")[-1].json["api_version"] == BEFORE_BASIL
    assert (invoice["payment_intent"], invoice["charge"], invoice["paid"]) == (intent["id"], charge["id"], True)
    assert (invoice["tax"], invoice["total_excluding_tax"]) == (1_000, 10_000)
    assert invoice["subscription"].startswith("sub_")
    assert (intent["invoice"], charge["invoice"]) == (invoice["id"], invoice["id"])
    assert not {"parent", "total_taxes", "amount_overpaid"} & invoice.keys()
    assert invoice["lines"]["data"][0]["price"]["unit_amount"] == 11_000


def test_from_basil_only_the_invoice_payment_joins_invoice_and_payment(simulator: Simulator, inbox: Inbox) -> None:
    member = simulator.member()
    simulator.do("POST", "/stripe/periods", {"customer": member.id, "amount_minor": 11_000})
    simulator.flush()

    invoice = inbox.stripe_object("invoice.paid")
    intent = inbox.stripe_object("payment_intent.succeeded")
    join = inbox.stripe_object("invoice_payment.paid")
    assert not {"payment_intent", "charge", "paid", "tax", "subscription"} & invoice.keys()
    assert not {"invoice", "charges"} & intent.keys()
    assert "invoice" not in inbox.stripe_object("charge.succeeded")
    assert invoice["parent"]["subscription_details"]["subscription"].startswith("sub_")
    assert [tax["amount"] for tax in invoice["total_taxes"]] == [1_000]
    assert invoice["lines"]["data"][0]["pricing"]["type"] == "price_details"
    assert join["invoice"] == invoice["id"]
    assert join["payment"] == {"payment_intent": intent["id"], "type": "payment_intent"}


def test_an_invoice_is_drafted_finalised_and_paid_through_the_api(simulator: Simulator, inbox: Inbox) -> None:
    client = simulator.stripe.v1
    member = simulator.member()
    client.invoice_items.create({"customer": member.id, "amount": 5_500, "currency": "aud", "description": "Gloves"})

    draft = client.invoices.create({"customer": member.id, "pending_invoice_items_behavior": "include"})
    client.invoices.finalize_invoice(draft.id)
    paid = client.invoices.pay(draft.id, {"expand": ["payments"]})

    assert (paid.status, paid.amount_paid, paid.parent) == ("paid", 5_500, None)
    assert paid.payments is not None
    assert [entry.status for entry in paid.payments.data] == ["paid"]
    with pytest.raises(stripe.InvalidRequestError, match="already paid"):
        client.invoices.pay(draft.id)


def test_an_invoice_paid_out_of_band_collects_nothing_and_cancels_its_payment(
    simulator: Simulator, inbox: Inbox
) -> None:
    client = simulator.stripe.v1
    member = simulator.member("pm_card_visa_chargeDeclinedInsufficientFunds")
    invoice = simulator.do("POST", "/stripe/periods", {"customer": member.id, "amount_minor": 11_000})

    paid = client.invoices.pay(invoice["id"], {"paid_out_of_band": True})

    simulator.flush()
    assert (paid.status, paid.amount_paid, paid.amount_remaining) == ("paid", 0, 0)
    assert "payment_intent.canceled" in inbox.stripe_types()
    assert "invoice_payment.paid" not in inbox.stripe_types()


def test_a_bank_debit_is_processing_until_the_bank_has_answered(simulator: Simulator, inbox: Inbox) -> None:
    client = simulator.stripe.v1
    member = simulator.stripe.v1.customers.create({"name": "Isla Morgan"})
    account = client.payment_methods.create(
        {
            "type": "au_becs_debit",
            "au_becs_debit": {"bsb_number": "000-000", "account_number": "000123456"},
            "billing_details": {"name": "Isla Morgan", "email": "isla@example.com"},
        }
    )
    client.payment_methods.attach(account.id, {"customer": member.id})
    intent = client.payment_intents.create(
        {"amount": 11_000, "currency": "aud", "customer": member.id, "payment_method": account.id, "confirm": True}
    )
    assert intent.status == "processing"

    simulator.do("POST", f"/payments/{intent.id}/actions", {"action": "settle"})

    simulator.flush()
    assert client.payment_intents.retrieve(intent.id).status == "succeeded"
    assert inbox.stripe_types()[-4:] == [
        "charge.pending",
        "payment_intent.processing",
        "charge.succeeded",
        "payment_intent.succeeded",
    ]


def test_the_same_idempotency_key_gives_the_same_answer_and_one_payment(simulator: Simulator) -> None:
    client = simulator.stripe.v1
    asked: stripe.params.PaymentIntentCreateParams = {"amount": 11_000, "currency": "aud"}

    first = client.payment_intents.create(asked, {"idempotency_key": "october-mark"})
    again = client.payment_intents.create(asked, {"idempotency_key": "october-mark"})

    assert again.id == first.id
    assert again.last_response is not None
    assert again.last_response.headers["Idempotent-Replayed"] == "true"
    assert len(client.payment_intents.list().data) == 1
    with pytest.raises(stripe.IdempotencyError):
        client.payment_intents.create({"amount": 22_000, "currency": "aud"}, {"idempotency_key": "october-mark"})


def test_a_decline_is_kept_under_its_idempotency_key_too(simulator: Simulator) -> None:
    member = simulator.member("pm_card_chargeDeclined")
    asked: stripe.params.PaymentIntentCreateParams = {
        "amount": 11_000, "currency": "aud", "customer": member.id, "confirm": True,
    }  # fmt: skip
    for _ in range(2):
        with pytest.raises(stripe.CardError):
            simulator.stripe.v1.payment_intents.create(asked, {"idempotency_key": "once"})

    assert len(simulator.stripe.v1.charges.list().data) == 1


def test_lists_page_by_cursor_and_filter(simulator: Simulator) -> None:
    client = simulator.stripe.v1
    member = simulator.member()
    made = [client.payment_intents.create({"amount": 100 + n, "currency": "aud"}).id for n in range(5)]
    own = client.payment_intents.create({"amount": 900, "currency": "aud", "customer": member.id})

    page = client.payment_intents.list({"limit": 2})
    assert page.has_more
    assert [intent.id for intent in page.auto_paging_iter()] == [own.id, *reversed(made)]
    assert [intent.id for intent in client.payment_intents.list({"customer": member.id}).data] == [own.id]
    assert [event.type for event in client.events.list({"type": "customer.created"}).data] == ["customer.created"]
    with pytest.raises(stripe.InvalidRequestError, match="unknown parameter"):
        client.payment_intents.list({"colour": "red"})  # type: ignore[arg-type]


def test_an_event_can_be_fetched_as_it_was_sent(simulator: Simulator, inbox: Inbox) -> None:
    simulator.member()
    simulator.flush()
    (delivery,) = inbox.at("stripe")

    fetched = simulator.stripe.v1.events.retrieve(delivery.json["id"])

    assert fetched.data.object["id"] == delivery.json["data"]["object"]["id"]
    assert fetched.created == delivery.json["created"]


def test_the_balance_transaction_shows_the_fee_and_the_gst_in_it(simulator: Simulator) -> None:
    member = simulator.member()
    intent = simulator.stripe.v1.payment_intents.create(
        {"amount": 11_000, "currency": "aud", "customer": member.id, "confirm": True,
         "expand": ["latest_charge.balance_transaction"]}
    )  # fmt: skip
    assert isinstance(intent.latest_charge, stripe.Charge)
    entry = intent.latest_charge.balance_transaction
    assert isinstance(entry, stripe.BalanceTransaction)
    assert (entry.fee, entry.net, [part.amount for part in entry.fee_details]) == (217, 10_783, [197, 20])


def test_what_stripe_would_refuse_is_refused_in_its_words(simulator: Simulator) -> None:
    client = simulator.stripe.v1
    with pytest.raises(stripe.InvalidRequestError, match="No such customer: 'cus_nobody'") as missing:
        client.payment_intents.create({"amount": 11_000, "currency": "aud", "customer": "cus_nobody"})
    assert (missing.value.code, missing.value.param) == ("resource_missing", "customer")
    with pytest.raises(stripe.InvalidRequestError) as small:
        client.payment_intents.create({"amount": 1, "currency": "aud"})
    assert small.value.code == "amount_too_small"
    with pytest.raises(stripe.InvalidRequestError) as absent:
        client.payment_intents.create({"currency": "aud"})  # type: ignore[typeddict-item]
    assert absent.value.code == "parameter_missing"
    with pytest.raises(stripe.InvalidRequestError) as gone:
        client.charges.retrieve("ch_nothing")
    assert gone.value.http_status == 404
    with pytest.raises(stripe.AuthenticationError):
        simulator.stripe_client("sk_live_never").v1.customers.list()


def test_a_body_without_end_is_cut_off(simulator: Simulator) -> None:
    answer = httpx.post(
        f"{simulator.origins['stripe']}/v1/customers", content=b"name=" + b"x" * 1_100_000, trust_env=False
    )
    assert answer.status_code == 413
    assert "larger than" in answer.json()["error"]["message"]
