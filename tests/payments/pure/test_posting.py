"""The posting table for A$110.00 including GST, in cents, and what becomes of money that fits nowhere."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given as for_all
from hypothesis import settings
from hypothesis import strategies as st
from payments.collection.domain import Member, Policy
from payments.collection.invoices import gst_of, gst_within
from payments.collection.objects import Key, customer_key

from tests.payments.pure import payloads
from tests.payments.pure.given import answered, debit, fetched, stripe
from tests.payments.pure.model import MARK, Books, Input
from tests.payments.pure.payloads import AT, CLASSIC
from tests.payments.scenarios import triple

RECEIVABLE, CREDIT = f"1100 member_receivable:{MARK.id}", f"2200 member_credit:{MARK.id}"
CLEARING, SUSPENSE = "1200 clearing:stripe", "2400 unidentified_receipts:stripe"
REVENUE, GST = "4100 membership_revenue", "2100 gst_payable"


def _invoice(type_: str = "invoice.finalized", *, status: str = "open", at: int = AT, **more: Any) -> Input:
    return stripe(type_, payloads.invoice(status=status, version=CLASSIC, **more), version=CLASSIC, at=at)


def _charge(id_: str = "ch_1", *, invoice: str | None = "in_1", at: int = AT, **more: Any) -> Input:
    shown = payloads.charge(id_, version=CLASSIC, invoice=invoice, at=at, **more)
    return stripe("charge.failed" if more.get("failed") else "charge.succeeded", shown, version=CLASSIC, at=at + 1)


def _posted(books: Books) -> list[tuple[str, dict[str, int]]]:
    return [
        (journal.words, {entry.account: entry.amount_minor for entry in journal.entries})
        for journal in books.check().journals
    ]


def test_an_invoice_is_issued() -> None:
    assert _posted(Books().apply(_invoice())) == [
        ("Invoice MARK-0001", {RECEIVABLE: 11_000, GST: -1_000, REVENUE: -10_000})
    ]


def test_every_line_has_a_tax_code() -> None:
    (journal,) = Books().apply(_invoice()).journals
    assert {entry.account[:4]: entry.tax_code for entry in journal.entries} == {
        "1100": "N-T",
        "4100": "GST",
        "2100": "GST",
    }
    (free,) = Books().apply(_invoice(tax=0)).journals
    assert {entry.account[:4]: entry.tax_code for entry in free.entries} == {"1100": "N-T", "4100": "FRE"}


def test_a_payment_of_an_invoice() -> None:
    assert _posted(Books().apply(_invoice(), _charge()))[1:] == [
        ("Payment by card", {CLEARING: 11_000, RECEIVABLE: -11_000})
    ]


def test_a_direct_debit_is_pending_first_and_never_in_a_posted_balance() -> None:
    books = Books().apply(fetched(), debit("submitted", "2026-10-02T00:00:00.000Z")).check()
    pending = [journal for journal in books.journals if journal.entries[0].phase == "pending"]
    assert [{entry.account: entry.amount_minor for entry in journal.entries} for journal in pending] == [
        {"1200 clearing:gocardless": 11_000, RECEIVABLE: -11_000}
    ]
    assert books.balance(RECEIVABLE) == 11_000


def test_a_failure_told_of_the_very_charge_takes_its_payment_back() -> None:
    books = Books().apply(_invoice(), _charge())
    late = payloads.charge("ch_1", failed=True, version=CLASSIC, invoice="in_1")
    books.apply(stripe("charge.failed", late, version=CLASSIC, at=AT + 86_400))
    assert _posted(books)[2:] == [("Payment by card taken back", {RECEIVABLE: 11_000, CLEARING: -11_000})]
    assert books.journals[-1].reverses == "payment:stripe/self/charge/ch_1:1#1"
    assert books.journals[-1].effective_at == datetime.fromtimestamp(AT + 86_400, tz=UTC)
    (payment,) = books.view().payments
    assert (payment.state, payment.late_failure) == ("failed", True)


def test_a_payment_intent_never_moves_money() -> None:
    """Told that a charge succeeded, it posts nothing; told that it failed, it takes nothing back."""
    books = Books().apply(stripe("payment_intent.succeeded", payloads.intent()))
    assert books.journals == []
    (payment,) = books.view().payments
    assert (payment.state, payment.awaiting) == ("succeeded", ("awaiting payment",))
    assert [(fetch.key.id, fetch.after_seconds) for fetch in books.view().fetches] == [("ch_1", 60)]

    books = Books().apply(_charge(invoice=None))
    lagging = payloads.intent(status="requires_payment_method", charge_id="ch_1")
    books.apply(stripe("payment_intent.payment_failed", lagging)).check()
    assert books.view().payments[0].state == "succeeded"
    assert books.balance(CLEARING) == 11_000


def test_money_that_is_only_held_on_a_card_posts_once_it_is_captured_whoever_tells() -> None:
    held = _charge(invoice=None, captured=False, amount_captured=0, balance_transaction=None)
    captured = payloads.charge("ch_1", version=CLASSIC, invoice=None, amount_captured=8_000)
    by_itself = stripe("charge.captured", captured, version=CLASSIC, at=AT + 3_600)
    for order in ([held, by_itself], [by_itself, held], [by_itself, held, by_itself]):
        books = Books().apply(*order).check()
        assert (books.balance(CLEARING), books.balance(RECEIVABLE)) == (8_000, 0)

    by_its_intent = stripe("payment_intent.succeeded", payloads.intent(version=CLASSIC), version=CLASSIC, at=AT + 3_600)
    books = Books().apply(held, by_its_intent)
    assert [(fetch.key.id, fetch.after_seconds) for fetch in books.view().fetches] == [("ch_1", 60)]
    read = answered(Key("stripe", "self", "charge", "ch_1"), captured)
    assert Books().apply(held, by_its_intent, read).check().balance(CLEARING) == 8_000
    # A provider that contradicts itself is asked once, not for ever.
    held_still = payloads.charge(captured=False, amount_captured=0, balance_transaction=None)
    still = answered(Key("stripe", "self", "charge", "ch_1"), held_still)
    assert books.apply(still).check().view().fetches == ()


def test_money_that_was_held_on_a_card_and_let_go_never_came() -> None:
    held = _charge(invoice=None, captured=False, amount_captured=0)
    gone = payloads.charge("ch_1", version=CLASSIC, invoice=None, captured=False, amount_captured=0)
    expired = stripe("charge.expired", gone, version=CLASSIC, at=AT + 604_800)
    for order in ([held, expired], [expired, held]):
        books = Books().apply(*order).check()
        assert books.journals == []
        assert [payment.state for payment in books.view().payments] == ["failed"]


def test_a_refused_card_proves_no_debt() -> None:
    assert Books().apply(_charge(invoice=None, failed=True)).journals == []


def test_a_payment_without_an_invoice_implies_one() -> None:
    assert _posted(Books().apply(_charge(invoice=None))) == [
        ("Membership charge", {RECEIVABLE: 11_000, GST: -1_000, REVENUE: -10_000}),
        ("Payment by card", {CLEARING: 11_000, RECEIVABLE: -11_000}),
    ]


@pytest.mark.parametrize(
    "policy", [Policy(gst_registered=False), Policy(implied="gst_free"), Policy(home_currency="NZD")]
)
def test_settings_decide_the_tax_of_an_implied_invoice(policy: Policy) -> None:
    books = Books(policy=policy).apply(_charge(invoice=None)).check()
    assert (books.balance(REVENUE), books.balance(GST)) == (-11_000, 0)


def test_a_payment_that_names_an_unknown_invoice_stands_in_for_it() -> None:
    """Under the invoice's own key: when it comes, only its date and tax are corrected."""
    books = Books().apply(_charge()).check()
    (invoice,) = books.view().invoices
    assert (invoice.key.id, invoice.implied, invoice.state) == ("in_1", True, "paid")

    books.apply(_invoice(tax=999)).check()
    assert (books.balance(RECEIVABLE), books.balance(GST), books.balance(REVENUE)) == (0, -999, -10_001)
    assert {key.split(":")[0] for key in (journal.economic_key for journal in books.journals)} == {"invoice", "payment"}


