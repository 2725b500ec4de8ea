"""GST of a debt that is a year overdue: claimed back once, owed again with what comes in after all, to the cent."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any

import pytest
from payments.books.domain import Statement, Summed, statement
from payments.collection.domain import Basis, InvoiceView, Policy
from payments.collection.objects import Key
from payments.ledger.settling import relief_at
from payments.ledger.walking import long_overdue_at

from tests.payments.pure import deciding, payloads
from tests.payments.pure import payloads_money as money
from tests.payments.pure.deciding import DAY
from tests.payments.pure.given import stripe
from tests.payments.pure.model import AUSTRALIAN, MARK, Books, Input
from tests.payments.pure.payloads import AT, CLASSIC

RECEIVABLE, GST, DEFERRED = f"1100 member_receivable:{MARK.id}", "2100 gst_payable", "2150 gst_deferred"
BAD, RECOVERED = "5200 bad_debts", "4300 bad_debts_recovered"
YEAR = 400 * DAY


def _invoice(type_: str = "invoice.finalized", *, status: str = "open", **more: Any) -> Input:
    return stripe(type_, payloads.invoice(status=status, version=CLASSIC, **more), version=CLASSIC, at=AT)


def _charge(number: int = 1, *, amount: int = 11_000, at: int = AT + YEAR + DAY, failed: bool = False) -> Input:
    shown = payloads.charge(
        f"ch_{number}", intent=f"pi_{number}", amount=amount, version=CLASSIC, invoice="in_1", at=at, failed=failed
    )
    type_ = "charge.failed" if failed else "charge.succeeded"
    return stripe(type_, shown, version=CLASSIC, at=at + 30 * DAY if failed else at)


def _lost(at: int) -> Input:
    return stripe("charge.dispute.closed", money.dispute(status="lost", entries=(money.withdrawn(),)), at=at)


def _books(*inputs: Input, basis: Basis = "accrual") -> Books:
    """The same whatever order they come in."""
    expected = Books(policy=Policy(basis=basis)).apply(*inputs).check()
    for order in permutations(inputs):
        found = Books(policy=Policy(basis=basis)).apply(*order).check()
        assert (found.view(), found.net()) == (expected.view(), expected.net())
    return expected


def _stated(books: Books) -> Statement:
    return statement(
        Summed(entry.account, entry.tax_code, entry.amount_minor)
        for journal in books.journals
        for entry in journal.entries
        if entry.phase == "posted"
    )


def _stands(books: Books) -> tuple[int, int, int]:
    return books.balance(RECEIVABLE), books.balance(GST), books.balance(DEFERRED)


def test_a_year_after_it_was_due_the_gst_of_a_debt_is_claimed_back_and_the_debt_stands() -> None:
    books = _books(_invoice(), deciding.long_overdue())
    assert _stands(books) == (11_000, 0, -1_000)
    assert _stated(books) == Statement(1_000, 0, 0, 1_000)
    assert [line.words for line in books.lines()] == ["Invoice MARK-0001"]


def test_it_is_claimed_once_however_often_time_passes() -> None:
    again = deciding.long_overdue(id_="cmd_again", at=AT + YEAR + 9 * DAY)
    assert _stands(_books(_invoice(), deciding.long_overdue(), again)) == (11_000, 0, -1_000)


def test_before_the_year_is_over_nothing_is_claimed() -> None:
    books = _books(_invoice(), deciding.long_overdue(at=AT + 364 * DAY))
    assert _stands(books) == (11_000, -1_000, 0)


def test_what_is_paid_after_all_is_owed_again_in_parts_that_sum_to_the_cent() -> None:
    """33.33 + 33.33 + 43.34 of 110.00: GST 3.03, 3.03 and 3.94."""
    parts = [_charge(n, amount=a, at=AT + YEAR + n * DAY) for n, a in ((1, 3_333), (2, 3_333), (3, 4_334))]
    books = _books(_invoice(), deciding.long_overdue(), *parts)
    assert (_stands(books), _stated(books)) == ((0, -1_000, 0), Statement(1_000, 1_000, 0, 1_000))
    gst = [
        -entry.amount_minor
        for journal in sorted(books.journals, key=lambda each: each.effective_at)
        for entry in journal.entries
        if journal.economic_key.startswith("payment:") and (entry.account, entry.tax_code) == (GST, "GST-INC")
    ]
    assert gst == [303, 303, 394]


def test_a_payment_from_before_that_is_told_afterwards_leaves_nothing_to_claim() -> None:
    books = _books(_invoice(), deciding.long_overdue(), _charge(at=AT + DAY))
    assert (_stands(books), _stated(books)) == ((0, -1_000, 0), Statement(1_000, 0, 0, 0))
    part = _books(_invoice(), deciding.long_overdue(), _charge(amount=5_500, at=AT + DAY))
    assert (_stands(part), _stated(part)) == ((5_500, -500, -500), Statement(1_000, 0, 0, 500))


def test_a_payment_that_is_taken_back_is_relieved_again() -> None:
    books = _books(_invoice(), deciding.long_overdue(), _charge(), _charge(failed=True))
    assert (_stands(books), _stated(books)) == ((11_000, 0, -1_000), Statement(1_000, 1_000, 0, 2_000))


def test_a_debt_that_is_given_up_afterwards_has_no_second_relief_and_is_taxed_when_it_is_recovered() -> None:
    off = deciding.write_off(at=AT + YEAR + DAY)
    given_up = _books(_invoice(), deciding.long_overdue(), off)
    assert (_stands(given_up), given_up.balance(BAD)) == ((0, 0, 0), 10_000)
    assert _stated(given_up) == Statement(1_000, 0, 0, 1_000)
    recovered = _books(_invoice(), deciding.long_overdue(), off, _charge(at=AT + YEAR + 5 * DAY))
    assert (_stands(recovered), recovered.balance(RECOVERED)) == ((0, -1_000, 0), -10_000)
    assert _stated(recovered) == Statement(1_000, 1_000, 0, 1_000)


def test_a_debt_that_was_given_up_before_has_none_of_its_own() -> None:
    books = _books(_invoice(), deciding.write_off(), deciding.long_overdue())
    assert (_stands(books), _stated(books)) == ((0, 0, 0), Statement(1_000, 0, 0, 1_000))


def test_on_the_cash_basis_and_without_gst_there_is_nothing_to_claim() -> None:
    assert _stands(_books(_invoice(), deciding.long_overdue(), basis="cash")) == (11_000, 0, -1_000)
    assert _stated(_books(_invoice(), deciding.long_overdue(), basis="cash")) == Statement(0, 0, 0, 0)
    unregistered = Books(policy=Policy(gst_registered=False)).apply(_invoice(), deciding.long_overdue()).check()
    assert _stands(unregistered) == (11_000, 0, 0)


@pytest.mark.parametrize("voids", [False, True])
def test_what_lowers_a_relieved_invoice_lowers_what_is_deferred(voids: bool) -> None:
    """Whether it is lowered before the year is over or after it, and whether that is taken back."""
    for at in (AT + DAY, AT + YEAR + DAY):
        note = stripe("credit_note.created", money.credit_note(at=at), at=at)
        lowered = [_invoice(), note, deciding.long_overdue()]
        assert _stands(_books(*lowered)) == (5_500, 0, -500)
        if voids:
            shown = money.credit_note(at=at, status="void", voided_at=AT + YEAR + 2 * DAY)
            lowered.append(stripe("credit_note.voided", shown, at=AT + YEAR + 2 * DAY))
            assert _stands(_books(*lowered)) == (11_000, 0, -1_000)
    void = stripe(
        "invoice.voided",
        payloads.invoice(status="void", version=CLASSIC) | {"status_transitions": {"voided_at": AT + YEAR + 3 * DAY}},
        version=CLASSIC,
        at=AT + YEAR + 3 * DAY,
    )
    assert _stands(_books(_invoice(), deciding.long_overdue(), void)) == (0, 0, 0)


def test_what_is_due_and_what_is_deferred_never_part_whatever_happens_after_it() -> None:
    for seed in range(300):
        chance = random.Random(seed)
        inputs = [_invoice(), deciding.long_overdue()]
        for number in range(1, chance.randint(2, 6)):
            at = AT + chance.randrange(30, 800) * DAY
            inputs.append(_charge(number, amount=chance.randint(1, 6_000), at=at))
            if chance.random() < 0.4:
                inputs.append(_charge(number, amount=0, at=at, failed=True))
        if chance.random() < 0.3:
            inputs.append(deciding.write_off(chance.randint(1, 5_000), at=AT + chance.randrange(30, 800) * DAY))
        chance.shuffle(inputs)
        books = Books().apply(*inputs).check()
        due = books.balance(RECEIVABLE)
        assert -books.balance(DEFERRED) == 1_000 - (2 * 1_000 * (11_000 - due) + 11_000) // 22_000 or due == 0


def _view(books: Books) -> InvoiceView:
    (invoice,) = books.view().invoices
    return invoice


def test_when_it_may_be_claimed_follows_from_what_is_due() -> None:
    def may(*inputs: Input) -> datetime | None:
        books = Books().apply(*inputs).check()
        view = books.view()
        return relief_at(view.invoices[0], view.payments, AUSTRALIAN)

    at = long_overdue_at(_view(Books().apply(_invoice())), AUSTRALIAN)
    assert (
        datetime.fromtimestamp(AT, UTC) + timedelta(days=365)
        < at
        <= datetime.fromtimestamp(AT, UTC) + timedelta(days=367)
    )
    assert may(_invoice()) == at
    assert may(_invoice(), deciding.long_overdue()) is None
    assert may(_invoice(), _charge(at=AT + DAY)) is None
    came_back = AT + YEAR + 60 * DAY
    assert may(_invoice(), _charge(at=AT + DAY), _lost(came_back)) == datetime.fromtimestamp(came_back, UTC)


def test_a_debt_of_a_leap_day_is_a_year_overdue_in_march() -> None:
    leap = InvoiceView(
        key=Key("stripe", "self", "invoice", "in_leap"),
        state="open",
        implied=False,
        total_minor=11_000,
        gst_minor=1_000,
        gst_rule="stated",
        currency="AUD",
        issued_at=datetime(2028, 2, 28, 20, tzinfo=UTC),
    )
    assert long_overdue_at(leap, AUSTRALIAN) == datetime(2029, 3, 2, tzinfo=AUSTRALIAN.zone)
