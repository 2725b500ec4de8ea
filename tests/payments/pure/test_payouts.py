"""Fees, payouts and their reconciliation to a tenth of a cent."""

from __future__ import annotations

from typing import Any

import pytest
from payments.collection.domain import Policy
from payments.collection.objects import CHARGE, ENTRY, PAYOUT, Key

from tests.payments.pure import payloads
from tests.payments.pure import payloads_money as money
from tests.payments.pure.agreeing import same_in_every_order
from tests.payments.pure.given import answered, gocardless, stripe, thin
from tests.payments.pure.model import Books, Input
from tests.payments.pure.payloads import AT, Json

CLEARING, TRANSIT, FEES = "1200 clearing:stripe", "1250 payout_in_transit", "5100 provider_fees"
CLAIMED, GOCARDLESS = "1400 gst_input_credits", "1200 clearing:gocardless"
PO, GC_PO = Key("stripe", "self", PAYOUT, "po_1"), Key("gocardless", "self", PAYOUT, "PO000OCTOBER")


def _charge(id_: str = "ch_1", **more: Any) -> Input:
    return stripe("charge.succeeded", payloads.charge(id_, **more))


def _payout(what: str, *, status: str = "in_transit", at: int = AT + 2 * money.DAY, **more: Any) -> Input:
    return stripe(f"payout.{what}", money.payout(status=status, **more), at=at)


def _listed(*entries: Json, amount: int = 10_783) -> Input:
    return answered(PO, {"payout": money.payout(amount=amount), "items": list(entries)})


FEE = money.entry("txn_3PZk", fee=217, gst=20)


def test_a_fee_is_read_and_posted_with_its_gst() -> None:
    books = Books().apply(_charge()).check()
    assert [(fetch.key.id, fetch.after_seconds) for fetch in books.view().fetches] == [("txn_3PZk", 300)]
    books.apply(answered(Key("stripe", "self", ENTRY, "txn_3PZk"), FEE)).check()
    assert (books.balance(FEES), books.balance(CLAIMED), books.balance(CLEARING)) == (197, 20, 10_783)
    assert books.view().fetches == ()


def test_a_balance_transaction_that_comes_later_is_told_by_an_update_of_the_charge() -> None:
    books = Books().apply(_charge(balance_transaction=None)).check()
    assert books.view().fetches == ()
    books.apply(stripe("charge.updated", payloads.charge(), at=AT + 3)).check()
    assert [fetch.key.id for fetch in books.view().fetches] == ["txn_3PZk"]
    assert books.balance(CLEARING) == 11_000


def test_without_registration_the_gst_on_a_fee_is_cost() -> None:
    books = Books(policy=Policy(gst_registered=False)).apply(_charge())
    books.apply(answered(Key("stripe", "self", ENTRY, "txn_3PZk"), FEE)).check()
    assert (books.balance(FEES), books.balance(CLAIMED)) == (217, 0)


def test_a_fee_of_the_account_belongs_to_no_payment() -> None:
    fee = money.entry("txn_fee", amount=-550, type_="stripe_fee", source=None)
    tax = money.entry("txn_tax", amount=-55, type_="tax_fee", source=None)
    books = Books()
    for each in (fee, tax):
        books.apply(answered(Key("stripe", "self", ENTRY, str(each["id"])), each)).check()
    assert (books.balance(FEES), books.balance(CLAIMED), books.balance(CLEARING)) == (550, 55, -605)


def test_a_stripe_payout_reconciles_in_every_order() -> None:
    """Clearing is empty to the cent, the fee known from the payout's own lines."""
    inputs = [
        _charge(),
        _payout("created"),
        _payout("paid", status="paid", at=AT + 3 * money.DAY),
        _payout("reconciliation_completed", at=AT + 3 * money.DAY),
        _listed(FEE),
    ]
    books = same_in_every_order(inputs)
    (payout,) = books.view().payouts
    assert (payout.state, payout.listed_tenths, payout.difference_minor) == ("paid", 107_830, 0)
    assert (books.balance(CLEARING), books.balance(TRANSIT), books.balance(FEES)) == (0, 10_783, 197)
    assert books.view().fetches == ()