def test_a_late_fact_that_changes_the_amount_adds_a_correction() -> None:
    books = Books().apply(_invoice())
    books.apply(_invoice("invoice.paid", status="paid", total=12_100, tax=1_100, at=AT + 5)).check()
    correction = books.journals[1]
    assert (correction.kind, correction.reverses) == ("correction", books.journals[0].source_key)
    assert {entry.account: entry.amount_minor for entry in correction.entries} == {
        RECEIVABLE: 1_100, GST: -100, REVENUE: -1_000
    }  # fmt: skip


def test_money_of_a_stranger_waits_and_is_matched_once_at_its_original_time() -> None:
    """Scenario 11."""
    books = Books(members={}).apply(_charge(invoice=None), _invoice(), _charge("ch_2", intent="pi_2")).check()
    assert books.balance(SUSPENSE) == -22_000
    assert {payment.awaiting for payment in books.view().payments} == {("awaiting customer",)}
    assert {journal.economic_key.split(":")[0] for journal in books.journals} == {"payment"}

    for _ in range(2):
        books.match(customer_key("stripe", payloads.CUSTOMER), MARK)
        books.check()
    assert (books.balance(SUSPENSE), books.balance(CLEARING), books.balance(RECEIVABLE)) == (0, 22_000, 0)
    known = Books().apply(_charge(invoice=None), _invoice(), _charge("ch_2", intent="pi_2"))
    assert books.net() == known.net()
    assert [line.effective_at for line in books.lines()] == [line.effective_at for line in known.lines()]


