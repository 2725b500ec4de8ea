"""Which payment pays an invoice, where from basil on no event need tell: the invoice is asked."""

from __future__ import annotations

import pytest
from payments.collection.domain import Fetch

from tests.payments.pure import deciding, payloads
from tests.payments.pure.agreeing import posted, same_in_every_order
from tests.payments.pure.deciding import CH_1, DAY, IN_1
from tests.payments.pure.given import answered, stripe
from tests.payments.pure.model import MARK, Books, Input
from tests.payments.pure.payloads import AT

RECEIVABLE, GST, REVENUE, BAD = (
    f"1100 member_receivable:{MARK.id}",
    "2100 gst_payable",
    "4100 membership_revenue",
    "5200 bad_debts",
)
PAYERS = {"object": "list", "data": [{"payment": {"payment_intent": "pi_1", "type": "payment_intent"}}]}


def test_from_basil_on_the_invoice_of_a_payment_that_failed_is_asked_what_pays_it() -> None:
    told = [
        stripe("invoice.payment_failed", payloads.invoice(status="open", next_payment_attempt=AT + DAY), at=AT + 5),
        stripe("charge.failed", payloads.charge(failed=True), at=AT + 4),
    ]
    books = same_in_every_order(told)
    assert [(fetch.key, fetch.after_seconds) for fetch in books.view().fetches] == [(IN_1, 300)]
    (payment,) = books.view().payments
    assert (payment.invoice, payment.will_attempt_retry) == (None, None)

    read = answered(IN_1, payloads.invoice(status="open", payments=PAYERS))
    books = same_in_every_order([*told, read, deciding.write_off(of=CH_1)])
    assert books.view().fetches == ()
    (payment,) = books.view().payments
    assert (payment.invoice, payment.will_attempt_retry) == (IN_1, True)
    assert posted(books, "write_off") == {BAD: 10_000, GST: 1_000, RECEIVABLE: -11_000}


def test_from_basil_on_a_paid_invoice_is_asked_what_paid_it_where_nobody_tells() -> None:
    """An endpoint that is sent no invoice payments: what the payment implied goes once the invoice names it."""
    told = [
        stripe("invoice.payment_succeeded", payloads.invoice(), at=AT + 5),
        stripe("charge.succeeded", payloads.charge()),
    ]
    books = same_in_every_order(told)
    assert [(fetch.key, fetch.after_seconds) for fetch in _asks_what_pays(books)] == [(IN_1, 300)]
    assert books.balance(REVENUE) == -20_000

    books = same_in_every_order([*told, answered(IN_1, payloads.invoice(payments=PAYERS))])
    assert _asks_what_pays(books) == []
    assert (books.balance(REVENUE), books.balance(GST), books.balance(RECEIVABLE)) == (
        -10_000,
        -1_000,
        0,
    )


@pytest.mark.parametrize(
    "told",
    [
        [stripe("invoice.paid", payloads.invoice()), stripe("invoice_payment.paid", payloads.invoice_payment())],
        [stripe("invoice.paid", payloads.invoice(amount_paid=0))],
        [stripe("invoice.paid", payloads.invoice(total=0, amount_due=0, amount_paid=0, total_taxes=[]))],
    ],
    ids=["joined", "paid outside Stripe", "nothing to pay"],
)
def test_a_paid_invoice_that_says_enough_is_not_asked_what_paid_it(told: list[Input]) -> None:
    assert _asks_what_pays(same_in_every_order(told)) == []


def _asks_what_pays(books: Books) -> list[Fetch]:
    return [fetch for fetch in books.view().fetches if "what pays it" in fetch.why]
