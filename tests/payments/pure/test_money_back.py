"""Refunds, disputes and credit notes: what they post, and that the order in which they are told decides nothing."""

from __future__ import annotations

import random
from typing import Any

import pytest
from payments.collection.domain import Policy
from payments.collection.objects import CHARGE, REFUND, Key, customer_key

from tests.payments.pure import payloads
from tests.payments.pure import payloads_money as money
from tests.payments.pure.agreeing import posted, same_in_every_order
from tests.payments.pure.given import answered, debit, fetched, gocardless, stripe
from tests.payments.pure.model import MARK, Books, Input
from tests.payments.pure.payloads import AT, CLASSIC

RECEIVABLE, CREDIT = f"1100 member_receivable:{MARK.id}", f"2200 member_credit:{MARK.id}"
PAYABLE = f"2300 refunds_payable:{MARK.id}"
CLEARING, SUSPENSE, HELD = "1200 clearing:stripe", "2400 unidentified_receipts:stripe", "1500 dispute_held:stripe"
ALLOWANCES, GST, CLAIMED = "4190 refunds_allowances", "2100 gst_payable", "1400 gst_input_credits"


def _invoice(type_: str = "invoice.finalized", *, status: str = "open", at: int = AT, **more: Any) -> Input:
    return stripe(type_, payloads.invoice(status=status, version=CLASSIC, **more), version=CLASSIC, at=at)


def _charge(id_: str = "ch_1", *, invoice: str | None = "in_1", at: int = AT, **more: Any) -> Input:
    return stripe("charge.succeeded", payloads.charge(id_, version=CLASSIC, invoice=invoice, at=at, **more), at=at,
                  version=CLASSIC)  # fmt: skip


def _refund(id_: str = "re_1", type_: str = "refund.created", *, told_at: int | None = None, **more: Any) -> Input:
    at = more.get("at", AT + money.DAY)
    return stripe(type_, money.refund(id_, **more), at=told_at or at)


def test_a_refund_is_owed_and_then_paid() -> None:
    books = Books().apply(_invoice(), _charge(), _refund()).check()
    assert posted(books, "refund") == {ALLOWANCES: 10_000, GST: 1_000, PAYABLE: -11_000}
    assert posted(books, "refund_paid") == {PAYABLE: 11_000, CLEARING: -11_000}
    assert [(line.words, line.balance_minor) for line in books.lines()][-2:] == [
        ("Invoice MARK-0001", 11_000),
        ("Payment by card", 0),
    ]
    (payment,) = books.view().payments
    assert [(refund.state, refund.amount_minor) for refund in payment.refunds] == [("paid", 11_000)]


def test_a_refund_that_was_given_up_leaves_nothing() -> None:
    gone = _refund("re_1", "refund.updated", status="canceled", told_at=AT + 2 * money.DAY)
    books = same_in_every_order([_invoice(), _charge(), _refund(status="pending"), gone])
    assert (books.balance(PAYABLE), books.balance(GST), books.balance(ALLOWANCES)) == (0, -1_000, 0)


def test_a_pending_refund_is_owed_and_not_paid() -> None:
    books = Books().apply(_invoice(), _charge(), _refund(status="pending")).check()
    assert (books.balance(PAYABLE), books.balance(CLEARING)) == (-11_000, 11_000)


def test_a_refund_before_its_charge_waits_and_then_both_post() -> None:
    """Scenario 7: parked, the charge is asked for; and scenario 18, over two workers."""
    books = Books().apply(_refund()).check()
    assert books.journals == []
    assert [(told.outcome, told.what) for _, told in books.told] == [("parked", "a refund")]
    assert [(fetch.key.id, fetch.after_seconds) for fetch in books.view().fetches] == [("ch_1", 60)]

    books.apply(_charge(invoice=None)).check()
    assert books.view().refunds == ()
    assert (books.balance(PAYABLE), books.balance(CLEARING)) == (0, 0)
    chance = random.Random(18)
    for _ in range(500):
        raced = Books().race([_refund(), _charge(invoice=None)], chance).check()
        assert raced.net() == books.net()


def test_a_refund_tells_what_it_did_to_its_payment() -> None:
    books = Books().apply(_invoice(), _charge(), _refund(amount=3_000))
    (_, told) = books.told[-1]
    assert (told.outcome, told.what, told.amount, told.member) == ("applied", "a refund", (3_000, "AUD"), MARK)
    assert told.before is not None
    assert told.after is not None
    assert "refunds" not in told.before
    assert told.after["refunds"][0]["amount_minor"] == 3_000


