"""What Stripe's events tell, type by type and version by version."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from payments.collection.facts import ChargeTold, Failure, IntentTold, InvoicePaymentTold, InvoiceTold
from payments.collection.objects import CHARGE, CUSTOMER, INTENT, INVOICE, Key
from payments.deliveries.domain import Unreadable
from payments.providers.interpreting import NotUnderstood, Understood, interpret, interpret_fetched
from payments.providers.stripe.events import READERS
from payments.providers.stripe.versions import Shape, shape_of

from tests.payments.pure import payloads
from tests.payments.pure import payloads_money as money
from tests.payments.pure.given import read, stripe
from tests.payments.pure.payloads import ANCIENT, AT, BASIL, CLASSIC, Json

INSUFFICIENT = Failure("card_declined", "insufficient_funds", "Your card has insufficient funds.")


def _key(kind: str, id_: str, account: str = "self") -> Key:
    return Key("stripe", account, kind, id_)


def _at(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, tz=UTC)


def _interpreted(type_: str, shown: Json | None, **more: Any) -> object:
    return interpret(read(payloads.stripe_event(type_, shown, **({"id_": "evt_1"} | more))))


@pytest.mark.parametrize(
    ("version", "shape"),
    [
        ("2024-06-20", Shape.CLASSIC),
        ("2025-03-30", Shape.CLASSIC),
        ("2025-03-31.basil", Shape.BASIL),
        ("2025-03-31.basil; tax_beta=v2", Shape.BASIL),
        ("2027-01-01.whatever", Shape.BASIL),
        ("latest", Shape.UNKNOWN),
        ("", Shape.UNKNOWN),
        (None, Shape.UNKNOWN),
    ],
)
def test_the_version_of_an_event_says_which_shape_it_has(version: str | None, shape: Shape) -> None:
    assert shape_of(version) is shape


@pytest.mark.parametrize(("version", "invoice"), [(CLASSIC, _key(INVOICE, "in_1")), (BASIL, None), (None, None)])
def test_a_successful_charge(version: str | None, invoice: Key | None) -> None:
    shown = payloads.charge(version=version or BASIL, invoice="in_1")
    (fact,) = stripe("charge.succeeded", shown, version=version).facts
    assert isinstance(fact, ChargeTold)
    assert fact.charge == _key(CHARGE, "ch_1")
    assert (fact.outcome, fact.amount_minor, fact.captured_minor, fact.currency) == ("succeeded", 11_000, 11_000, "AUD")
    assert (fact.created_at, fact.intent, fact.invoice) == (_at(AT), _key(INTENT, "pi_1"), invoice)
    assert (fact.customer, fact.method, fact.failure) == (_key(CUSTOMER, payloads.CUSTOMER), "card", None)


def test_a_failed_charge_says_why() -> None:
    (fact,) = stripe("charge.failed", payloads.charge(failed=True)).facts
    assert isinstance(fact, ChargeTold)
    assert (fact.outcome, fact.captured_minor, fact.failure) == ("failed", 0, INSUFFICIENT)


@pytest.mark.parametrize(
    ("changed", "captured"),
    [
        ({"captured": False, "amount_captured": 0}, 0),
        ({"captured": False}, 0),
        ({"amount_captured": 4_000}, 4_000),
        ({"amount_captured": None}, 11_000),
    ],
)
def test_only_what_was_captured_moved(changed: Json, captured: int) -> None:
    (fact,) = stripe("charge.succeeded", payloads.charge() | changed).facts
    assert isinstance(fact, ChargeTold)
    assert fact.captured_minor == captured


def test_ids_may_be_expanded_and_null() -> None:
    shown = payloads.charge(customer={"id": "cus_9", "object": "customer"}, payment_intent={"id": "pi_9"})
    (fact,) = stripe("charge.succeeded", shown).facts
    assert isinstance(fact, ChargeTold)
    assert (fact.customer, fact.intent) == (_key(CUSTOMER, "cus_9"), _key(INTENT, "pi_9"))
    (bare,) = stripe("charge.succeeded", payloads.charge(customer=None, payment_intent=None, outcome=None)).facts
    assert isinstance(bare, ChargeTold)
    assert (bare.customer, bare.intent) == (None, None)


def test_objects_of_a_connected_account_are_its_own() -> None:
    (fact,) = stripe("charge.succeeded", payloads.charge(), account="acct_gym").facts
    assert isinstance(fact, ChargeTold)
    assert fact.charge == _key(CHARGE, "ch_1", "acct_gym")
    assert fact.customer == _key(CUSTOMER, payloads.CUSTOMER, "acct_gym")


@pytest.mark.parametrize("version", [CLASSIC, BASIL])
@pytest.mark.parametrize(
    ("type_", "status", "outcome", "failure"),
    [
        ("payment_intent.processing", "processing", "processing", None),
        ("payment_intent.succeeded", "succeeded", "succeeded", None),
        ("payment_intent.payment_failed", "requires_payment_method", "failed", INSUFFICIENT),
    ],
)
def test_a_payment_intent(version: str, type_: str, status: str, outcome: str, failure: Failure | None) -> None:
    shown = payloads.intent(status=status, version=version, invoice="in_1")
    (fact,) = stripe(type_, shown, version=version).facts
    assert isinstance(fact, IntentTold)
    assert (fact.intent, fact.outcome, fact.failure) == (_key(INTENT, "pi_1"), outcome, failure)
    assert (fact.charge, fact.amount_minor) == (_key(CHARGE, "ch_1"), 11_000)
    assert fact.invoice == (_key(INVOICE, "in_1") if version == CLASSIC else None)


def test_a_payment_intent_of_an_old_version_carries_its_charges() -> None:
    """Before 2022-11-15; they are facts like any other, of the same identity."""
    shown = payloads.intent(version=ANCIENT, invoice="in_1")
    del shown["latest_charge"]
    attempts = [payloads.charge("ch_1", version=ANCIENT), payloads.charge("ch_0", version=ANCIENT, failed=True)]
    shown["charges"] = {"object": "list", "data": attempts, "has_more": False}
    intent, first, second = stripe("payment_intent.succeeded", shown, version=ANCIENT).facts
    assert isinstance(intent, IntentTold)
    assert isinstance(first, ChargeTold)
    assert isinstance(second, ChargeTold)
    assert (intent.charge, first.outcome, second.outcome) == (_key(CHARGE, "ch_1"), "succeeded", "failed")


def test_an_expanded_latest_charge_is_a_charge() -> None:
    intent, charge = stripe("payment_intent.succeeded", payloads.intent(latest_charge=payloads.charge())).facts
    assert isinstance(intent, IntentTold)
    assert isinstance(charge, ChargeTold)
    assert intent.charge == charge.charge


@pytest.mark.parametrize(
    ("version", "intents", "charges"),
    [
        (CLASSIC, (_key(INTENT, "pi_1"),), (_key(CHARGE, "ch_1"),)),
        (BASIL, (), ()),
    ],
)
@pytest.mark.parametrize("type_", ["invoice.finalized", "invoice.paid", "invoice.payment_failed"])
def test_an_invoice(version: str, intents: tuple[Key, ...], charges: tuple[Key, ...], type_: str) -> None:
    paid = type_ == "invoice.paid"
    shown = payloads.invoice(status="paid" if paid else "open", version=version)
    (fact,) = stripe(type_, shown, version=version).facts
    assert isinstance(fact, InvoiceTold)
    assert (fact.invoice, fact.number) == (_key(INVOICE, "in_1"), "MARK-0001")
    assert fact.outcome == type_.removeprefix("invoice.")
    assert (fact.total_minor, fact.due_minor, fact.stated_tax_minor, fact.currency) == (11_000, 11_000, 1_000, "AUD")
    assert (fact.issued_at, fact.paid_at) == (_at(AT - 10), _at(AT) if paid else None)
    assert (fact.intents, fact.charges) == (intents, charges if paid else ())
    assert fact.out_of_band_minor == 0


@pytest.mark.parametrize("version", [CLASSIC, BASIL])
@pytest.mark.parametrize(("tax", "stated"), [(None, None), (0, 0), (999, 999)])
def test_tax_is_what_stripe_states(version: str, tax: int | None, stated: int | None) -> None:
    (fact,) = stripe(
        "invoice.finalized", payloads.invoice(status="open", version=version, tax=tax), version=version
    ).facts
    assert isinstance(fact, InvoiceTold)
    assert fact.stated_tax_minor == stated


def test_the_taxes_of_several_rates_add_up() -> None:
    taxes = [{"amount": 600, "type": "tax_rate_details"}, {"amount": 400, "type": "tax_rate_details"}]
    (fact,) = stripe("invoice.finalized", payloads.invoice(status="open", total_taxes=taxes)).facts
    assert isinstance(fact, InvoiceTold)
    assert fact.stated_tax_minor == 1_000


@pytest.mark.parametrize("version", [CLASSIC, BASIL])
def test_an_invoice_that_is_paid_while_stripe_received_nothing_was_paid_out_of_band(version: str) -> None:
    (fact,) = stripe("invoice.paid", payloads.invoice(version=version, amount_paid=0), version=version).facts
    assert isinstance(fact, InvoiceTold)
    assert fact.out_of_band_minor == 11_000
    flagged = payloads.invoice(version=CLASSIC, amount_paid=4_000, paid_out_of_band=True)
    (partly,) = stripe("invoice.paid", flagged, version=CLASSIC).facts
    assert isinstance(partly, InvoiceTold)
    assert partly.out_of_band_minor == 7_000


def test_an_event_without_a_version_is_read_by_the_fields_it_has() -> None:
    (classic,) = stripe("invoice.paid", payloads.invoice(version=CLASSIC), version=None).facts
    expanded = {"data": [{"payment": {"payment_intent": "pi_1", "type": "payment_intent"}}], "object": "list"}
    (basil,) = stripe("invoice.paid", payloads.invoice(payments=expanded), version=None).facts
    assert isinstance(classic, InvoiceTold)
    assert isinstance(basil, InvoiceTold)
    assert classic.intents == basil.intents == (_key(INTENT, "pi_1"),)
    assert classic.stated_tax_minor == basil.stated_tax_minor == 1_000


def test_an_invoice_payment_joins() -> None:
    (fact,) = stripe("invoice_payment.paid", payloads.invoice_payment()).facts
    assert isinstance(fact, InvoicePaymentTold)
    assert (fact.invoice, fact.intent, fact.charge) == (_key(INVOICE, "in_1"), _key(INTENT, "pi_1"), None)
    by_charge = payloads.invoice_payment(payment={"charge": "ch_1", "type": "charge"})
    (other,) = stripe("invoice_payment.paid", by_charge).facts
    assert isinstance(other, InvoicePaymentTold)
    assert (other.intent, other.charge) == (None, _key(CHARGE, "ch_1"))


@pytest.mark.parametrize(
    "type_",
    ["invoice.sent", "invoice.upcoming", "payment_intent.created", "radar.nothing", "v2.core.x"],
)
def test_any_other_type_is_not_understood(type_: str) -> None:
    assert _interpreted(type_, payloads.charge()) == NotUnderstood(type_)
    assert _interpreted(type_, None, at="never") == NotUnderstood(type_)


AMOUNTS = [
    ("11000", "bad_amount"),
    (11_000.0, "bad_amount"),
    (110.5, "bad_amount"),
    (-1, "bad_amount"),
    (2**53, "bad_amount"),
    (2**70, "bad_amount"),
    (True, "bad_amount"),
    (None, "bad_amount"),
    ([], "bad_amount"),
]
SHOWN: dict[str, tuple[str, Callable[..., Json]]] = {
    "charge.succeeded": ("amount", payloads.charge),
    "charge.failed": ("amount", payloads.charge),
    "payment_intent.succeeded": ("amount", payloads.intent),
    "payment_intent.processing": ("amount", payloads.intent),
    "payment_intent.payment_failed": ("amount", payloads.intent),
    "invoice.finalized": ("total", payloads.invoice),
    **dict.fromkeys(("invoice.paid", "invoice.payment_succeeded"), ("amount_due", payloads.invoice)),
    "invoice.payment_failed": ("total", payloads.invoice),
    "invoice_payment.paid": ("amount_paid", payloads.invoice_payment),
    **dict.fromkeys(
        ("charge.pending", "charge.updated", "charge.refunded", "charge.captured", "charge.expired"),
        ("amount", payloads.charge),
    ),
    **dict.fromkeys(("payment_intent.canceled", "payment_intent.requires_action"), ("amount", payloads.intent)),
    **dict.fromkeys(
        (
            "invoice.created",
            "invoice.finalization_failed",
            "invoice.updated",
            "invoice.overdue",
            "invoice.overpaid",
            "invoice.payment_action_required",
            "invoice.voided",
            "invoice.marked_uncollectible",
        ),
        ("total", payloads.invoice),
    ),
    **dict.fromkeys(("credit_note.created", "credit_note.updated", "credit_note.voided"), ("total", money.credit_note)),
    **dict.fromkeys(
        ("refund.created", "refund.updated", "refund.failed", "charge.refund.updated"), ("amount", money.refund)
    ),
    **dict.fromkeys((type_ for type_ in READERS if ".dispute." in type_), ("amount", money.dispute)),
}
PAYOUTS = [type_ for type_ in READERS if type_.startswith("payout.")]
NOTICES = {
    type_: kind
    for kind, prefix in {
        "customer": "customer.",
        "subscription": "customer.subscription.",
        "payment_method": "payment_method.",
        "mandate": "mandate.",
        "setup_intent": "setup_intent.",
        "early_fraud_warning": "radar.early_fraud_warning.",
    }.items()
    for type_ in READERS
    if type_.startswith(prefix)
}


def test_every_type_has_a_payload_here() -> None:
    assert {*SHOWN, *PAYOUTS, *NOTICES} == set(READERS)


@pytest.mark.parametrize("type_", sorted(SHOWN))
@pytest.mark.parametrize(("amount", "reason"), AMOUNTS)
def test_an_amount_that_is_none_is_refused_and_never_posted(type_: str, amount: object, reason: str) -> None:
    name, build = SHOWN[type_]
    shown = build(**{name: amount})
    if name == "amount_paid" and amount is None:
        shown["amount_requested"] = None
    found = _interpreted(type_, shown)
    assert isinstance(found, Unreadable)
    assert (found.reason, found.event_id) == (reason, "evt_1")


@pytest.mark.parametrize("type_", sorted(SHOWN))
@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"currency": "dollars"}, "bad_currency"),
        ({"currency": None}, "bad_currency"),
        ({"currency": "a1d"}, "bad_currency"),
        ({"currency": "zzz"}, "bad_currency"),
        ({"id": None}, "wrong_shape"),
        ({"id": 7}, "wrong_shape"),
        ({"id": "ch\u0000"}, "wrong_shape"),
    ],
)
def test_an_object_that_is_none_is_refused(type_: str, changed: Json, reason: str) -> None:
    found = _interpreted(type_, SHOWN[type_][1]() | changed)
    assert isinstance(found, Unreadable)
    assert found.reason == reason


@pytest.mark.parametrize("type_", sorted(SHOWN))
def test_an_event_without_an_object_or_a_time_is_refused(type_: str) -> None:
    assert isinstance(_interpreted(type_, None), Unreadable)
    assert isinstance(_interpreted(type_, {}), Unreadable)
    for at in (None, -1, 0, 10**18, "yesterday", 4_200_000_000):
        found = _interpreted(type_, SHOWN[type_][1](), at=at)
        assert isinstance(found, Unreadable)
        assert found.reason == "bad_time"


def test_what_is_live_tells_nothing_to_a_set_up_that_is_not_and_the_other_way_round() -> None:
    for livemode in (True, False):
        event = read(payloads.stripe_event("charge.succeeded", payloads.charge(), livemode=livemode))
        assert isinstance(interpret(event, livemode=livemode), Understood)
        refused = interpret(event, livemode=not livemode)
        assert isinstance(refused, Unreadable)
        assert refused.reason == "wrong_mode"


def test_capital_currencies_are_the_same_currency() -> None:
    (fact,) = stripe("charge.succeeded", payloads.charge(currency="NZD")).facts
    assert isinstance(fact, ChargeTold)
    assert fact.currency == "NZD"


def test_inner_contradictions_are_refused() -> None:
    for type_, shown in (
        ("charge.succeeded", payloads.charge(amount_captured=11_001)),
        ("invoice.paid", payloads.invoice(tax=11_001)),
        ("invoice.paid", payloads.invoice(total_taxes=["10 %"])),
        ("invoice_payment.paid", payloads.invoice_payment(invoice=None)),
    ):
        assert isinstance(_interpreted(type_, shown), Unreadable)


def test_free_text_is_made_fit_for_storing() -> None:
    shown = payloads.charge(failed=True, failure_message="No\u0000funds\n" + "!" * 2_000)
    (fact,) = stripe("charge.failed", shown).facts
    assert isinstance(fact, ChargeTold)
    assert fact.failure
    assert fact.failure.message
    assert fact.failure.message.startswith("No funds !!!")
    assert len(fact.failure.message) <= 500


def test_a_fetched_charge_tells_its_status() -> None:
    key, at = _key(CHARGE, "ch_1"), _at(AT)
    found = interpret_fetched(
        key, orjson.dumps(payloads.charge(version=CLASSIC, invoice="in_1")), at=at, reference="f1"
    )
    assert isinstance(found, Understood)
    (fact,) = found.facts
    assert isinstance(fact, ChargeTold)
    assert (fact.told.type, fact.outcome, fact.invoice) == ("fetched", "succeeded", _key(INVOICE, "in_1"))
    others: tuple[object, ...] = (payloads.charge("ch_2"), payloads.charge(status="lost"), {}, [])
    for wrong in others:
        assert isinstance(interpret_fetched(key, orjson.dumps(wrong), at=at, reference="f1"), Unreadable)
    assert isinstance(interpret_fetched(key, b"<html>", at=at, reference="f1"), Unreadable)
