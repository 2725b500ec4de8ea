"""What staff decide, to the cent, in every order in which decisions and the provider's events may arrive."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from payments.collection.objects import CHARGE, INVOICE, Key
from payments.ledger.settling import Left, left

from tests.payments.pure import deciding, payloads
from tests.payments.pure import payloads_money as money
from tests.payments.pure.agreeing import outcome, posted, same_in_every_order
from tests.payments.pure.deciding import DAY, DEBIT_1, IN_1
from tests.payments.pure.given import answered, debit, fetched, stripe
from tests.payments.pure.model import AUSTRALIAN, MARK, Books, Input
from tests.payments.pure.payloads import AT, CLASSIC

RECEIVABLE, CREDIT = f"1100 member_receivable:{MARK.id}", f"2200 member_credit:{MARK.id}"
CLEARING, SUSPENSE, OTHER = "1200 clearing:stripe", "2400 unidentified_receipts:stripe", "1290 other_receipts"
GST, REVENUE, ALLOWANCES = "2100 gst_payable", "4100 membership_revenue", "4190 refunds_allowances"
BAD, RECOVERED = "5200 bad_debts", "4300 bad_debts_recovered"
TRANSIT, BANK = "1250 payout_in_transit", "1300 bank"


def _invoice(type_: str = "invoice.finalized", *, status: str = "open", at: int = AT, **more: Any) -> Input:
    return stripe(type_, payloads.invoice(status=status, version=CLASSIC, **more), version=CLASSIC, at=at)


def _charge(id_: str = "ch_1", *, invoice: str | None = "in_1", at: int = AT, **more: Any) -> Input:
    shown = payloads.charge(id_, version=CLASSIC, invoice=invoice, at=at, **more)
    return stripe("charge.failed" if more.get("failed") else "charge.succeeded", shown, at=at, version=CLASSIC)


def _same_in_every_order(inputs: Sequence[Input], books: Callable[[], Books] = Books) -> Books:
    return same_in_every_order(inputs, books, agree=outcome)


def _codes(books: Books, what: str) -> dict[str, str]:
    return {
        entry.account: entry.tax_code
        for journal in books.journals
        for entry in journal.entries
        if journal.economic_key.startswith(f"{what}:")
    }


def test_an_invoice_is_written_off_with_the_relief_for_its_gst() -> None:
    books = _same_in_every_order([_invoice(), _charge(failed=True), deciding.write_off()])
    assert posted(books, "write_off") == {BAD: 10_000, GST: 1_000, RECEIVABLE: -11_000}
    assert _codes(books, "write_off") == {BAD: "GST-DEC", GST: "GST-DEC", RECEIVABLE: "N-T"}
    (invoice,) = books.view().invoices
    assert (invoice.state, invoice.reference) == ("uncollectible", "MARK-0001")
    assert [(line.words, line.balance_minor) for line in books.lines()] == [
        ("Invoice MARK-0001", 11_000),
        ("Invoice MARK-0001 written off", 0),
    ]


def test_what_was_written_off_is_recovered_when_it_is_paid_after_all() -> None:
    late = _charge("ch_2", intent="pi_2", at=AT + 60 * DAY)
    books = _same_in_every_order([_invoice(), deciding.write_off(), late])
    assert posted(books, "payment") == {CLEARING: 11_000, RECOVERED: -10_000, GST: -1_000}
    assert _codes(books, "payment")[GST] == "GST-INC"
    assert (books.balance(RECEIVABLE), books.balance(GST), books.balance(CREDIT)) == (0, -1_000, 0)


def test_a_recovery_in_parts_sums_to_the_cent() -> None:
    """33.33 + 33.33 + 43.34 of 110.00: GST 3.03, 3.03 and 3.94."""
    parts = [
        _charge(f"ch_{number}", intent=f"pi_{number}", amount=amount, at=AT + (60 + number) * DAY)
        for number, amount in enumerate((3_333, 3_333, 4_334), 1)
    ]
    books = Books().apply(_invoice(), deciding.write_off(), *parts).check()
    gst = [
        entry.amount_minor
        for journal in books.journals
        for entry in journal.entries
        if journal.economic_key.startswith("payment:") and entry.account == GST
    ]
    assert (gst, books.balance(RECOVERED)) == ([-303, -303, -394], -10_000)


def test_a_recovery_that_is_taken_back_is_given_up_again() -> None:
    late = _charge("ch_2", intent="pi_2", at=AT + 60 * DAY)
    back = stripe(
        "charge.failed",
        payloads.charge("ch_2", intent="pi_2", failed=True, version=CLASSIC, invoice="in_1", at=AT + 60 * DAY),
        version=CLASSIC,
        at=AT + 70 * DAY,
    )
    books = _same_in_every_order([_invoice(), deciding.write_off(), late, back])
    assert (books.balance(RECOVERED), books.balance(GST), books.balance(BAD)) == (0, 0, 10_000)
    assert books.balance(RECEIVABLE) == 0


def test_only_what_is_due_is_written_off_whenever_a_payment_is_told() -> None:
    """A payment from before the decision, told after it, leaves less to give up."""
    books = _same_in_every_order([_invoice(), deciding.write_off(), _charge(amount=3_333, at=AT + DAY)])
    assert posted(books, "write_off") == {BAD: 6_970, GST: 697, RECEIVABLE: -7_667}
    assert (books.balance(RECEIVABLE), books.balance(GST)) == (0, -303)


def test_part_of_an_invoice_is_written_off() -> None:
    books = Books().apply(_invoice(), deciding.write_off(5_000)).check()
    assert posted(books, "write_off") == {BAD: 4_545, GST: 455, RECEIVABLE: -5_000}
    assert books.view().invoices[0].state == "open"
    assert left(books.view().invoices[0], (), AUSTRALIAN) == Left(6_000, 5_000)


def test_a_failed_direct_debit_without_an_invoice_is_written_off() -> None:
    failed = debit("failed", "2026-10-04T00:00:00.000Z")
    submitted = debit("submitted", "2026-10-02T00:00:00.000Z")
    books = _same_in_every_order([fetched(), submitted, failed, deciding.write_off(of=DEBIT_1)])
    assert posted(books, "write_off") == {BAD: 10_000, GST: 1_000, RECEIVABLE: -11_000}
    assert books.view().invoices[0].state == "uncollectible"


def test_a_refused_card_proves_no_debt_and_leaves_nothing_to_write_off() -> None:
    books = Books().apply(_charge(invoice=None, failed=True), deciding.write_off(of=deciding.CH_1)).check()
    assert books.journals == []


def test_a_write_off_that_was_a_mistake_is_withdrawn() -> None:
    books = _same_in_every_order([_invoice(), deciding.write_off(), deciding.withdrawn("cmd_off")])
    assert posted(books, "write_off") == {}
    assert (books.balance(RECEIVABLE), books.view().invoices[0].state) == (11_000, "open")

    told_last = Books().apply(_invoice(), deciding.write_off(), deciding.withdrawn("cmd_off")).check()
    taken_back = told_last.journals[-1]
    assert (taken_back.kind, taken_back.reverses) == ("correction", "write_off:cmd_off#1")


def test_a_payment_in_cash_pays_an_invoice_and_the_rest_is_credit() -> None:
    books = _same_in_every_order([_invoice(), deciding.paid_outside(12_000)])
    assert posted(books, "paid_outside") == {OTHER: 12_000, RECEIVABLE: -11_000, CREDIT: -1_000}
    (invoice,) = books.view().invoices
    assert (invoice.state, invoice.paid_at) == ("paid", invoice.outside[0].told.at)


def test_cash_in_another_currency_never_nets() -> None:
    books = Books().apply(_invoice(), deciding.paid_outside(11_000, currency="NZD")).check()
    assert (books.balance(RECEIVABLE), books.view().invoices[0].state) == (11_000, "open")


def test_credit_is_applied_to_another_invoice_and_never_more_than_is_due() -> None:
    twice = [_invoice(), _charge(), _charge("ch_2", intent="pi_2", at=AT + 60)]
    second = stripe(
        "invoice.finalized",
        payloads.invoice(
            "in_2", status="open", version=CLASSIC, number="MARK-0002", intent_id=None, total=5_000, tax=455
        ),
        version=CLASSIC,
        at=AT + DAY,
    )
    use = deciding.credit(6_000, of=Key("stripe", "self", INVOICE, "in_2"))
    books = Books().apply(*twice, second, use).check()
    assert posted(books, "credit_applied") == {CREDIT: 5_000, RECEIVABLE: -5_000}
    assert (books.balance(CREDIT), books.balance(RECEIVABLE)) == (-6_000, 0)
    assert [invoice.state for invoice in books.view().invoices if invoice.credits] == ["paid"]


def _strangers() -> Books:
    return Books(members={})


def test_money_of_a_stranger_is_matched_at_its_original_time() -> None:
    """Scenario 11, by hand: as if the member had been known from the start."""
    books = _same_in_every_order([_charge(invoice=None), deciding.matched()], _strangers)
    assert books.net() == Books().apply(_charge(invoice=None)).check().net()
    assert books.view().payments[0].awaiting == ()
    waited = _strangers().apply(_charge(invoice=None))
    assert waited.balance(SUSPENSE) == -11_000
    assert waited.apply(deciding.matched()).check().balance(SUSPENSE) == 0


def test_money_of_a_stranger_is_matched_to_the_invoice_that_it_pays() -> None:
    known = Books().members
    stranger = _charge("ch_9", intent="pi_9", invoice=None, customer=None, at=AT + 2 * DAY)
    match = deciding.matched(payment=Key("stripe", "self", CHARGE, "ch_9"), to=IN_1)
    books = _same_in_every_order([_invoice(), stranger, match], lambda: Books(members=dict(known)))
    assert posted(books, "payment") == {CLEARING: 11_000, RECEIVABLE: -11_000}
    assert [(invoice.state, invoice.implied) for invoice in books.view().invoices] == [("paid", False)]
    assert (books.balance(SUSPENSE), books.balance(RECEIVABLE), books.balance(REVENUE)) == (0, 0, -10_000)


def test_money_of_a_stranger_pays_a_debit_that_failed() -> None:
    failed = debit("failed", "2026-10-04T00:00:00.000Z")
    submitted = debit("submitted", "2026-10-02T00:00:00.000Z")
    stranger = _charge("ch_9", intent=None, invoice=None, customer=None, at=AT + 40 * DAY)
    match = deciding.matched(payment=Key("stripe", "self", CHARGE, "ch_9"), to=DEBIT_1)
    books = _same_in_every_order([fetched(), submitted, failed, stranger, match])
    (invoice,) = books.view().invoices
    assert (invoice.implied, invoice.total_minor, invoice.state) == (True, 11_000, "paid")
    assert (books.balance(RECEIVABLE), books.balance(REVENUE), books.balance(SUSPENSE)) == (0, -10_000, 0)


def test_the_later_of_two_matches_holds() -> None:
    other = deciding.matched(member="mem_isla", id_="cmd_other", at=AT + 12 * DAY)
    books = _same_in_every_order([_charge(invoice=None, customer=None), deciding.matched(), other])
    assert books.balance(RECEIVABLE) == 0
    assert posted(books, "payment") == {CLEARING: 11_000, "1100 member_receivable:mem_isla": -11_000}


def test_a_lost_dispute_is_a_debt_that_is_paid_or_written_off() -> None:
    lost = stripe("charge.dispute.closed", money.dispute(status="lost", entries=(money.withdrawn(),)), at=AT + 20 * DAY)
    books = _same_in_every_order([_invoice(), _charge(), lost, deciding.write_off()])
    assert posted(books, "dispute_lost") == {RECEIVABLE: 11_000, "1500 dispute_held:stripe": -11_000}
    assert posted(books, "write_off") == {BAD: 10_000, GST: 1_000, RECEIVABLE: -11_000}

    again = _charge("ch_2", intent="pi_2", at=AT + 30 * DAY)
    paid = Books().apply(_invoice(), _charge(), lost, again).check()
    assert (paid.balance(RECEIVABLE), paid.balance(CREDIT)) == (0, 0)


def test_a_payout_stands_on_the_banks_statement() -> None:
    payout = stripe("payout.paid", money.payout(status="paid"), at=AT + 3 * DAY)
    books = _same_in_every_order([payout, deciding.banked()])
    assert posted(books, "payout_banked") == {BANK: 10_783, TRANSIT: -10_783}
    assert (books.balance(TRANSIT), books.balance(BANK)) == (0, 10_783)


def test_a_payout_that_failed_after_it_stood_on_the_statement_leaves_the_bank_first() -> None:
    payout = stripe("payout.paid", money.payout(status="paid"), at=AT + 3 * DAY)
    failed = stripe("payout.failed", money.payout(status="failed"), at=AT + 5 * DAY)
    books = _same_in_every_order([payout, deciding.banked(), failed])
    assert posted(books, "payout_unbanked") == {TRANSIT: 10_783, BANK: -10_783}
    assert posted(books, "payout_failed") == {CLEARING: 10_783, TRANSIT: -10_783}
    assert (books.balance(BANK), books.balance(TRANSIT), books.balance(CLEARING)) == (0, 0, 0)
    told_last = Books().apply(payout, deciding.banked(), failed).journals
    assert [each.reverses for each in told_last][-2:] == [
        "payout:stripe/self/payout/po_1#1",
        "payout_banked:stripe/self/payout/po_1#1",
    ]


def test_a_payout_below_zero_on_the_statement_takes_from_the_bank() -> None:
    books = Books().apply(stripe("payout.paid", money.payout(amount=-2_500, status="paid")), deciding.banked()).check()
    assert posted(books, "payout") == {CLEARING: 2_500, TRANSIT: -2_500}
    assert posted(books, "payout_banked") == {TRANSIT: 2_500, BANK: -2_500}


def test_a_dispute_that_is_countered_costs_a_fee_that_comes_back_when_it_is_won() -> None:
    """The fee is a balance transaction of its own, about the dispute; GST inside, as Stripe states it."""
    won = stripe("charge.dispute.closed", money.dispute(status="won", entries=(money.withdrawn(),)), at=AT + DAY)
    about: Any = {"type_": "adjustment", "category": "fee", "source": {"id": "du_1", "object": "dispute"}}
    countered = money.entry("txn_c1", amount=0, fee=2_500, gst=227, **about)
    returned = money.entry("txn_c2", amount=0, fee=-2_500, gst=-227, **about)
    told = [
        answered(Key("stripe", "self", "balance_transaction", entry["id"]), entry)
        for entry in (money.withdrawn(), countered, money.reinstated())
    ]
    books = _same_in_every_order([_invoice(), _charge(), won, *told])
    assert posted(books, "fee") == {"5110 dispute_fees": 2_273, "1400 gst_input_credits": 227, CLEARING: -2_500}
    assert books.balance("1500 dispute_held:stripe") == 0

    books.apply(answered(Key("stripe", "self", "balance_transaction", "txn_c2"), returned)).check()
    assert (books.balance("5110 dispute_fees"), books.balance("1400 gst_input_credits")) == (0, 0)
    assert books.balance(CLEARING) == 11_000
