"""GoCardless payments: what events tell, and how their order at the provider decides."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import orjson
import pytest
from payments.collection.domain import PaymentView
from payments.collection.facts import DebitDescribed, DebitTold
from payments.collection.objects import CUSTOMER, DEBIT, Key
from payments.deliveries.domain import Unreadable
from payments.providers.interpreting import NotUnderstood, interpret, interpret_fetched

from tests.payments.pure import payloads
from tests.payments.pure.given import debit, debit_event, fetched
from tests.payments.pure.model import MARK, Books

RECEIVABLE, CLEARING = f"1100 member_receivable:{MARK.id}", "1200 clearing:gocardless"
PM = Key("gocardless", "self", DEBIT, "PM000MARK")


def _day(number: int) -> str:
    return f"2026-10-{number:02}T00:00:00.000Z"


def _life(*actions: str) -> Books:
    """One payment, one thing a day, its amount known from the start."""
    return Books().apply(fetched(), *(debit(action, _day(day)) for day, action in enumerate(actions, 2))).check()


def _payment(books: Books) -> PaymentView:
    (payment,) = books.view().payments
    return payment


def _keys(books: Books) -> list[str]:
    return [journal.economic_key.split(":")[0] for journal in books.journals]


def test_an_event_tells_what_happened_but_no_amount() -> None:
    (fact,) = debit("failed").facts
    assert isinstance(fact, DebitTold)
    assert (fact.debit, fact.action, fact.cause, fact.reason_code) == (PM, "failed", "insufficient_funds", "6")
    assert (fact.scheme, fact.origin, fact.will_attempt_retry) == ("becs", "bank", False)
    (bare,) = debit("confirmed", details=None).facts
    assert isinstance(bare, DebitTold)
    assert (bare.cause, bare.scheme) == (None, None)


@pytest.mark.parametrize("type_", ["payments.made_up", "subscriptions.created", "billing_requests.fulfilled", "x.y"])
def test_any_other_event_is_not_understood(type_: str) -> None:
    resource, action = type_.split(".")
    event = payloads.debit(action, resource_type=resource, links={"mandate": "MD1"}, details={})
    assert interpret(debit_event(event)) == NotUnderstood(type_)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"links": None}, "wrong_shape"),
        ({"links": {}}, "wrong_shape"),
        ({"links": {"payment": 5}}, "wrong_shape"),
        ({"details": "none"}, "wrong_shape"),
        ({"created_at": "soon"}, "bad_time"),
        ({"created_at": "2026-10-05T01:00:00"}, "bad_time"),
    ],
)
def test_an_event_that_cannot_be_used_says_why(changed: dict[str, object], reason: str) -> None:
    found = interpret(debit_event(payloads.debit("confirmed", id_="EV1") | changed))
    assert isinstance(found, Unreadable)
    assert (found.reason, found.event_id) == (reason, "EV1")


def test_the_payment_and_its_mandate_as_fetched_tell_amount_and_customer() -> None:
    (fact,) = fetched().facts
    assert isinstance(fact, DebitDescribed)
    assert (fact.amount_minor, fact.currency) == (11_000, "AUD")
    assert fact.customer == Key("gocardless", "self", CUSTOMER, "CU000MARK")


@pytest.mark.parametrize("wrong", [{}, {"payments": {"id": "PM2"}}, {"payments": []}, {"payments": None}])
def test_another_answer_than_asked_for_is_refused(wrong: object) -> None:
    answer = interpret_fetched(PM, orjson.dumps(wrong), at=datetime(2026, 10, 1, tzinfo=UTC), reference="f1")
    assert isinstance(answer, Unreadable)
    for amount in ("11000", -1, 1.5, None):
        body = orjson.dumps(payloads.fetched_debit(amount=amount))
        found = interpret_fetched(PM, body, at=datetime(2026, 10, 1, tzinfo=UTC), reference="f1")
        assert isinstance(found, Unreadable)
        assert found.reason == "bad_amount"


def test_until_it_is_fetched_a_payment_waits_and_nothing_is_posted() -> None:
    books = Books().apply(debit("submitted", _day(2)), debit("confirmed", _day(5)))
    payment = _payment(books)
    assert (payment.state, payment.amount_minor, payment.awaiting) == ("succeeded", None, ("awaiting payment",))
    assert [(fetch.key, fetch.after_seconds) for fetch in books.view().fetches] == [(PM, 0)]
    assert books.journals == []

    books.apply(fetched()).check()
    assert _payment(books).awaiting == ()
    assert books.view().fetches == ()
    assert books.balance(CLEARING) == 11_000
    assert {line.effective_at.day for line in books.lines()} == {2, 5}


@pytest.mark.parametrize(
    ("actions", "state", "clearing", "owed", "rounds"),
    [
        (["created"], "created", 0, 0, []),
        (["created", "submitted"], "submitted", 0, 11_000, ["submitted"]),
        (["submitted", "confirmed"], "succeeded", 11_000, 0, ["succeeded"]),
        (["submitted", "paid_out"], "paid_out", 11_000, 0, ["succeeded"]),
        (["submitted", "confirmed", "paid_out"], "paid_out", 11_000, 0, ["succeeded"]),
        (["submitted", "paid_out", "confirmed"], "paid_out", 11_000, 0, ["succeeded"]),
        (["submitted", "failed"], "failed", 0, 11_000, ["failed"]),
        (["failed"], "failed", 0, 11_000, ["failed"]),
        (["submitted", "failed", "submitted"], "submitted", 0, 11_000, ["failed", "submitted"]),
        (["submitted", "failed", "submitted", "confirmed"], "succeeded", 11_000, 0, ["failed", "succeeded"]),
        (["submitted", "failed", "confirmed"], "succeeded", 11_000, 0, ["failed", "succeeded"]),
        (["submitted", "confirmed", "failed"], "failed", 0, 11_000, ["reversed"]),
        (["submitted", "confirmed", "failed", "paid_out"], "failed", 0, 11_000, ["reversed"]),
        (["submitted", "confirmed", "paid_out", "late_failure_settled"], "failed", 0, 11_000, ["reversed"]),
        (["confirmed", "failed", "late_failure_settled"], "failed", 0, 11_000, ["reversed"]),
        (["confirmed", "failed", "submitted", "confirmed"], "succeeded", 11_000, 0, ["reversed", "succeeded"]),
        (
            ["confirmed", "failed", "submitted", "confirmed", "late_failure_settled"],
            "succeeded", 11_000, 0, ["reversed", "succeeded"],
        ),
        (["late_failure_settled"], "created", 0, 11_000, []),
        (["submitted", "confirmed", "paid_out", "charged_back"], "charged_back", 0, 11_000, ["charged_back"]),
        (["submitted", "charged_back"], "charged_back", 0, 11_000, ["charged_back"]),
        (["confirmed", "charged_back", "late_failure_settled"], "charged_back", 0, 11_000, ["charged_back"]),
        (["confirmed", "charged_back", "chargeback_settled"], "charged_back", 0, 11_000, ["charged_back"]),
        (["confirmed", "paid_out", "chargeback_settled"], "charged_back", 0, 11_000, ["charged_back"]),
        (["confirmed", "charged_back", "chargeback_cancelled"], "succeeded", 11_000, 0, ["charged_back"]),
        (
            ["confirmed", "charged_back", "chargeback_cancelled", "charged_back"],
            "charged_back", 0, 11_000, ["charged_back"],
        ),
        (["created", "cancelled"], "cancelled", 0, 0, []),
        (["created", "customer_approval_granted", "submitted"], "submitted", 0, 11_000, ["submitted"]),
        (["created", "customer_approval_denied"], "cancelled", 0, 0, []),
        (["submitted", "failed", "resubmission_requested"], "processing", 0, 11_000, ["failed"]),
        (["submitted", "resubmission_requested"], "processing", 0, 11_000, ["failed"]),
        (["confirmed", "resubmission_requested", "submitted"], "submitted", 0, 11_000, ["reversed", "submitted"]),
        (["submitted", "confirmed", "surcharge_fee_debited"], "succeeded", 11_000, 0, ["succeeded"]),
        (["submitted", "sds_settlement_delayed", "confirmed"], "succeeded", 11_000, 0, ["succeeded"]),
        (["submitted", "confirmed", "cancelled"], "succeeded", 11_000, 0, ["succeeded"]),
    ],
)  # fmt: skip
def test_a_life(actions: Sequence[str], state: str, clearing: int, owed: int, rounds: list[str]) -> None:
    books = _life(*actions)
    payment = _payment(books)
    assert payment.state == state
    assert [attempt.state for attempt in payment.attempts] == rounds
    assert (books.balance(CLEARING), books.balance(RECEIVABLE)) == (clearing, owed)
    waiting = 11_000 if state == "submitted" else 0
    assert books.balance(CLEARING, phase="pending") == waiting
    assert books.balance(RECEIVABLE, phase="pending") == -waiting


def test_a_failure_that_arrives_before_the_confirmation_it_followed_is_still_late() -> None:
    books = Books().apply(fetched(), debit("failed", _day(9)), debit("submitted", _day(3))).check()
    assert _keys(books)[-1] == "pending_end"
    books.apply(debit("confirmed", _day(6))).check()
    assert _payment(books).late_failure
    assert books.balance(CLEARING) == 0
    assert [line.effective_at.day for line in books.lines()] == [3, 6, 9]


def test_success_and_failure_in_one_millisecond_are_settled_by_what_is_fetched_afterwards() -> None:
    books = _life("submitted").apply(debit("confirmed", _day(6)), debit("failed", _day(6))).check()
    assert _payment(books).awaiting == ("awaiting order",)
    assert [fetch.key for fetch in books.view().fetches] == [PM]
    assert _payment(books).state == "failed"

    books.apply(fetched(at=datetime(2026, 10, 7, tzinfo=UTC), status="confirmed")).check()
    payment = _payment(books)
    assert (payment.state, payment.awaiting) == ("succeeded", ())
    assert books.balance(CLEARING) == 11_000


def test_a_settlement_proves_that_the_failure_in_the_same_millisecond_was_late() -> None:
    books = _life("submitted").apply(debit("failed", _day(6)), debit("confirmed", _day(6)))
    books.apply(debit("late_failure_settled", _day(9))).check()
    payment = _payment(books)
    assert (payment.state, payment.late_failure, payment.awaiting) == ("failed", True, ())


def test_reversals_and_ends_of_pending_name_what_they_take_back() -> None:
    books = _life("submitted", "confirmed", "failed", "submitted", "failed")
    named = {journal.source_key: journal.reverses for journal in books.journals if journal.reverses}
    prefix = "gocardless/self/payment/PM000MARK"
    assert named == {
        f"pending_end:{prefix}:1#1": f"pending:{prefix}:1#1",
        f"reversal:{prefix}:1#1": f"payment:{prefix}:1#1",
        f"pending_end:{prefix}:2#1": f"pending:{prefix}:2#1",
    }


def test_what_the_provider_will_do_itself_is_kept() -> None:
    details = {"cause": "insufficient_funds", "will_attempt_retry": True, "scheme": "becs"}
    books = Books().apply(fetched(), debit("submitted", _day(2)), debit("failed", _day(4), details=details))
    assert _payment(books).will_attempt_retry is True
    books.apply(debit("confirmed", _day(8)))
    assert _payment(books).will_attempt_retry is None