def test_a_refunded_charge_only_says_that_refunds_are_to_be_read() -> None:
    shown = payloads.charge(version=CLASSIC, invoice="in_1", amount_refunded=3_000)
    books = Books().apply(_invoice(), _charge(), stripe("charge.refunded", shown, version=CLASSIC, at=AT + 99)).check()
    assert books.balance(CLEARING) == 11_000
    assert [fetch.key.id for fetch in books.view().fetches if "refunded" in fetch.why] == ["ch_1"]

    answer = shown | {"refunds": {"data": [money.refund(amount=3_000)]}}
    books.apply(answered(Key("stripe", "self", CHARGE, "ch_1"), answer)).check()
    assert books.balance(CLEARING) == 8_000
    assert [fetch for fetch in books.view().fetches if "refunded" in fetch.why] == []


def test_an_overpayment_is_refunded_from_the_members_credit() -> None:
    second = _charge("ch_2", intent="pi_2", at=AT + 60)
    back = _refund(charge="ch_2", intent="pi_2")
    books = same_in_every_order([_invoice(), _charge(), second, back])
    assert posted(books, "refund") == {CREDIT: 11_000, PAYABLE: -11_000}
    assert (books.balance(CREDIT), books.balance(ALLOWANCES), books.balance(GST)) == (0, 0, -1_000)


def test_money_of_a_stranger_is_refunded_from_where_it_waits() -> None:
    books = Books(members={}).apply(_charge(invoice=None), _refund(amount=5_000)).check()
    assert (books.balance(SUSPENSE), books.balance(CLEARING)) == (-6_000, 6_000)
    books.match(customer_key("stripe", payloads.CUSTOMER), MARK)
    books.check()
    assert books.net() == Books().apply(_charge(invoice=None), _refund(amount=5_000)).net()


@pytest.mark.parametrize("policy", [Policy(gst_registered=False), Policy(home_currency="NZD")])
def test_without_gst_a_refund_takes_none_back(policy: Policy) -> None:
    books = Books(policy=policy).apply(_charge(invoice=None), _refund(amount=5_000)).check()
    assert (books.balance(ALLOWANCES), books.balance(GST)) == (5_000, 0)


def test_a_refund_in_another_currency_than_its_payment_is_refused() -> None:
    books = Books().apply(_charge(invoice=None), _refund(currency="nzd")).check()
    assert books.view().payments[0].refunds[0].state == "refused"
    assert books.balance(CLEARING) == 11_000


def _refund_event(action: str, day: int) -> Input:
    at = f"2026-10-{day:02}T00:00:00.000Z"
    return gocardless(money.gocardless_event("refunds", action, {"refund": "RF000MARK"}, at=at))


def test_a_direct_debit_is_refunded_once_its_amount_is_known() -> None:
    key = Key("gocardless", "self", REFUND, "RF000MARK")
    events = [
        debit("confirmed", "2026-10-05T00:00:00.000Z"),
        fetched(),
        gocardless(
            money.gocardless_event("refunds", "created", {"refund": "RF000MARK"}, at="2026-10-08T00:00:00.000Z")
        ),
        gocardless(money.gocardless_event("refunds", "paid", {"refund": "RF000MARK"}, at="2026-10-09T00:00:00.000Z")),
        answered(key, money.fetched_refund(amount=5_000)),
    ]
    waiting = Books().apply(*events[:4]).check()
    assert [fetch.key for fetch in waiting.view().fetches] == [key]
    books = same_in_every_order(events)
    assert (books.balance(ALLOWANCES), books.balance(GST)) == (4_545, -545)
    assert (books.balance(PAYABLE), books.balance("1200 clearing:gocardless")) == (0, 6_000)

    returned = money.gocardless_event(
        "refunds", "funds_returned", {"refund": "RF000MARK"}, at="2026-10-12T00:00:00.000Z"
    )
    books.apply(gocardless(returned)).check()
    assert (books.balance(PAYABLE), books.balance("1200 clearing:gocardless")) == (-5_000, 11_000)


def _dispute(what: str, *, status: str = "needs_response", entries: tuple[Any, ...] = (), day: int = 1) -> Input:
    shown = money.dispute(status=status, entries=entries)
    return stripe(f"charge.dispute.{what}", shown, id_=f"evt_{what}_{status}", at=AT + day * money.DAY)


TAKEN = (money.withdrawn(),)
BOTH = (money.withdrawn(), money.reinstated())


def test_a_dispute_takes_the_funds_and_its_fee_with_gst() -> None:
    """Scenario 9: withdrawn, fee with GST."""
    books = Books().apply(_invoice(), _charge(), _dispute("funds_withdrawn", entries=TAKEN)).check()
    assert posted(books, "dispute") == {HELD: 11_000, "5110 dispute_fees": 2_273, CLAIMED: 227, CLEARING: -13_500}
    assert books.balance(RECEIVABLE) == 0