def test_the_lines_of_a_payout_are_read_once_they_can_be_listed() -> None:
    books = Books().apply(_payout("created"), _payout("paid", status="paid"))
    assert books.view().fetches == ()
    books.apply(_payout("reconciliation_completed"))
    assert [(fetch.key, fetch.after_seconds) for fetch in books.view().fetches] == [(PO, 0)]
    by_hand = Books().apply(_payout("reconciliation_completed", automatic=False))
    assert by_hand.view().fetches == ()


def test_a_payout_that_does_not_add_up_names_the_amount() -> None:
    books = Books().apply(_payout("created", amount=12_000), _listed(FEE, amount=12_000)).check()
    (payout,) = books.view().payouts
    assert payout.difference_minor == 1_217
    assert books.balance(TRANSIT) == 12_000


@pytest.mark.parametrize(("what", "state"), [("failed", "failed"), ("canceled", "canceled")])
def test_a_payout_that_comes_back_is_in_clearing_again(what: str, state: str) -> None:
    books = same_in_every_order([_payout("created"), _payout(what, status=state, at=AT + 4 * money.DAY)])
    assert (books.balance(CLEARING), books.balance(TRANSIT)) == (0, 0)
    (payout,) = books.view().payouts
    assert payout.state == state
    journal = books.journals[-1]
    assert (journal.kind, journal.reverses) == ("reversal", "payout:stripe/self/payout/po_1#1")


def test_a_payout_below_zero_takes_from_the_bank() -> None:
    books = Books().apply(_payout("created", amount=-500)).check()
    assert (books.balance(CLEARING), books.balance(TRANSIT)) == (500, -500)


def test_a_payout_is_told_with_its_own_before_and_after() -> None:
    books = Books().apply(_payout("created"), _payout("created"), _payout("paid", status="paid"))
    told = [telling for _, telling in books.told]
    assert [(each.outcome, each.what) for each in told] == [
        ("applied", "a payout"),
        ("applied", "the arrival of a payout"),
    ]
    assert (told[1].before or {})["state"] == "created"
    assert (told[1].after or {})["state"] == "paid"
    assert told[0].payment is None


def test_two_payouts_that_carry_one_charge_and_its_refund_stay_two_groups() -> None:
    refund = stripe("refund.created", money.refund(amount=1_000))
    books = Books().apply(_charge(), refund, _payout("created"), _listed(FEE))
    back = money.entry("txn_back", amount=-1_000, type_="refund", source="re_1")
    second = {"payout": money.payout("po_2", amount=-1_000), "items": [back]}
    books.apply(answered(Key("stripe", "self", PAYOUT, "po_2"), second)).check()
    assert [(payout.key.id, payout.difference_minor) for payout in books.view().payouts] == [("po_1", 0), ("po_2", 0)]
    assert books.balance(CLEARING) == 0


def _gocardless_payout(*items: Json, amount: int) -> list[Input]:
    paid = money.gocardless_event("payouts", "paid", {"payout": "PO000OCTOBER"})
    return [gocardless(paid), answered(GC_PO, money.fetched_payout(amount=amount, items=list(items)))]


def test_a_thin_event_asks_for_its_object_until_something_tells_of_it() -> None:
    event: Json = {
        "id": "evt_thin",
        "object": "v2.core.event",
        "type": "v1.charge.succeeded",
        "created": "2026-09-21T14:13:20.000Z",
        "related_object": {"id": "ch_1", "type": "charge", "url": "/v1/charges/ch_1"},
    }
    books = Books().apply(thin(event)).check()
    assert [fetch.key for fetch in books.view().fetches] == [Key("stripe", "self", CHARGE, "ch_1")]
    assert books.told[-1][1].outcome == "parked"
    books.apply(answered(Key("stripe", "self", CHARGE, "ch_1"), payloads.charge(balance_transaction=FEE))).check()
    assert books.view().fetches == ()
    assert books.balance(CLEARING) == 10_783
