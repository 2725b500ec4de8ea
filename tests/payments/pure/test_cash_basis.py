"""GST on the cash basis: deferred with the invoice (2150), owed with the money (2100), and never twice."""

from __future__ import annotations

from itertools import permutations
from typing import Any

from payments.collection.domain import Policy

from tests.payments.pure import deciding, payloads
from tests.payments.pure import payloads_money as money
from tests.payments.pure.deciding import DAY
from tests.payments.pure.given import stripe
from tests.payments.pure.model import MARK, Books, Input
from tests.payments.pure.payloads import AT, CLASSIC

CASH = Policy(basis="cash")
RECEIVABLE = f"1100 member_receivable:{MARK.id}"
GST, DEFERRED, BAD, RECOVERED = "2100 gst_payable", "2150 gst_deferred", "5200 bad_debts", "4300 bad_debts_recovered"


def _books() -> Books:
    return Books(policy=CASH)


def _invoice(type_: str = "invoice.finalized", *, status: str = "open", **more: Any) -> Input:
    return stripe(type_, payloads.invoice(status=status, version=CLASSIC, **more), version=CLASSIC, at=AT)


def _charge(number: int = 1, *, amount: int = 11_000, at: int = AT, type_: str = "charge.succeeded") -> Input:
    shown = payloads.charge(
        f"ch_{number}", intent=f"pi_{number}", amount=amount, version=CLASSIC, invoice="in_1", at=at,
        failed=type_ == "charge.failed",
    )  # fmt: skip
    told_at = at + 30 * DAY if type_ == "charge.failed" else at
    return stripe(type_, shown, version=CLASSIC, at=told_at)


def _moved(books: Books, what: str) -> list[int]:
    """What became owed to the tax office with each journal of this kind, in the order of their effect."""
    found = sorted(books.journals, key=lambda each: (each.effective_at, each.economic_key))
    return [
        -sum(entry.amount_minor for entry in journal.entries if entry.account == GST)
        for journal in found
        if journal.economic_key.startswith(f"{what}:")
    ]


def test_an_invoice_defers_its_gst_and_the_payment_makes_it_owed() -> None:
    books = _books().apply(_invoice()).check()
    assert (books.balance(DEFERRED), books.balance(GST)) == (-1_000, 0)
    books.apply(_charge()).check()
    assert (books.balance(DEFERRED), books.balance(GST), books.balance(RECEIVABLE)) == (0, -1_000, 0)


def test_payments_in_parts_make_the_gst_owed_in_parts_that_sum_to_the_cent() -> None:
    """33.33 + 33.33 + 43.34 of 110.00: GST 3.03, 3.03 and 3.94."""
    inputs = [_invoice(), *(_charge(n, amount=a, at=AT + n * DAY) for n, a in ((1, 3_333), (2, 3_333), (3, 4_334)))]
    for order in permutations(inputs):
        books = _books().apply(*order).check()
        assert (books.balance(GST), books.balance(DEFERRED)) == (-1_000, 0)
    assert _moved(_books().apply(*inputs), "payment") == [303, 303, 394]


def test_a_payment_that_is_taken_back_defers_its_gst_again() -> None:
    books = _books().apply(_invoice(), _charge(), _charge(type_="charge.failed")).check()
    assert (books.balance(GST), books.balance(DEFERRED), books.balance(RECEIVABLE)) == (0, -1_000, 11_000)


def test_there_is_no_relief_for_gst_that_was_never_owed() -> None:
    books = _books().apply(_invoice(), deciding.write_off()).check()
    assert (books.balance(BAD), books.balance(GST), books.balance(DEFERRED)) == (10_000, 0, 0)


def test_what_is_recovered_after_a_write_off_is_taxed_when_it_comes() -> None:
    late = _charge(2, at=AT + 60 * DAY)
    for order in permutations([_invoice(), deciding.write_off(), late]):
        books = _books().apply(*order).check()
        assert (books.balance(RECOVERED), books.balance(GST), books.balance(DEFERRED)) == (-10_000, -1_000, 0)


def test_a_lost_dispute_defers_its_gst_again() -> None:
    lost = stripe("charge.dispute.closed", money.dispute(status="lost", entries=(money.withdrawn(),)), at=AT + 20 * DAY)
    books = _books().apply(_invoice(), _charge(), lost).check()
    assert (books.balance(GST), books.balance(DEFERRED), books.balance(RECEIVABLE)) == (0, -1_000, 11_000)


def test_a_refund_of_what_was_paid_lowers_what_is_owed() -> None:
    refund = stripe("refund.created", money.refund(amount=5_000), at=AT + DAY)
    books = _books().apply(_invoice(), _charge(), refund).check()
    assert (books.balance(GST), books.balance(DEFERRED)) == (-545, 0)


def test_a_credit_note_lowers_what_is_deferred_while_nothing_is_paid() -> None:
    shown = money.credit_note(amount=5_500, tax=500)
    note = stripe("credit_note.created", shown, at=AT + DAY)
    for order in permutations([_invoice(), note, _charge(amount=5_500, at=AT + 2 * DAY)]):
        books = _books().apply(*order).check()
        assert (books.balance(GST), books.balance(DEFERRED), books.balance(RECEIVABLE)) == (-500, 0, 0)


def test_cash_in_hand_makes_the_gst_owed_too() -> None:
    books = _books().apply(_invoice(), deciding.paid_outside(5_500)).check()
    assert (books.balance(GST), books.balance(DEFERRED)) == (-500, -500)


def test_a_void_leaves_nothing() -> None:
    void = _invoice("invoice.voided", status="void")
    books = _books().apply(_invoice(), void).check()
    assert (books.balance(GST), books.balance(DEFERRED), books.balance("4100 membership_revenue")) == (0, 0, 0)


def test_without_registration_nothing_is_deferred() -> None:
    books = Books(policy=Policy(basis="cash", gst_registered=False)).apply(_invoice(), _charge()).check()
    assert (books.balance(GST), books.balance(DEFERRED)) == (0, 0)
