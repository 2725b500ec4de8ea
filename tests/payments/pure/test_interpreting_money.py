"""What events and answers tell of money that goes back or to the bank, type by type and version by version."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import orjson
import pytest
from payments.collection.codec import from_json, to_json
from payments.collection.facts import (
    CreditNoteTold,
    DisputeTold,
    EntryTold,
    Fact,
    InvoiceTold,
    Noticed,
    PayoutItem,
    PayoutListed,
    PayoutTold,
    Pointed,
    RefundTold,
)
from payments.collection.objects import CHARGE, CREDIT_NOTE, DEBIT, DISPUTE, ENTRY, INVOICE, PAYOUT, REFUND, Key
from payments.deliveries.domain import ProviderEvent, Unreadable
from payments.providers.gocardless.events import MANDATES, TYPES
from payments.providers.interpreting import NotUnderstood, Understood, interpret, interpret_fetched
from payments.providers.reading import read_stripe

from tests.payments.pure import payloads
from tests.payments.pure import payloads_money as money
from tests.payments.pure.given import answered, debit_event, gocardless, read, stripe
from tests.payments.pure.payloads import AT, BASIL, CLASSIC, CUSTOMER, Json
from tests.payments.pure.test_interpreting_stripe import NOTICES, PAYOUTS


def _key(kind: str, id_: str) -> Key:
    return Key("stripe", "self", kind, id_)


def _gc(kind: str, id_: str) -> Key:
    return Key("gocardless", "self", kind, id_)


def _at(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, tz=UTC)


def _only(facts: tuple[Fact, ...]) -> Fact:
    (fact,) = facts
    assert from_json(orjson.loads(orjson.dumps(to_json(fact)))) == fact
    return fact


@pytest.mark.parametrize("version", [CLASSIC, BASIL, None, "2099-01-01.of_no_time_yet"])
@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        ("succeeded", "paid"),
        ("pending", "pending"),
        ("requires_action", "pending"),
        ("failed", "failed"),
        ("canceled", "canceled"),
        (None, "paid"),
        ("made_up", "pending"),
    ],
)
def test_a_refund_in_every_version(version: str | None, status: str | None, outcome: str) -> None:
    fact = _only(stripe("refund.updated", money.refund(status=status), version=version).facts)
    assert isinstance(fact, RefundTold)
    assert (fact.refund, fact.outcome) == (_key(REFUND, "re_1"), outcome)
    assert (fact.amount_minor, fact.currency, fact.created_at) == (11_000, "AUD", _at(AT + money.DAY))
    assert (fact.payment, fact.intent) == (_key(CHARGE, "ch_1"), _key("payment_intent", "pi_1"))


def test_a_refund_that_failed_says_so_by_its_type_and_why() -> None:
    lagging = money.refund(status="succeeded", failure_reason="expired_or_canceled_card")
    fact = _only(stripe("refund.failed", lagging).facts)
    assert isinstance(fact, RefundTold)
    assert (fact.outcome, fact.failure) == ("failed", "expired_or_canceled_card")


def test_objects_may_be_given_whole_where_ids_are_meant() -> None:
    shown = money.refund(charge=None, intent=None) | {"charge": payloads.charge(), "payment_intent": {"id": "pi_9"}}
    fact = _only(stripe("refund.created", shown).facts)
    assert isinstance(fact, RefundTold)
    assert (fact.payment, fact.intent) == (_key(CHARGE, "ch_1"), _key("payment_intent", "pi_9"))


@pytest.mark.parametrize("version", [CLASSIC, BASIL])
@pytest.mark.parametrize(
    ("status", "meaning"),
    [
        ("warning_needs_response", "inquiry"),
        ("warning_under_review", "inquiry"),
        ("warning_closed", "inquiry_closed"),
        ("warning_made_up", "inquiry"),
        ("needs_response", "open"),
        ("under_review", "open"),
        ("made_up", "open"),
        ("won", "won"),
        ("lost", "lost"),
    ],
)
def test_a_dispute_without_balance_transactions(version: str, status: str, meaning: str) -> None:
    fact = _only(stripe("charge.dispute.updated", money.dispute(status=status), version=version).facts)
    assert isinstance(fact, DisputeTold)
    assert (fact.dispute, fact.status, fact.charge) == (_key(DISPUTE, "du_1"), meaning, _key(CHARGE, "ch_1"))
    assert (fact.refundable, fact.reason) == (status.startswith("warning_"), "fraudulent")
    assert fact.evidence_due_at == _at(AT + 15 * money.DAY)
    assert fact.entries == ()


def test_a_dispute_tells_what_it_moved() -> None:
    shown = money.dispute(status="won", entries=(money.withdrawn(), money.reinstated()))
    told, taken, back = stripe("charge.dispute.funds_reinstated", shown).facts
    assert isinstance(told, DisputeTold)
    assert told.entries == ("txn_d1", "txn_d2")
    for fact, amount, fee, gst in ((taken, -11_000, 2_500, 227), (back, 11_000, -2_500, -227)):
        assert isinstance(fact, EntryTold)
        assert (fact.amount_minor, fact.fee_minor, fact.gst_minor, fact.currency) == (amount, fee, gst, "AUD")
        assert fact.source == _key(DISPUTE, "du_1")


def test_a_dispute_may_name_what_it_moved_by_ids() -> None:
    shown = money.dispute(entries=("txn_d1",), balance_transaction="txn_d1")
    fact = _only(stripe("charge.dispute.created", shown).facts)
    assert isinstance(fact, DisputeTold)
    assert fact.entries == ("txn_d1",)


@pytest.mark.parametrize("version", [CLASSIC, BASIL, None])
def test_a_credit_note_in_every_version(version: str | None) -> None:
    shown = money.credit_note(version=version or BASIL)
    fact = _only(stripe("credit_note.created", shown, version=version).facts)
    assert isinstance(fact, CreditNoteTold)
    assert (fact.credit_note, fact.invoice) == (_key(CREDIT_NOTE, "cn_1"), _key(INVOICE, "in_1"))
    assert (fact.total_minor, fact.gst_minor, fact.refunded_minor, fact.voided) == (5_500, 500, 0, False)


@pytest.mark.parametrize(
    ("version", "refunded", "meant"), [(CLASSIC, 0, 5_500), (BASIL, 2_000, 2_000), (BASIL, 5_500, 5_500)]
)
def test_what_a_refund_pays_of_a_credit_note_is_no_credit(version: str, refunded: int, meant: int) -> None:
    shown = money.credit_note(version=version, refund_id="re_1", refunded=refunded)
    fact = _only(stripe("credit_note.created", shown, version=version).facts)
    assert isinstance(fact, CreditNoteTold)
    assert fact.refunded_minor == meant


def test_a_credit_note_is_voided() -> None:
    fact = _only(stripe("credit_note.voided", money.credit_note(status="void")).facts)
    assert isinstance(fact, CreditNoteTold)
    assert (fact.voided, fact.voided_at) == (True, _at(AT + 2 * money.DAY))


@pytest.mark.parametrize(
    ("type_", "status", "outcome"),
    [
        ("invoice.updated", "open", "finalized"),
        ("invoice.updated", "paid", "paid"),
        ("invoice.overdue", "open", "finalized"),
        ("invoice.overpaid", "paid", "paid"),
        ("invoice.payment_action_required", "open", "finalized"),
        ("invoice.updated", "void", "voided"),
        ("invoice.voided", "void", "voided"),
        ("invoice.marked_uncollectible", "uncollectible", "uncollectible"),
    ],
)
@pytest.mark.parametrize("version", [CLASSIC, BASIL])
def test_an_invoice_tells_how_it_stands(type_: str, status: str, outcome: str, version: str) -> None:
    fact = _only(stripe(type_, payloads.invoice(status=status, version=version), version=version).facts)
    assert isinstance(fact, InvoiceTold)
    assert fact.outcome == outcome


@pytest.mark.parametrize("type_", ["invoice.created", "invoice.updated", "invoice.finalization_failed"])
def test_a_draft_is_noticed_and_proves_no_debt(type_: str) -> None:
    fact = _only(stripe(type_, payloads.invoice(status="draft", number=None)).facts)
    assert isinstance(fact, Noticed)
    assert (fact.about, fact.status) == ("invoice/in_1", "draft")


@pytest.mark.parametrize("type_", sorted(PAYOUTS))
@pytest.mark.parametrize("amount", [10_783, -500, 0])
def test_a_payout(type_: str, amount: int) -> None:
    fact = _only(stripe(type_, money.payout(amount=amount)).facts)
    assert isinstance(fact, PayoutTold)
    assert (fact.payout, fact.amount_minor, fact.currency) == (_key(PAYOUT, "po_1"), amount, "AUD")
    assert (fact.created_at, fact.automatic) == (_at(AT + 2 * money.DAY), True)
    said = type_.partition(".")[2]
    assert fact.outcome == {"updated": "created", "reconciliation_completed": "reconciled"}.get(said, said)


@pytest.mark.parametrize("type_", sorted(PAYOUTS))
@pytest.mark.parametrize("amount", ["10783", 1.5, 2**53, -(2**53), None, True])
def test_a_payout_of_no_amount_is_refused(type_: str, amount: object) -> None:
    found = interpret(read(payloads.stripe_event(type_, money.payout() | {"amount": amount})))
    assert isinstance(found, Unreadable)
    assert found.reason == "bad_amount"


@pytest.mark.parametrize(("type_", "kind"), sorted(NOTICES.items()))
@pytest.mark.parametrize("version", [CLASSIC, BASIL, None])
def test_what_moves_no_money_is_noticed(type_: str, kind: str, version: str | None) -> None:
    fact = _only(stripe(type_, money.other(kind, charge="ch_1"), version=version).facts)
    assert isinstance(fact, Noticed)
    id_ = "obj_1" if kind == "customer" else CUSTOMER
    assert (fact.about, fact.customer) == (f"{kind}/obj_1", _key("customer", id_))
    assert fact.charge == (_key(CHARGE, "ch_1") if kind == "early_fraud_warning" else None)


def test_an_object_without_an_id_is_noticed_where_nothing_needs_it() -> None:
    fact = _only(stripe("mandate.updated", {"object": "mandate", "status": "inactive"}, id_="evt_1").facts)
    assert isinstance(fact, Noticed)
    assert (fact.about, fact.status) == ("mandate/", "inactive")


def _thin(type_: str, related: Json | None) -> ProviderEvent:
    event = {
        "id": "evt_thin",
        "object": "v2.core.event",
        "type": type_,
        "created": "2026-10-01T00:00:00.000Z",
        "livemode": False,
        "related_object": related,
    }
    found = read_stripe(orjson.dumps(event))
    assert isinstance(found, ProviderEvent)
    return found


@pytest.mark.parametrize("kind", ["charge", "payment_intent", "invoice", "refund", "dispute", "payout", "credit_note"])
def test_a_thin_event_points_at_what_has_to_be_read(kind: str) -> None:
    told = interpret(_thin(f"v1.{kind}.updated", {"id": "x_1", "type": kind, "url": f"/v1/{kind}s/x_1"}))
    assert isinstance(told, Understood)
    fact = _only(told.facts)
    assert isinstance(fact, Pointed)
    assert fact.to == _key(kind, "x_1")


def test_a_thin_event_about_anything_else_is_not_understood() -> None:
    for related in (None, {}, {"id": "m_1", "type": "billing.meter", "url": "/v1/billing/meters/m_1"}):
        assert interpret(_thin("v1.billing.meter.x", related)) == NotUnderstood("v1.billing.meter.x")


@pytest.mark.parametrize("type_", sorted(TYPES))
def test_every_gocardless_type_is_understood(type_: str) -> None:
    resource, action = type_.split(".")
    links = {"payment": "PM1", "mandate": "MD1", "refund": "RF1", "payout": "PO1", "organisation": "OR1"}
    for details in ({"origin": "bank", "cause": "other", "bank_account_id": "BA1", "property": "x"}, None):
        (fact,) = gocardless(money.gocardless_event(resource, action, links, details=details)).facts
        _only((fact,))
        assert fact.told.type == type_


@pytest.mark.parametrize("type_", sorted(TYPES))
def test_a_gocardless_event_that_links_nothing_is_refused(type_: str) -> None:
    resource, action = type_.split(".")
    for links in (None, {}, {"subscription": "SB1"}):
        found = interpret(debit_event(money.gocardless_event(resource, action, links, id_="EV1")))
        assert isinstance(found, Unreadable)
        assert found.reason == "wrong_shape"


def test_mandates_and_refunds_of_gocardless() -> None:
    mandate = _only(gocardless(money.gocardless_event("mandates", "cancelled", {"mandate": "MD1"})).facts)
    assert isinstance(mandate, Noticed)
    assert (mandate.about, mandate.status, mandate.cause) == ("mandate/MD1", "cancelled", "mandates_cancelled")
    assert len(MANDATES) == 15
    settled = money.gocardless_event("refunds", "refund_settled", {"refund": "RF1", "payout": "PO1"})
    fact = _only(gocardless(settled).facts)
    assert isinstance(fact, RefundTold)
    assert (fact.refund, fact.outcome, fact.amount_minor, fact.payout) == (_gc(REFUND, "RF1"), "settled", None, "PO1")


def test_a_gocardless_refund_as_fetched() -> None:
    fact = _only(answered(_gc(REFUND, "RF000MARK"), money.fetched_refund(status="paid")).facts)
    assert isinstance(fact, RefundTold)
    assert (fact.amount_minor, fact.currency, fact.outcome) == (11_000, "AUD", "paid")
    assert fact.payment == _gc(DEBIT, "PM000MARK")


def test_a_gocardless_payout_as_fetched_is_read_to_a_tenth_of_a_cent() -> None:
    items = [money.item("payment_paid_out", "11000.0"), money.item("gocardless_fee", "-150.5", tax="13.7")]
    told, listed = answered(_gc(PAYOUT, "PO000OCTOBER"), money.fetched_payout(amount=10_850, items=items)).facts
    assert isinstance(told, PayoutTold)
    assert (told.amount_minor, told.arrives_on) == (10_850, date(2026, 10, 9))
    assert isinstance(listed, PayoutListed)
    assert listed.items == (
        PayoutItem("gocardless_fee", -1_505, -137, "PM000MARK"),
        PayoutItem("payment_paid_out", 110_000, 0, "PM000MARK"),
    )


@pytest.mark.parametrize("amount", ["1.55", "1e3", "", " 1", "NaN", "1,0", 1.5, 15, None, "9" * 17])
def test_a_line_of_no_amount_is_refused(amount: Any) -> None:
    items = [money.item("payment_paid_out", "1.0") | {"amount": amount}]
    body = orjson.dumps(money.fetched_payout(amount=1, items=items))
    found = interpret_fetched(_gc(PAYOUT, "PO000OCTOBER"), body, at=_at(AT), reference="f1")
    assert isinstance(found, Unreadable)
    assert found.reason == "bad_amount"


def test_a_charge_as_fetched_brings_its_fee_and_its_refunds() -> None:
    shown = payloads.charge(
        balance_transaction=money.entry(fee=217, gst=20),
        amount_refunded=3_000,
        refunds={"object": "list", "data": [money.refund(amount=3_000)]},
    )
    charge, entry, refund = answered(_key(CHARGE, "ch_1"), shown).facts
    assert isinstance(entry, EntryTold)
    assert (entry.source, entry.fee_minor, entry.gst_minor) == (_key(CHARGE, "ch_1"), 217, 20)
    assert isinstance(refund, RefundTold)
    assert refund.amount_minor == 3_000
    assert charge.told == entry.told == refund.told


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        ({"type_": "charge", "source": "ch_1"}, CHARGE),
        ({"type_": "payment", "source": "py_1"}, CHARGE),
        ({"type_": "refund", "source": "re_1"}, REFUND),
        ({"type_": "refund_failure", "source": "re_1"}, REFUND),
        ({"type_": "adjustment", "category": "dispute", "source": "du_1"}, DISPUTE),
        ({"type_": "adjustment", "category": "other_adjustment", "source": "du_1"}, None),
        ({"type_": "adjustment", "source": {"id": "du_1", "object": "dispute"}}, DISPUTE),
        ({"type_": "stripe_fee", "source": None}, None),
        ({"type_": "payout", "source": "po_1"}, PAYOUT),
    ],
)
def test_a_balance_transaction_says_what_it_is_about_and_no_id_is_parsed(given: Json, kind: str | None) -> None:
    fact = _only(answered(_key(ENTRY, "txn_1"), money.entry(**given)).facts)
    assert isinstance(fact, EntryTold)
    assert (fact.source and fact.source.kind) == kind


def test_the_lines_of_a_stripe_payout_tell_each_its_own_object_and_leave_the_payout_out() -> None:
    entries = [
        money.entry("txn_1", fee=217, gst=20),
        money.entry("txn_2", amount=-1_000, type_="refund", source="re_1"),
        money.entry("txn_po_1", amount=-9_783, type_="payout", source="po_1"),
    ]
    answer = {"payout": money.payout(amount=9_783), "items": entries}
    told, charge, refund, listed = answered(_key(PAYOUT, "po_1"), answer).facts
    assert isinstance(told, PayoutTold)
    assert isinstance(charge, EntryTold)
    assert isinstance(refund, EntryTold)
    assert (charge.payout, refund.payout) == ("po_1", "po_1")
    assert isinstance(listed, PayoutListed)
    assert [(item.type, item.tenths, item.source) for item in listed.items] == [
        ("charge", 107_830, "ch_1"),
        ("refund", -10_000, "re_1"),
    ]


@pytest.mark.parametrize("kind", [CHARGE, REFUND, DISPUTE, CREDIT_NOTE, PAYOUT, INVOICE, ENTRY])
def test_another_object_than_was_asked_for_is_refused(kind: str) -> None:
    answers: tuple[object, ...] = ({}, {"id": "other"}, {"payout": {}, "items": []}, [])
    for answer in answers:
        found = interpret_fetched(_key(kind, "x_1"), orjson.dumps(answer), at=_at(AT), reference="f1")
        assert isinstance(found, Unreadable)