@pytest.mark.parametrize(("zone", "day"), [("Australia/Sydney", 2), ("UTC", 1)])
def test_an_invoice_is_due_on_a_day_of_the_business(zone: str, day: int) -> None:
    due = int(datetime(2026, 10, 1, 23, 30, tzinfo=UTC).timestamp())
    books = Books(policy=Policy(zone=ZoneInfo(zone))).apply(_invoice(due_date=due))
    assert [invoice.due_on for invoice in books.view().invoices] == [date(2026, 10, day)]


def test_what_comes_first_after_a_customer_became_known_says_so_and_the_refold_finds_nothing_to_change() -> None:
    """Else two events would tell the same of one payment, or of one that was never anybody else's."""
    customer = customer_key("stripe", payloads.CUSTOMER)
    intent = stripe("payment_intent.succeeded", payloads.intent(version=CLASSIC), version=CLASSIC)
    books = Books(members={}).apply(_charge())
    books.members[customer] = MARK
    books.apply(intent, _charge("ch_2", intent="pi_2"))
    told = [telling for _, telling in books.told]
    assert [(each.before or {}).get("awaiting") for each in told] == [None, ["awaiting customer"], None]
    assert [each.member for each in told] == [None, MARK, MARK]

    assert books.refold(customer) == []
    assert books.check().net() == Books().apply(_charge(), intent, _charge("ch_2", intent="pi_2")).net()


def test_a_customer_that_moves_to_another_member_takes_the_ledger_along() -> None:
    books = Books().apply(_invoice(), _charge())
    books.match(customer_key("stripe", payloads.CUSTOMER), Member("mem_isla", "Isla Morgan"))
    books.check()
    assert books.lines() == ()
    assert [line.amount_minor for line in books.lines(Member("mem_isla", "Isla Morgan"))] == [11_000, -11_000]


def test_while_the_join_is_missing_the_payment_implies_an_invoice_of_its_own() -> None:
    """Nobody ends below zero by paying; the join takes the implied invoice back and nothing else."""
    books = Books().apply(*triple(payloads.BASIL))
    assert books.balance(RECEIVABLE) == 11_000
    assert [invoice.implied for invoice in books.view().invoices] == [True, False]
    assert books.balance("2100 gst_payable") == -2_000

    books.apply(stripe("invoice_payment.paid", payloads.invoice_payment()))
    correction = books.journals[-1]
    assert (correction.kind, correction.reverses) == ("correction", "invoice:stripe/self/implied_invoice/pi_1#1")
    assert books.balance("2100 gst_payable") == -1_000
    assert books.balance("1200 clearing:stripe") == 11_000


def test_another_currency_than_the_invoices_never_nets() -> None:
    """Scenario 10, what it posts: NZD on an AUD invoice waits, the debt stands."""
    books = Books().apply(_invoice(), _charge(currency="nzd")).check()
    assert books.balance(RECEIVABLE) == 11_000
    assert (books.balance(CLEARING, "NZD"), books.balance(SUSPENSE, "NZD")) == (11_000, -11_000)
    assert books.balance(CLEARING) == 0


