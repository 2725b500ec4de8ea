"""The posting table, row by row: for A$110.00 including GST, exactly what each fact debits and credits, in cents.

`given` stands before; `when` is the fact; what it posts are whole journals, in the order of their posting. A row that
names `of` looks at these journals alone: the payment may have posted what it is for at the same time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import pytest
from payments.collection.objects import ENTRY, INVOICE, Key
from payments.ledger.domain import Journal, Phase

from tests.payments.pure import deciding, payloads
from tests.payments.pure import payloads_money as money
from tests.payments.pure.deciding import DAY
from tests.payments.pure.given import answered, debit, fetched, stripe
from tests.payments.pure.model import MARK, MEMBERS, Books, Input
from tests.payments.pure.payloads import AT, CLASSIC, Json

OWED, CREDIT = f"1100 member_receivable:{MARK.id}", f"2200 member_credit:{MARK.id}"
PAYABLE, STRANGERS = f"2300 refunds_payable:{MARK.id}", "2300 refunds_payable:unidentified:stripe"
STRIPE, GOCARDLESS, OTHER = "1200 clearing:stripe", "1200 clearing:gocardless", "1290 other_receipts"
TRANSIT, BANK, CLAIMED, HELD = (
    "1250 payout_in_transit",
    "1300 bank",
    "1400 gst_input_credits",
    "1500 dispute_held:stripe",
)
GST, DEFERRED, UNKNOWN = "2100 gst_payable", "2150 gst_deferred", "2400 unidentified_receipts:stripe"
REVENUE, REFUNDED, RECOVERED = "4100 membership_revenue", "4190 refunds_allowances", "4300 bad_debts_recovered"
FEES, DISPUTE_FEES, BAD = "5100 provider_fees", "5110 dispute_fees", "5200 bad_debts"
Amounts = Mapping[str, int]


@dataclass(frozen=True)
class Posts:
    """One journal: what it debits and credits."""

    debit: Amounts
    credit: Amounts


@dataclass(frozen=True)
class Row:
    """One row of the table."""

    fact: str
    when: Input
    posts: tuple[Posts, ...]
    given: tuple[Input, ...] = ()
    of: tuple[str, ...] = ()
    phase: Phase = "posted"
    known: bool = True


def row(fact: str, when: Input, debit: Amounts, credit: Amounts, *given: Input, **more: Any) -> Row:
    return Row(fact, when, (Posts(debit, credit),), given, **more)


def _invoice(type_: str = "invoice.finalized", *, status: str = "open", at: int = AT, **more: Any) -> Input:
    return stripe(type_, payloads.invoice(status=status, version=CLASSIC, **more), version=CLASSIC, at=at)


def _charge(number: int = 1, *, invoice: str | None = "in_1", at: int = AT + 60, **more: Any) -> Input:
    shown = payloads.charge(f"ch_{number}", intent=f"pi_{number}", version=CLASSIC, invoice=invoice, at=at, **more)
    type_ = "charge.failed" if more.get("failed") else "charge.succeeded"
    return stripe(type_, shown, version=CLASSIC, at=at + 20 * DAY if more.get("failed") else at)


def _refund(amount: int, status: str, type_: str, *, day: int = 1) -> Input:
    return stripe(type_, money.refund(amount=amount, status=status), at=AT + day * DAY)


def _entry(shown: Json) -> Input:
    return answered(Key("stripe", "self", ENTRY, str(shown["id"])), shown)


def _fee_of_a_dispute(id_: str, fee: int, gst: int) -> Input:
    about: Any = {"type_": "adjustment", "category": "fee", "source": {"id": "du_1", "object": "dispute"}}
    return _entry(money.entry(id_, amount=0, fee=fee, gst=gst, **about))


def _payout(what: str, status: str, *, amount: int = 10_783, day: int = 3) -> Input:
    return stripe(f"payout.{what}", money.payout(amount=amount, status=status), at=AT + day * DAY)


def _debit(action: str, day: int) -> Input:
    return debit(action, f"2026-10-{day:02}T00:00:00.000Z")


def _dispute(what: str, status: str, *entries: Json, day: int = 1) -> Input:
    return stripe(f"charge.dispute.{what}", money.dispute(status=status, entries=entries), at=AT + day * DAY)


PAID: Final = (_invoice(), _charge())
SECOND: Final = stripe(
    "invoice.finalized",
    payloads.invoice("in_2", status="open", version=CLASSIC, intent_id=None, total=5_000, tax=455, number="MARK-0002"),
    version=CLASSIC,
    at=AT + DAY,
)
CONFIRMED: Final = (fetched(), _debit("submitted", 2), _debit("confirmed", 5))
TABLE: Final = (
    row("invoice issued", _invoice(), {OWED: 11_000}, {REVENUE: 10_000, GST: 1_000}),
    row("payment succeeded", _charge(), {STRIPE: 11_000}, {OWED: 11_000}, _invoice()),
    row(
        "Stripe fee 217, GST inside",
        _entry(money.entry("txn_3PZk", fee=217, gst=20)),
        {FEES: 197, CLAIMED: 20},
        {STRIPE: 217},
        *PAID,
    ),
    row("payout created", _payout("created", "in_transit"), {TRANSIT: 10_783}, {STRIPE: 10_783}),
    row(
        "payout on the bank statement",
        deciding.banked(at=AT + 4 * DAY),
        {BANK: 10_783},
        {TRANSIT: 10_783},
        _payout("created", "in_transit"),
    ),
    row(
        "payout failed",
        _payout("failed", "failed", day=5),
        {STRIPE: 10_783},
        {TRANSIT: 10_783},
        _payout("created", "in_transit"),
    ),
    Row(
        "payout failed, if it stood on the statement",
        _payout("failed", "failed", day=5),
        (Posts({STRIPE: 10_783}, {TRANSIT: 10_783}), Posts({TRANSIT: 10_783}, {BANK: 10_783})),
        (_payout("created", "in_transit"), deciding.banked(at=AT + 4 * DAY)),
    ),
    row("negative payout", _payout("created", "in_transit", amount=-500), {STRIPE: 500}, {TRANSIT: 500}),
    row(
        "negative payout on the bank statement",
        deciding.banked(at=AT + 4 * DAY),
        {TRANSIT: 500},
        {BANK: 500},
        _payout("created", "in_transit", amount=-500),
    ),
    row(
        "direct debit submitted (pending phase)",
        _debit("submitted", 2),
        {GOCARDLESS: 11_000},
        {OWED: 11_000},
        fetched(),
        phase="pending",
    ),
    row(
        "the same confirmed (pending phase)",
        _debit("confirmed", 5),
        {OWED: 11_000},
        {GOCARDLESS: 11_000},
        *CONFIRMED[:2],
        phase="pending",
    ),
    row(
        "the same failed (pending phase)",
        _debit("failed", 5),
        {OWED: 11_000},
        {GOCARDLESS: 11_000},
        *CONFIRMED[:2],
        phase="pending",
    ),
    row("direct debit confirmed", CONFIRMED[2], {GOCARDLESS: 11_000}, {OWED: 11_000}, *CONFIRMED[:2]),
    row("late failure after success", _debit("failed", 9), {OWED: 11_000}, {GOCARDLESS: 11_000}, *CONFIRMED),
    row("chargeback after success", _debit("charged_back", 9), {OWED: 11_000}, {GOCARDLESS: 11_000}, *CONFIRMED),
    row("late failure of a card payment", _charge(failed=True), {OWED: 11_000}, {STRIPE: 11_000}, *PAID),
    row(
        "refund requested",
        _refund(11_000, "pending", "refund.created"),
        {REFUNDED: 10_000, GST: 1_000},
        {PAYABLE: 11_000},
        *PAID,
    ),
    row(
        "refund paid",
        _refund(11_000, "succeeded", "refund.updated", day=2),
        {PAYABLE: 11_000},
        {STRIPE: 11_000},
        *PAID,
        _refund(11_000, "pending", "refund.created"),
    ),
    row(
        "refund later failed",
        _refund(11_000, "failed", "refund.failed", day=3),
        {STRIPE: 11_000},
        {PAYABLE: 11_000},
        *PAID,
        _refund(11_000, "succeeded", "refund.created"),
    ),
    row(
        "partial refund 5000",
        _refund(5_000, "pending", "refund.created"),
        {REFUNDED: 4_545, GST: 455},
        {PAYABLE: 5_000},
        *PAID,
    ),
    row(
        "dispute funds withdrawn, fee f, its GST g",
        _entry(money.withdrawn(fee=2_500, gst=227)),
        {HELD: 11_000, DISPUTE_FEES: 2_273, CLAIMED: 227},
        {STRIPE: 13_500},
        *PAID,
        _dispute("created", "needs_response"),
    ),
    row(
        "dispute won",
        _entry(money.reinstated(fee=0, gst=0)),
        {STRIPE: 11_000},
        {HELD: 11_000},
        *PAID,
        _entry(money.withdrawn()),
        _dispute("closed", "won", day=9),
    ),
    row(
        "dispute lost, debt stands",
        _dispute("closed", "lost", money.withdrawn(), day=20),
        {OWED: 11_000},
        {HELD: 11_000},
        *PAID,
        _dispute("created", "needs_response", money.withdrawn()),
    ),
    row("write-off", deciding.write_off(), {BAD: 10_000, GST: 1_000}, {OWED: 11_000}, _invoice()),
    row(
        "recovery after write-off",
        _charge(2, at=AT + 60 * DAY),
        {STRIPE: 11_000},
        {RECOVERED: 10_000, GST: 1_000},
        _invoice(),
        deciding.write_off(),
    ),
    row("bad debt, 12 months overdue", deciding.long_overdue(), {GST: 1_000}, {DEFERRED: 1_000}, _invoice()),
    row(
        "payment of a debt that was 12 months overdue",
        _charge(at=AT + 500 * DAY),
        {STRIPE: 11_000, DEFERRED: 1_000},
        {OWED: 11_000, GST: 1_000},
        _invoice(),
        deciding.long_overdue(),
    ),
    row("unknown payer", _charge(invoice=None), {STRIPE: 11_000}, {UNKNOWN: 11_000}, known=False),
    row(
        "unknown payer matched",
        deciding.matched(),
        {UNKNOWN: 11_000},
        {OWED: 11_000},
        _charge(invoice=None),
        of=("payment",),
        known=False,
    ),
    row("overpayment", _charge(amount=12_000), {STRIPE: 12_000}, {OWED: 11_000, CREDIT: 1_000}, _invoice()),
    row(
        "refund of an overpayment, requested",
        _refund(1_000, "pending", "refund.created"),
        {CREDIT: 1_000},
        {PAYABLE: 1_000},
        _invoice(),
        _charge(amount=12_000),
    ),
    row(
        "refund of an overpayment, paid",
        _refund(1_000, "succeeded", "refund.updated", day=2),
        {PAYABLE: 1_000},
        {STRIPE: 1_000},
        _invoice(),
        _charge(amount=12_000),
        _refund(1_000, "pending", "refund.created"),
    ),
    row(
        "refund of unidentified money, requested",
        _refund(11_000, "pending", "refund.created"),
        {UNKNOWN: 11_000},
        {STRANGERS: 11_000},
        _charge(invoice=None),
        known=False,
    ),
    row(
        "refund of unidentified money, paid",
        _refund(11_000, "succeeded", "refund.updated", day=2),
        {STRANGERS: 11_000},
        {STRIPE: 11_000},
        _charge(invoice=None),
        _refund(11_000, "pending", "refund.created"),
        known=False,
    ),
    row(
        "credit applied to an invoice",
        deciding.credit(5_000, of=Key("stripe", "self", INVOICE, "in_2")),
        {CREDIT: 5_000},
        {OWED: 5_000},
        *PAID,
        _charge(2, at=AT + 120),
        SECOND,
    ),
    row(
        "credit note",
        stripe("credit_note.created", money.credit_note(total=11_000, tax=1_000), at=AT + DAY),
        {REFUNDED: 10_000, GST: 1_000},
        {OWED: 11_000},
        _invoice(),
    ),
    row(
        "invoice voided",
        _invoice("invoice.voided", status="void", at=AT + DAY),
        {REVENUE: 10_000, GST: 1_000},
        {OWED: 11_000},
        _invoice(),
    ),
    row(
        "invoice paid out of band",
        _invoice("invoice.paid", status="paid", at=AT + DAY, amount_paid=0, paid_out_of_band=True, charge_id=None),
        {OTHER: 11_000},
        {OWED: 11_000},
        _invoice(),
    ),
    row(
        "invoice paid outside, as staff record it",
        deciding.paid_outside(11_000),
        {OTHER: 11_000},
        {OWED: 11_000},
        _invoice(),
    ),
    row(
        "chargeback cancelled",
        _debit("chargeback_cancelled", 12),
        {GOCARDLESS: 11_000},
        {OWED: 11_000},
        *CONFIRMED,
        _debit("charged_back", 9),
    ),
    row(
        "dispute countered",
        _fee_of_a_dispute("txn_c1", 2_500, 227),
        {DISPUTE_FEES: 2_273, CLAIMED: 227},
        {STRIPE: 2_500},
        *PAID,
        _dispute("created", "needs_response"),
    ),
    row(
        "dispute countered and won",
        _fee_of_a_dispute("txn_c2", -2_500, -227),
        {STRIPE: 2_500},
        {DISPUTE_FEES: 2_273, CLAIMED: 227},
        *PAID,
        _dispute("created", "needs_response"),
        _fee_of_a_dispute("txn_c1", 2_500, 227),
    ),
    row(
        "provider account fee (not of one payment)",
        _entry(money.entry("txn_fee", amount=-550, type_="stripe_fee", source=None)),
        {FEES: 550},
        {STRIPE: 550},
    ),
    row(
        "provider account fee, its GST",
        _entry(money.entry("txn_tax", amount=-55, type_="tax_fee", source=None)),
        {CLAIMED: 55},
        {STRIPE: 55},
    ),
)


def posted(journal: Journal) -> Posts:
    return Posts(
        {each.account: each.amount_minor for each in journal.entries if each.amount_minor > 0},
        {each.account: -each.amount_minor for each in journal.entries if each.amount_minor < 0},
    )


@pytest.mark.parametrize("row", TABLE, ids=lambda each: each.fact)
def test_each_fact_posts_what_the_table_says(row: Row) -> None:
    books = Books(members=dict(MEMBERS) if row.known else {}).apply(*row.given).check()
    before = len(books.journals)
    books.apply(row.when).check()
    added = [
        journal
        for journal in books.journals[before:]
        if journal.entries[0].phase == row.phase and (not row.of or journal.economic_key.partition(":")[0] in row.of)
    ]
    assert [posted(journal) for journal in added] == list(row.posts)


def test_no_fact_stands_in_the_table_twice() -> None:
    assert len({each.fact for each in TABLE}) == len(TABLE)
