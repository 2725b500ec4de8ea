"""Scenarios of the money lane in every order of arrival: the set of facts decides, arrival never.

Each is applied by one worker in every permutation, by two workers under random schedules, and with duplicates.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import permutations

import pytest

from tests.payments.pure import payloads
from tests.payments.pure.given import debit, fetched, stripe
from tests.payments.pure.model import MARK, Books, Input
from tests.payments.pure.payloads import BASIL, CLASSIC

RECEIVABLE = f"1100 member_receivable:{MARK.id}"


def _settled(books: Books) -> tuple[object, object, object]:
    return books.view(), books.net(), [(line.words, line.amount_minor, line.balance_minor) for line in books.lines()]


def _same_in_every_order(inputs: Sequence[Input], *, races: int = 4) -> Books:
    """Apply in every order, alone and racing; return the books of the order given."""
    events = sum(1 for each in inputs if each.type)
    expected = Books().apply(*inputs).check(events)
    for number, order in enumerate(permutations(inputs)):
        assert _settled(Books().apply(*order).check(events)) == _settled(expected)
        for race in range(races):
            schedule = random.Random(number * races + race)
            doubled = [*order, schedule.choice(order)]
            assert _settled(Books().race(doubled, schedule).check(events)) == _settled(expected)
    return expected


def _triple(version: str) -> list[Input]:
    link = None if version == BASIL else "in_1"
    return [
        stripe("charge.succeeded", payloads.charge(version=version, invoice=link), version=version),
        stripe("payment_intent.succeeded", payloads.intent(version=version, invoice=link), version=version),
        stripe("invoice.paid", payloads.invoice(version=version), version=version),
    ]


def test_three_events_of_one_payment_make_one_payment_one_posting_and_one_paid_invoice() -> None:
    """Scenario 1, before basil: the three name each other."""
    books = _same_in_every_order(_triple(CLASSIC))

    (payment,) = books.view().payments
    (invoice,) = books.view().invoices
    assert (payment.state, payment.amount_minor, payment.member) == ("succeeded", 11_000, MARK)
    assert (invoice.state, invoice.implied, invoice.payments) == ("paid", False, (payment.key,))
    assert books.balance("1200 clearing:stripe") == 11_000
    assert books.balance(RECEIVABLE) == 0
    assert books.balance("4100 membership_revenue") == -10_000
    assert books.balance("2100 gst_payable") == -1_000


def test_from_basil_on_the_invoice_payment_joins_what_shared_no_id() -> None:
    """Scenario 17: one clearing posting, one invoice paid, in every order over two workers."""
    inputs = [*_triple(BASIL), stripe("invoice_payment.paid", payloads.invoice_payment())]

    books = _same_in_every_order(inputs, races=8)

    (payment,) = books.view().payments
    (invoice,) = books.view().invoices
    assert (invoice.state, invoice.implied, invoice.payments) == ("paid", False, (payment.key,))
    assert books.balance("1200 clearing:stripe") == 11_000
    assert books.balance(RECEIVABLE) == 0
    assert books.balance("4100 membership_revenue") == -10_000
    assert [line.words for line in books.lines()] == ["Invoice MARK-0001", "Payment by card"]


def test_while_the_join_is_missing_the_payment_implies_an_invoice_of_its_own() -> None:
    """Nobody ends below zero by paying; the join takes the implied invoice back and nothing else."""
    books = Books().apply(*_triple(BASIL))
    assert books.balance(RECEIVABLE) == 11_000
    assert [invoice.implied for invoice in books.view().invoices] == [True, False]
    assert books.balance("2100 gst_payable") == -2_000

    books.apply(stripe("invoice_payment.paid", payloads.invoice_payment()))
    correction = books.journals[-1]
    assert (correction.kind, correction.reverses) == ("correction", "invoice:stripe/self/implied_invoice/pi_1#1")
    assert books.balance("2100 gst_payable") == -1_000
    assert books.balance("1200 clearing:stripe") == 11_000


@pytest.mark.parametrize("version", [CLASSIC, BASIL])
def test_failed_then_succeeded_in_one_second_is_paid_in_every_order(version: str) -> None:
    """Scenario 3: a charge that succeeded beats failures of other attempts, seconds decide nothing."""
    inputs = [
        stripe("charge.failed", payloads.charge("ch_0", failed=True, version=version), version=version),
        stripe(
            "payment_intent.payment_failed",
            payloads.intent(status="requires_payment_method", charge_id="ch_0", version=version),
            version=version,
        ),
        stripe("charge.succeeded", payloads.charge("ch_1", version=version), version=version),
        stripe("payment_intent.succeeded", payloads.intent(charge_id="ch_1", version=version), version=version),
    ]

    books = _same_in_every_order(inputs)

    (payment,) = books.view().payments
    assert (payment.state, payment.failure) == ("succeeded", None)
    assert {attempt.id: attempt.state for attempt in payment.attempts} == {"ch_0": "failed", "ch_1": "succeeded"}
    assert books.balance("1200 clearing:stripe") == 11_000


LATE_FAILURE = (
    ("submitted", "2026-10-03T01:00:00.000Z"),
    ("confirmed", "2026-10-06T01:00:00.000Z"),
    ("paid_out", "2026-10-07T01:00:00.000Z"),
    ("failed", "2026-10-09T01:00:00.000Z"),
    ("late_failure_settled", "2026-10-12T01:00:00.000Z"),
)


def test_a_direct_debit_that_fails_late_is_taken_back_once_in_every_order() -> None:
    """Scenario 4, what it posts: one reversal that names its original, the debt stands, nothing is pending."""
    inputs = [*(debit(action, at) for action, at in LATE_FAILURE), fetched()]

    books = _same_in_every_order(inputs, races=1)

    (payment,) = books.view().payments
    assert (payment.state, payment.late_failure, payment.will_attempt_retry) == ("failed", True, False)
    assert books.balance("1200 clearing:gocardless") == 0
    assert books.balance("1200 clearing:gocardless", phase="pending") == 0
    assert books.balance(RECEIVABLE) == 11_000
    (reversal,) = [each for each in books.journals if each.economic_key.startswith("reversal:")]
    assert (reversal.kind, reversal.reverses) == ("reversal", "payment:gocardless/self/payment/PM000MARK:1#1")
    assert [line.words for line in books.lines()] == [
        "Membership charge",
        "Direct debit",
        "Direct debit failed late",
    ]


def test_two_thousand_random_orders_of_many_events_with_duplicates_end_in_the_same_books() -> None:
    """A month: two card payments, one joined late, and a debit that fails, is retried and confirmed."""
    inputs = [
        *_triple(BASIL),
        stripe("invoice_payment.paid", payloads.invoice_payment()),
        stripe("invoice.payment_failed", payloads.invoice(status="open"), at=payloads.AT - 5),
        stripe("charge.failed", payloads.charge("ch_0", failed=True)),
        stripe("charge.succeeded", payloads.charge("ch_9", intent=None)),
        debit("submitted", "2026-10-02T00:00:00.000Z"),
        debit("failed", "2026-10-04T00:00:00.000Z"),
        debit("submitted", "2026-10-05T00:00:00.000Z"),
        debit("confirmed", "2026-10-08T00:00:00.000Z"),
        fetched(),
    ]
    events = sum(1 for each in inputs if each.type)
    expected = _settled(Books().apply(*inputs).check(events))
    chance = random.Random(17)

    for _ in range(2_000):
        order = [*inputs, *chance.choices(inputs, k=3)]
        chance.shuffle(order)
        assert _settled(Books().race(order, chance).check(events)) == expected


def test_the_same_inputs_in_the_same_order_give_the_same_journals() -> None:
    """What `rebuild` relies on: source keys and names included."""
    inputs = [*_triple(BASIL), stripe("invoice_payment.paid", payloads.invoice_payment())]
    chance = random.Random(3)
    for _ in range(20):
        chance.shuffle(inputs)
        assert Books().apply(*inputs).journals == Books().apply(*inputs).journals