def test_a_foreign_payment_of_its_own_has_no_gst() -> None:
    books = Books().apply(_charge(invoice=None, currency="nzd")).check()
    assert (books.balance(REVENUE, "NZD"), books.balance(GST, "NZD")) == (-11_000, 0)
    assert [(line.currency, line.balance_minor) for line in books.lines()] == [("NZD", 11_000), ("NZD", 0)]


def test_what_is_paid_beyond_the_invoice_is_the_members_credit() -> None:
    books = Books().apply(_invoice(), _charge("ch_1"), _charge("ch_2", intent="pi_2", amount=3_000, at=AT + 60)).check()
    assert (books.balance(RECEIVABLE), books.balance(CREDIT), books.balance(CLEARING)) == (0, -3_000, 14_000)

    late = payloads.charge("ch_1", failed=True, version=CLASSIC, invoice="in_1")
    books.apply(stripe("charge.failed", late, version=CLASSIC, at=AT + 86_400)).check()
    assert (books.balance(RECEIVABLE), books.balance(CREDIT), books.balance(CLEARING)) == (11_000, -3_000, 3_000)


def test_partial_payments_fill_the_invoice_in_the_order_of_their_time() -> None:
    parts = [
        _charge(f"ch_{n}", intent=f"pi_{n}", amount=amount, at=AT + n) for n, amount in enumerate((4_000, 5_000, 6_000))
    ]
    for order in (parts, parts[::-1]):
        books = Books().apply(_invoice(), *order).check()
        assert (books.balance(RECEIVABLE), books.balance(CREDIT)) == (0, -4_000)


def test_an_invoice_paid_out_of_band_moves_nothing_at_the_provider() -> None:
    books = Books().apply(_invoice("invoice.paid", status="paid", amount_paid=0)).check()
    assert (books.balance("1290 other_receipts"), books.balance(RECEIVABLE), books.balance(CLEARING)) == (11_000, 0, 0)


def test_nothing_is_posted_for_nothing() -> None:
    free = _invoice("invoice.paid", status="paid", total=0, tax=0)
    assert Books().apply(free).check().journals == []
    assert Books().apply(_charge(invoice=None, amount=0)).check().journals == []
    assert Books().apply(_charge(invoice=None, captured=False, amount_captured=0)).check().journals == []


def test_the_largest_amount_there_is_posts_to_the_cent() -> None:
    amount = 2**53 - 1
    books = Books().apply(_charge(invoice=None, amount=amount)).check()
    assert books.balance(GST) == -((2 * amount + 11) // 22)
    assert books.balance(CLEARING) == amount


@pytest.mark.parametrize(
    ("inclusive", "gst"), [(0, 0), (5, 0), (6, 1), (11, 1), (16, 1), (17, 2), (5_000, 455), (11_000, 1_000)]
)
def test_gst_is_one_eleventh_half_a_cent_up(inclusive: int, gst: int) -> None:
    assert gst_within(inclusive) == gst


@for_all(st.integers(0, 2**53))
@settings(deadline=None)
def test_gst_is_never_more_than_half_a_cent_off(inclusive: int) -> None:
    assert abs(22 * gst_within(inclusive) - 2 * inclusive) <= 11


def test_the_rule_of_an_invoices_gst_is_kept() -> None:
    policy = Policy()
    assert gst_of(11_000, "AUD", 999, "taxable", policy) == (999, "stated")
    assert gst_of(11_000, "AUD", None, "taxable", policy) == (1_000, "inclusive_half_up")
    assert gst_of(11_000, "AUD", None, "gst_free", policy) == (0, "none")
    assert gst_of(11_000, "NZD", 1_434, "taxable", policy) == (0, "none")


def test_two_payments_of_one_customer_are_two_groups() -> None:
    books = Books().apply(_charge("ch_1", intent="pi_1", invoice=None), _charge("ch_2", intent="pi_2", invoice=None))
    assert [payment.key for payment in books.view().payments] == [
        Key("stripe", "self", "payment_intent", "pi_1"),
        Key("stripe", "self", "payment_intent", "pi_2"),
    ]