def test_a_partial_dispute_with_a_fee_beyond_its_amount() -> None:
    taken = money.withdrawn(amount=2_000)
    books = Books().apply(_invoice(), _charge(), _dispute("funds_withdrawn", entries=(taken,))).check()
    assert (books.balance(HELD), books.balance(CLEARING)) == (2_000, 6_500)


def test_what_a_dispute_moved_is_read_where_it_is_only_named() -> None:
    books = Books().apply(_charge(), _dispute("created", entries=("txn_d1",))).check()
    assert [fetch.key.id for fetch in books.view().fetches if "dispute" in fetch.why] == ["txn_d1"]


def test_a_dispute_of_a_charge_that_nobody_told_of_asks_for_it() -> None:
    books = Books().apply(_dispute("created")).check()
    assert [fetch.key.id for fetch in books.view().fetches] == ["ch_1"]
    assert [each.status for each in books.view().disputes] == ["open"]


def _note(type_: str = "credit_note.created", *, at: int = AT + money.DAY, **more: Any) -> Input:
    return stripe(type_, money.credit_note(**more), at=at)


def test_a_credit_note_lowers_what_is_due() -> None:
    books = same_in_every_order([_invoice(), _note()])
    assert (books.balance(RECEIVABLE), books.balance(ALLOWANCES), books.balance(GST)) == (5_500, 5_000, -500)


def test_a_credit_note_for_a_paid_invoice_is_the_members_credit() -> None:
    books = same_in_every_order([_invoice(), _charge(), _note()])
    assert (books.balance(RECEIVABLE), books.balance(CREDIT), books.balance(GST)) == (0, -5_500, -500)


def test_a_credit_note_that_a_refund_pays_is_posted_once() -> None:
    note = _note(refund_id="re_1", refunded=5_500)
    books = same_in_every_order([_invoice(), _charge(), note, _refund(amount=5_500)])
    assert (books.balance(ALLOWANCES), books.balance(GST), books.balance(CLEARING)) == (5_000, -500, 5_500)


def test_a_voided_credit_note_leaves_nothing() -> None:
    books = same_in_every_order(
        [_invoice(), _note(), _note("credit_note.voided", status="void", at=AT + 3 * money.DAY)]
    )
    assert (books.balance(RECEIVABLE), books.balance(ALLOWANCES), books.balance(GST)) == (11_000, 0, -1_000)


def test_a_voided_invoice_leaves_nothing() -> None:
    moments = {"finalized_at": AT - 10, "voided_at": AT + 7 * money.DAY}
    voided = _invoice("invoice.voided", status="void", at=AT + 7 * money.DAY, status_transitions=moments)
    books = same_in_every_order([_invoice(), _note(), voided])
    assert books.balance(RECEIVABLE) == 0
    assert (books.balance("4100 membership_revenue"), books.balance(ALLOWANCES)) == (-5_000, 5_000)
    assert books.balance(GST) == 0
    (invoice,) = books.view().invoices
    assert invoice.state == "void"


def test_an_invoice_given_up_says_so() -> None:
    books = (
        Books().apply(_invoice(), _invoice("invoice.marked_uncollectible", status="uncollectible", at=AT + 9)).check()
    )
    assert [invoice.state for invoice in books.view().invoices] == ["uncollectible"]
    assert books.balance(RECEIVABLE) == 11_000


@pytest.mark.parametrize("version", [CLASSIC, payloads.BASIL])
def test_a_cancelled_payment_intent_is_over(version: str) -> None:
    failed = stripe("payment_intent.payment_failed", payloads.intent(status="requires_payment_method", version=version))
    gone = stripe("payment_intent.canceled", payloads.intent(status="canceled", version=version), at=AT + 9)
    books = same_in_every_order([failed, gone])
    (payment,) = books.view().payments
    assert (payment.state, payment.failure) == ("cancelled", None)


def test_a_warning_of_fraud_shows_at_its_payment_and_posts_nothing() -> None:
    warning = money.other("early_fraud_warning", "issfr_1", charge="ch_1", fraud_type="made_with_lost_card")
    books = Books().apply(_invoice(), _charge())
    before = books.net()
    books.apply(stripe("radar.early_fraud_warning.created", warning)).check()
    assert books.view().payments[0].warned
    assert books.net() == before


def test_what_moves_no_money_changes_nothing() -> None:
    books = Books().apply(_invoice(), _charge())
    before = (books.view(), books.net())
    books.apply(stripe("customer.updated", money.other("customer", payloads.CUSTOMER)))
    books.apply(stripe("customer.subscription.deleted", money.other("subscription")))
    assert (books.check().view(), books.net()) == before
    assert {told.outcome_words for _, told in books.told[-2:]} == {"it moves no money"}
