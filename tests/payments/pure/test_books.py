"""Closing periods, and activity statements by hand-computed figures, on both bases."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from payments.books import sheets
from payments.books.domain import (
    Closed,
    NoPeriodError,
    Period,
    PeriodNotOverError,
    Statement,
    Summed,
    WorkLeftError,
    close,
    statement,
)
from payments.collection.domain import Basis, Policy
from payments.collection.objects import Key

from tests.payments.pure import deciding, payloads
from tests.payments.pure import payloads_money as money
from tests.payments.pure.deciding import DAY
from tests.payments.pure.given import answered, stripe
from tests.payments.pure.model import Books, Input
from tests.payments.pure.payloads import AT, CLASSIC

OCTOBER = Period(2026, 10)


def _invoice(type_: str = "invoice.finalized", *, status: str = "open", **more: Any) -> Input:
    return stripe(type_, payloads.invoice(status=status, version=CLASSIC, **more), version=CLASSIC, at=AT)


def _charge(number: int = 1, *, amount: int = 11_000, at: int = AT) -> Input:
    shown = payloads.charge(
        f"ch_{number}", intent=f"pi_{number}", amount=amount, version=CLASSIC, invoice="in_1", at=at
    )
    return stripe("charge.succeeded", shown, version=CLASSIC, at=at)


def _fee() -> Input:
    entry = money.entry(fee=217, gst=20)
    return answered(deciding.CH_1, payloads.charge(version=CLASSIC, invoice="in_1") | {"balance_transaction": entry})


def _refund(number: int, amount: int) -> Input:
    return stripe(
        "refund.created", money.refund(f"re_{number}", amount=amount, at=AT + number * DAY), at=AT + number * DAY
    )


def _stated(*inputs: Input, basis: Basis = "accrual") -> Statement:
    books = Books(policy=Policy(basis=basis)).apply(*inputs).check()
    return statement(
        Summed(entry.account, entry.tax_code, entry.amount_minor)
        for journal in books.journals
        for entry in journal.entries
        if entry.phase == "posted"
    )


def test_an_invoice_owes_its_gst_when_it_is_issued() -> None:
    """A$110.00 holds A$10.00 of GST; the fee of A$2.17 holds A$0.20 that comes back."""
    assert _stated(_invoice()) == Statement(1_000, 0, 0, 0)
    paid = _stated(_invoice(), _charge(), _fee())
    assert (paid.label_1a_minor, paid.label_1b_minor, paid.payable_minor) == (1_000, 20, 980)


def test_on_the_cash_basis_it_owes_it_when_it_is_paid() -> None:
    assert _stated(_invoice(), basis="cash") == Statement(0, 0, 0, 0)
    assert _stated(_invoice(), _charge(amount=5_500), basis="cash") == Statement(500, 0, 0, 0)
    assert _stated(_invoice(), _charge(), _fee(), basis="cash") == Statement(1_000, 0, 20, 0)


@pytest.mark.parametrize("basis", ["accrual", "cash"])
def test_refunds_in_parts_are_decreasing_adjustments_that_sum_to_the_cent(basis: Basis) -> None:
    """33.33 + 33.33 + 43.34: 3.03 + 3.03 + 3.94."""
    parts = [_refund(1, 3_333), _refund(2, 3_333), _refund(3, 4_334)]
    assert _stated(_invoice(), _charge(), parts[0], basis=basis) == Statement(1_000, 0, 0, 303)
    assert _stated(_invoice(), _charge(), *parts[:2], basis=basis) == Statement(1_000, 0, 0, 606)
    assert _stated(_invoice(), _charge(), *parts, basis=basis) == Statement(1_000, 0, 0, 1_000)


def test_a_bad_debt_is_relieved_where_its_gst_was_owed_and_owed_again_when_it_is_recovered() -> None:
    late = _charge(2, at=AT + 60 * DAY)
    assert _stated(_invoice(), deciding.write_off()) == Statement(1_000, 0, 0, 1_000)
    assert _stated(_invoice(), deciding.write_off(), late) == Statement(1_000, 1_000, 0, 1_000)
    assert _stated(_invoice(), deciding.write_off(), basis="cash") == Statement(0, 0, 0, 0)
    assert _stated(_invoice(), deciding.write_off(), late, basis="cash") == Statement(1_000, 0, 0, 0)


def test_a_credit_note_and_a_void_are_decreasing_adjustments() -> None:
    note = stripe("credit_note.created", money.credit_note(), at=AT + DAY)
    assert _stated(_invoice(), note) == Statement(1_000, 0, 0, 500)
    assert _stated(_invoice(), _invoice("invoice.voided", status="void")) == Statement(1_000, 0, 0, 1_000)


def test_the_fee_of_a_dispute_holds_a_credit() -> None:
    lost = stripe("charge.dispute.closed", money.dispute(status="lost", entries=(money.withdrawn(),)), at=AT + 20 * DAY)
    entry = answered(Key("stripe", "self", "balance_transaction", "txn_d1"), money.withdrawn())
    assert _stated(_invoice(), _charge(), lost, entry) == Statement(1_000, 0, 227, 0)


def test_a_month_is_closed_once_it_is_over_and_nothing_waits() -> None:
    today = date(2026, 11, 1)
    assert close(OCTOBER, closed_through=None, waiting=0, today=today) == Closed(OCTOBER)
    assert close(OCTOBER, closed_through=date(2026, 10, 31), waiting=0, today=today) is None
    assert close(OCTOBER, closed_through=date(2026, 12, 31), waiting=3, today=today) is None
    with pytest.raises(PeriodNotOverError, match="October 2026 is not over: it can be closed from 2026-11-01 on"):
        close(OCTOBER, closed_through=None, waiting=0, today=date(2026, 10, 31))
    with pytest.raises(WorkLeftError, match="2 deliveries from before the end of October 2026 wait"):
        close(OCTOBER, closed_through=None, waiting=2, today=today)


def test_a_period_is_a_month() -> None:
    assert Period.parse("2026-12").next_on == date(2027, 1, 1)
    assert (Period.parse("2028-02").ends_on, Period(2026, 2).words) == (date(2028, 2, 29), "February 2026")
    for text in ("2026-13", "2026-1", "26-10", "2026-10-01", ""):
        with pytest.raises(NoPeriodError):
            Period.parse(text)


def test_a_sheet_holds_no_formula() -> None:
    assert (
        sheets.lines([["=1+1", "@SUM(A1)", "-2", "Mark, Stevens", None]])
        == "'=1+1,'@SUM(A1),'-2,\"Mark, Stevens\",\r\n"
    )
    assert sheets.lines([[sheets.amount(-11_000, "AUD"), sheets.amount(500, "JPY")]]) == "-110.00,500\r\n"
    assert sheets.amount(1_234, "KWD") == Decimal("1.234")


def test_a_statement_as_a_sheet() -> None:
    found = sheets.statement(Statement(1_000, 0, 20, 303), "AUD").splitlines()
    assert found[0] == "label,what,amount,currency"
    assert found[3] == "1A,Total,10.00,AUD"
    assert found[6:] == ["1B,Total,3.23,AUD", ",Payable,6.77,AUD"]
