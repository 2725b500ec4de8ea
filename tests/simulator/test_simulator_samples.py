"""Sample events: what load generators and other tests build without a server."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
import stripe
from gocardless_pro import webhooks
from simulator import samples

NOW = datetime.now(UTC)


def payment(name: str = "october", **options: object) -> list[dict[str, object]]:
    return samples.stripe_payment(name, customer="cus_mark", amount_minor=11_000, at=NOW, **options)  # type: ignore[arg-type]


def test_the_same_name_gives_the_same_bytes_and_another_name_other_ids() -> None:
    assert payment() == payment()
    ids = {event["id"] for event in payment()}
    assert len(ids) == len(payment())
    assert not ids & {event["id"] for event in payment("november")}


@pytest.mark.parametrize("api_version", [samples.BASIL, samples.BEFORE_BASIL])
def test_a_sample_is_signed_as_stripe_signs(api_version: str) -> None:
    for event in payment(api_version=api_version):
        body = samples.stripe_body(event)
        headers = samples.sign_stripe(body, ["whsec_old", "whsec_new"], datetime.now(UTC))
        for secret in ("whsec_old", "whsec_new"):
            parsed = stripe.Webhook.construct_event(body, headers["Stripe-Signature"], secret)
            assert (parsed.id, parsed.api_version) == (event["id"], api_version)


def test_our_header_is_the_one_that_the_official_client_makes() -> None:
    body = samples.stripe_body(payment()[0])
    ours = samples.sign_stripe(body, "whsec_x", NOW)["Stripe-Signature"]
    theirs = stripe.WebhookSignature.generate_signature_header(body.decode(), "whsec_x", int(NOW.timestamp()))
    assert ours == theirs


def test_each_outcome_is_an_attempt() -> None:
    types = [event["type"] for event in payment(outcomes=("insufficient_funds", "lost_card", "succeed"))]
    assert types.count("charge.failed") == 2
    assert types.count("invoice.payment_failed") == 2
    assert types.count("charge.succeeded") == 1
    bare = [event["type"] for event in payment(with_invoice=False, outcomes=("processing",))]
    assert bare == ["payment_intent.created", "charge.pending", "payment_intent.processing"]


def test_what_basil_shows_is_known_to_the_official_client() -> None:
    """Every field of ours is one that Stripe's own description of the object has, apart from those since removed."""
    removed_since = {"destination", "dispute", "order"}
    described = {
        "charge": stripe.Charge,
        "customer": stripe.Customer,
        "invoice": stripe.Invoice,
        "invoice_payment": stripe.InvoicePayment,
        "payment_intent": stripe.PaymentIntent,
    }
    for event in payment(outcomes=("insufficient_funds", "succeed")):
        thing = event["data"]["object"]  # type: ignore[index]
        unknown = set(thing) - set(described[thing["object"]].__annotations__) - removed_since
        assert not unknown, (thing["object"], unknown)


def test_a_debit_is_signed_as_gocardless_signs() -> None:
    steps: list[samples.GoCardlessStep] = ["submit", "confirm", "pay_out", "fail", "settle"]
    events = samples.gocardless_payment("debit", customer="CU1", amount_minor=11_000, at=NOW, steps=steps)
    body = samples.gocardless_body(events, "WB1")

    parsed = webhooks.parse_with_meta(body, "secret", samples.sign_gocardless(body, "secret")["Webhook-Signature"])

    actions = ["created", "submitted", "confirmed", "paid", "paid_out", "failed", "late_failure_settled"]
    assert [event.action for event in parsed.events] == actions
    assert parsed.webhook_id == "WB1"
    times = [event.created_at for event in parsed.events]
    assert times == sorted(set(times))
