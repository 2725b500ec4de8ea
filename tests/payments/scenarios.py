"""The acceptance scenarios of the money lane, by number: what is given, in whatever order, and what must then hold.

Each row is applied in memory in every order (`pure/test_scenarios.py`) and through PostgreSQL by two workers at once
(`test_two_workers.py`). What is about something else than the order of arrival is proved by the tests named in
`PROVED`. Scenarios 5 and 12 are about collecting again and stand in `test_recovery.py` and `pure/test_retry_plans.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from payments.collection.objects import PAYOUT, Key, customer_key

from tests.payments.pure import payloads
from tests.payments.pure import payloads_money as money
from tests.payments.pure.given import answered, debit, fetched, gocardless, stripe
from tests.payments.pure.model import MARK, Books, Input, Known
from tests.payments.pure.payloads import AT, BASIL, CLASSIC, Json

RECEIVABLE, CREDIT = f"1100 member_receivable:{MARK.id}", f"2200 member_credit:{MARK.id}"
PAYABLE = f"2300 refunds_payable:{MARK.id}"
CLEARING, GOCARDLESS, TRANSIT = "1200 clearing:stripe", "1200 clearing:gocardless", "1250 payout_in_transit"
SUSPENSE, HELD = "2400 unidentified_receipts:stripe", "1500 dispute_held:stripe"
REVENUE, GST, ALLOWANCES = "4100 membership_revenue", "2100 gst_payable", "4190 refunds_allowances"
FEES, DISPUTE_FEES, CLAIMED = "5100 provider_fees", "5110 dispute_fees", "1400 gst_input_credits"
DELIVERIES: Final = 50
LATE_FAILURE: Final = (
    ("submitted", "2026-10-03T01:00:00.000Z"),
    ("confirmed", "2026-10-06T01:00:00.000Z"),
    ("paid_out", "2026-10-07T01:00:00.000Z"),
    ("failed", "2026-10-09T01:00:00.000Z"),
    ("late_failure_settled", "2026-10-12T01:00:00.000Z"),
)


@dataclass(frozen=True)
class Scenario:
    """One scenario. `repeated` is how many deliveries come again at most; `strangers`: nobody is known beforehand."""

    number: int
    title: str
    given: tuple[Input | Known, ...]
    holds: Callable[[Books], None]
    repeated: int = 3
    strangers: bool = False

    def __str__(self) -> str:
        return f"{self.number}: {self.title}"


def invoice() -> Input:
    return stripe("invoice.finalized", payloads.invoice(status="open", version=CLASSIC), version=CLASSIC)


def charge(
    id_: str = "ch_1", *, paying: str | None = "in_1", at: int = AT, version: str = CLASSIC, **more: Any
) -> Input:
    shown = payloads.charge(id_, version=version, invoice=paying, at=at, **more)
    return stripe("charge.failed" if more.get("failed") else "charge.succeeded", shown, at=at, version=version)


def intent(version: str, *, paying: str | None = None, **more: Any) -> Input:
    shown = payloads.intent(version=version, invoice=paying, **more)
    failed = shown["status"] == "requires_payment_method"
    return stripe(f"payment_intent.{'payment_failed' if failed else 'succeeded'}", shown, version=version)


def refund(
    id_: str = "re_1", type_: str = "refund.created", *, days: int = 1, told_days: int = 0, **more: Any
) -> Input:
    at = AT + days * money.DAY
    return stripe(type_, money.refund(id_, at=at, **more), at=at + told_days * money.DAY)


def dispute(what: str, *, status: str = "needs_response", entries: tuple[Json, ...] = (), days: int = 1) -> Input:
    shown = money.dispute(status=status, entries=entries)
    return stripe(f"charge.dispute.{what}", shown, id_=f"evt_{what}_{status}_du_1", at=AT + days * money.DAY)


def payout(id_: str, amount: int, *items: Json) -> Input:
    """What GoCardless answers about a payout and its lines."""
    key = Key("gocardless", "self", PAYOUT, id_)
    return answered(key, money.fetched_payout(id_, amount=amount, items=list(items)))


def triple(version: str) -> tuple[Input, ...]:
    """The three events that tell of one paid invoice."""
    link = None if version == BASIL else "in_1"
    return (
        charge(paying=link, version=version),
        intent(version, paying=link),
        stripe("invoice.paid", payloads.invoice(version=version), version=version),
    )


def _paid(books: Books) -> None:
    (payment,) = books.view().payments
    (found,) = books.view().invoices
    assert (payment.state, payment.amount_minor, payment.member) == ("succeeded", 11_000, MARK)
    assert (found.state, found.implied, found.payments) == ("paid", False, (payment.key,))
    assert (books.balance(CLEARING), books.balance(RECEIVABLE)) == (11_000, 0)
    assert (books.balance(REVENUE), books.balance(GST)) == (-10_000, -1_000)
    assert [line.words for line in books.lines()] == ["Invoice MARK-0001", "Payment by card"]


def _succeeded_after_all(books: Books) -> None:
    (payment,) = books.view().payments
    assert (payment.state, payment.failure) == ("succeeded", None)
    assert {attempt.id: attempt.state for attempt in payment.attempts} == {"ch_0": "failed", "ch_1": "succeeded"}
    assert books.balance(CLEARING) == 11_000


def _one_journal(books: Books) -> None:
    assert books.balance(CLEARING) == 11_000
    posted = [journal.economic_key.split(":")[0] for journal in books.journals]
    assert posted == ["invoice", "payment"]


def _taken_back_once(books: Books) -> None:
    (payment,) = books.view().payments
    assert (payment.state, payment.late_failure, payment.will_attempt_retry) == ("failed", True, False)
    assert (books.balance(GOCARDLESS), books.balance(GOCARDLESS, phase="pending")) == (0, 0)
    assert (books.balance(TRANSIT), books.balance(RECEIVABLE)) == (0, 11_000)
    assert [payout.difference_minor for payout in books.view().payouts] == [0, 0]
    ((key, at),) = {(key, at) for key, _, at, _ in books.net() if key.startswith("reversal:")}
    (reversal,) = [each for each in books.journals if (each.economic_key, each.effective_at) == (key, at)]
    assert reversal.kind == "reversal"
    assert (reversal.reverses or "").startswith("payment:gocardless/self/payment/PM000MARK:1#")
    assert [line.words for line in books.lines()] == ["Membership charge", "Direct debit", "Direct debit failed late"]


def _each_by_itself(books: Books) -> None:
    states = sorted((payment.key.id, payment.state) for payment in books.view().payments)
    assert states == [("PM000MARK", "succeeded"), ("ch_9", "succeeded"), ("pi_1", "succeeded")]
    assert (books.balance(CLEARING), books.balance(GOCARDLESS)) == (22_000, 11_000)
    assert books.balance(RECEIVABLE) == 0


def _owed_back_nothing(books: Books) -> None:
    assert books.view().refunds == ()
    assert (books.balance(PAYABLE), books.balance(CLEARING), books.balance(GST)) == (0, 0, 0)


def _asked_for(books: Books) -> None:
    assert books.journals == []
    assert [(fetch.key.id, fetch.after_seconds) for fetch in books.view().fetches] == [("ch_1", 60)]


def _all_given_back(books: Books) -> None:
    (payment,) = books.view().payments
    states = {each.key.id: each.state for each in payment.refunds}
    assert [states[f"re_{number}"] for number in (1, 2, 3)] == ["paid"] * 3
    assert states.get("re_4", "refused") == "refused"
    assert [_of_refund(books, f"re_{number}", GST) for number in (1, 2, 3)] == [303, 303, 394]
    assert (books.balance(GST), books.balance(PAYABLE), books.balance(CLEARING)) == (0, 0, 0)
    assert payment.awaiting == (("awaiting review",) if "re_4" in states else ())


def _owed_again(books: Books) -> None:
    assert [_of_refund(books, f"re_{number}", GST) for number in (1, 2, 3)] == [303, 303, 394]
    assert (books.balance(GST), books.balance(PAYABLE), books.balance(CLEARING)) == (0, -3_333, 3_333)
    back = [journal for journal in books.journals if journal.economic_key.startswith("refund_failed:")]
    assert {(journal.kind, (journal.reverses or "").partition("#")[0]) for journal in back} == {
        ("reversal", "refund_paid:stripe/self/refund/re_1")
    }


def _of_refund(books: Books, id_: str, account: str) -> int:
    key = f"refund:stripe/self/refund/{id_}"
    return sum(amount for (economic, of, _, _), amount in books.net().items() if (economic, of) == (key, account))


def _nothing_taken(books: Books) -> None:
    (payment,) = books.view().payments
    assert [(each.status, each.refundable) for each in payment.disputes] == [("inquiry_closed", True)]
    assert (books.balance(CLEARING), books.balance(HELD), books.balance(DISPUTE_FEES)) == (11_000, 0, 0)


def _won(books: Books) -> None:
    assert (books.balance(HELD), books.balance(CLEARING), books.balance(RECEIVABLE)) == (0, 11_000, 0)
    assert (books.balance(DISPUTE_FEES), books.balance(CLAIMED)) == (0, 0)


def _lost(books: Books) -> None:
    assert (books.balance(HELD), books.balance(CLEARING), books.balance(RECEIVABLE)) == (0, -2_500, 11_000)
    assert (books.balance(DISPUTE_FEES), books.balance(CLAIMED)) == (2_273, 227)
    assert [line.words for line in books.lines()] == ["Invoice MARK-0001", "Payment by card", "Dispute lost"]


def _never_nets(books: Books) -> None:
    assert books.balance(RECEIVABLE) == 11_000
    assert (books.balance(CLEARING, "NZD"), books.balance(SUSPENSE, "NZD")) == (11_000, -11_000)
    assert books.balance(CLEARING) == 0
    (found,) = books.view().invoices
    assert found.state == "open"


def _matched_at_its_time(books: Books) -> None:
    assert (books.balance(SUSPENSE), books.balance(CLEARING), books.balance(RECEIVABLE)) == (0, 22_000, 0)
    assert {line.effective_at.timestamp() for line in books.lines()} == {AT - 10, AT}


def _reconciles(books: Books) -> None:
    (told,) = books.view().payouts
    assert (told.listed_tenths, told.difference_minor) == (32_615, 0)
    assert (told.fee_minor, told.gst_minor) == (73, 7)
    assert books.balance(GOCARDLESS) == 0
    assert (books.balance(FEES), books.balance(CLAIMED), books.balance(TRANSIT)) == (66, 7, 3_262)


def _names_the_amount(books: Books) -> None:
    (told,) = books.view().payouts
    assert told.difference_minor == -150
    assert books.balance(TRANSIT) == 10_850


_JOINED = (*triple(BASIL), stripe("invoice_payment.paid", payloads.invoice_payment()))
_THIRDS = tuple(
    refund(f"re_{number}", amount=amount, days=number) for number, amount in enumerate((3_333, 3_333, 4_334), 1)
)
_TAKEN = (money.withdrawn(),)
_RETURNED = (money.withdrawn(), money.reinstated())
_PO = money.gocardless_event("payouts", "paid", {"payout": "PO000OCTOBER"})

SCENARIOS: Final = (
    Scenario(1, "three events of one payment", triple(CLASSIC), _paid),
    Scenario(2, "one event fifty times", (charge(paying=None),), _one_journal, repeated=DELIVERIES - 1),
    *(
        Scenario(
            3,
            f"failed and succeeded in the same second, {version}",
            (
                charge("ch_0", failed=True, paying=None, version=version),
                intent(version, status="requires_payment_method", charge_id="ch_0"),
                charge(paying=None, version=version),
                intent(version),
            ),
            _succeeded_after_all,
        )
        for version in (CLASSIC, BASIL)
    ),
    Scenario(
        4,
        "a debit fails after it was paid out, and the next payout nets it",
        (
            *(debit(action, at) for action, at in LATE_FAILURE),
            fetched(),
            payout("PO_FIRST", 11_000, money.item("payment_paid_out", "11000.0")),
            payout("PO_SECOND", -11_000, money.item("payment_failed", "-11000.0")),
        ),
        _taken_back_once,
    ),
    Scenario(
        6,
        "many events of several payments, one of a type that nobody knows",
        (
            *_JOINED,
            stripe("invoice.payment_failed", payloads.invoice(status="open"), at=AT - 5),
            charge("ch_0", failed=True, paying=None, version=BASIL),
            charge("ch_9", intent=None, paying=None, version=BASIL),
            debit("submitted", "2026-10-02T00:00:00.000Z"),
            debit("failed", "2026-10-04T00:00:00.000Z"),
            debit("submitted", "2026-10-05T00:00:00.000Z"),
            debit("confirmed", "2026-10-08T00:00:00.000Z"),
            fetched(),
        ),
        _each_by_itself,
    ),
    Scenario(7, "a refund before its charge", (refund(), charge(paying=None), intent(CLASSIC)), _owed_back_nothing),
    Scenario(7, "a refund whose charge never comes", (refund(),), _asked_for),
    Scenario(8, "three refunds sum to the cent", (invoice(), charge(), *_THIRDS), _all_given_back),
    Scenario(
        8,
        "a fourth refund is refused",
        (invoice(), charge(), *_THIRDS, refund("re_4", amount=1, days=4)),
        _all_given_back,
    ),
    Scenario(
        8,
        "a refund comes back and is owed again",
        (
            invoice(),
            charge(),
            *_THIRDS,
            refund("re_1", "refund.failed", status="failed", amount=3_333, days=1, later=5),
        ),
        _owed_again,
    ),
    Scenario(
        9,
        "an inquiry takes nothing",
        (
            invoice(),
            charge(),
            dispute("created", status="warning_needs_response"),
            dispute("closed", status="warning_closed", days=9),
        ),
        _nothing_taken,
    ),
    Scenario(
        9,
        "a dispute is won",
        (
            invoice(),
            charge(),
            dispute("created"),
            dispute("funds_withdrawn", entries=_TAKEN),
            dispute("funds_reinstated", status="won", entries=_RETURNED, days=9),
            dispute("closed", status="won", entries=_RETURNED, days=9),
        ),
        _won,
    ),
    Scenario(
        9,
        "a dispute is lost",
        (
            invoice(),
            charge(),
            dispute("created"),
            dispute("funds_withdrawn", entries=_TAKEN),
            dispute("closed", status="lost", entries=_TAKEN, days=9),
        ),
        _lost,
    ),
    Scenario(
        10,
        "New Zealand dollars for an Australian invoice",
        (invoice(), charge(currency="nzd"), intent(CLASSIC, paying="in_1", currency="nzd")),
        _never_nets,
    ),
    Scenario(
        11,
        "money of a customer who is known later",
        (
            Known(customer_key("stripe", payloads.CUSTOMER), MARK),
            charge(paying=None),
            invoice(),
            charge("ch_2", intent="pi_2"),
        ),
        _matched_at_its_time,
        strangers=True,
    ),
    Scenario(
        14,
        "a payout with half cents, a failure and its fee given back",
        (
            *(debit(action, at) for action, at in LATE_FAILURE),
            fetched(),
            debit("confirmed", "2026-10-06T02:00:00.000Z", payment="PM2"),
            fetched("PM2", amount=3_335),
            gocardless(_PO),
            payout(
                "PO000OCTOBER",
                3_262,
                money.item("payment_paid_out", "3335.0", payment="PM2"),
                money.item("gocardless_fee", "-73.5", tax="6.7", payment="PM2"),
                money.item("payment_failed", "-11000.0"),
                money.item("gocardless_fee", "150.0", tax="13.6"),
                money.item("payment_paid_out", "11000.0"),
                money.item("gocardless_fee", "-150.0", tax="13.6"),
            ),
        ),
        _reconciles,
    ),
    Scenario(
        14,
        "a payout of which a line is missing",
        (gocardless(_PO), payout("PO000OCTOBER", 10_850, money.item("payment_paid_out", "11000.0"))),
        _names_the_amount,
    ),
    Scenario(17, "from basil on, joined by the invoice payment alone", _JOINED, _paid),
    Scenario(18, "a refund beside its charge", (refund(), charge(paying=None)), _owed_back_nothing),
)

PROVED: Final[Mapping[int, tuple[str, ...]]] = {
    2: ("test_ingress_processes.py::test_equal_deliveries_at_once_over_four_processes_are_one_event",),
    6: (
        "test_ingress.py::test_250_events_in_one_body_with_one_malformed_one_unknown_and_one_repeated",
        "test_dead_letters.py::test_an_item_that_can_be_read_by_now_is_applied_once",
        "test_replays.py::test_a_dry_run_counts_exactly_what_a_run_then_does",
    ),
    13: (
        "test_ingress.py::test_a_forged_stripe_delivery_is_refused_kept_and_not_interpreted",
        "test_ingress.py::test_a_forged_gocardless_delivery_is_refused_with_498",
        "test_rejection_reports.py::test_only_minutes_with_more_than_ten_are_told_each_once_with_its_reasons",
    ),
    15: (
        "test_crash_points.py::test_a_worker_may_die_at_any_moment",
        "test_crash_points.py::test_an_ingress_may_die_at_any_moment",
    ),
    16: ("test_ledger_verification.py::test_it_finds_what_was_changed_behind_the_guards",),
}
"""The tests that prove what no order of arrival can show."""
