"""What staff may decide, and the sentences that refuse the rest and say what to do instead."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from payments.collection.domain import Group, Member
from payments.collection.facts import WrittenOff
from payments.matching import domain as matching
from payments.matching.domain import CannotMatchError, Match, MatchOverError, OwnProposalError
from payments.refunding.domain import (
    KEY_REMEMBERED,
    RefusedRefundError,
    Request,
    given_back,
    may_be_refunded,
    may_call,
)
from payments.staff import domain
from payments.staff.domain import Asked, RefusedError

from tests.payments.pure import deciding, payloads
from tests.payments.pure import payloads_money as money
from tests.payments.pure.deciding import CH_1, DAY, IN_1
from tests.payments.pure.given import debit, fetched, stripe
from tests.payments.pure.model import AUSTRALIAN, MARK, Books, Input
from tests.payments.pure.payloads import AT, CLASSIC

NOW = datetime.fromtimestamp(AT + 40 * DAY, UTC)
ASKED = Asked("cmd_1", NOW)


def _invoice(**more: Any) -> Input:
    shown = payloads.invoice(status="open", version=CLASSIC, **more)
    return stripe("invoice.finalized", shown, version=CLASSIC, at=AT)


def _charge(**more: Any) -> Input:
    shown = payloads.charge(version=CLASSIC, at=AT, **{"invoice": "in_1", **more})
    return stripe("charge.succeeded", shown, version=CLASSIC, at=AT)


def _group(*inputs: Input, **books: Any) -> Group:
    return Books(**books).apply(*inputs).view()


def test_what_is_due_is_written_off_and_no_more() -> None:
    group = _group(_invoice(), _charge(amount=5_000))
    (invoice,) = group.invoices
    fact = domain.write_off(group, invoice, 6_000, AUSTRALIAN, ASKED)
    assert (fact.of, fact.amount_minor, fact.told.at, fact.told.type) == (IN_1, 6_000, NOW, "write_off")
    with pytest.raises(RefusedError, match=r"AUD 60\.00 is due of invoice MARK-0001: write off at most that"):
        domain.write_off(group, invoice, 6_001, AUSTRALIAN, ASKED)


def test_nothing_is_written_off_that_is_not_due() -> None:
    group = _group(_invoice(), _charge())
    with pytest.raises(RefusedError, match="nothing is due of invoice MARK-0001"):
        domain.write_off(group, group.invoices[0], None, AUSTRALIAN, ASKED)
    strangers = _group(_invoice(), members={})
    with pytest.raises(RefusedError, match="match it to a member first"):
        domain.write_off(strangers, strangers.invoices[0], None, AUSTRALIAN, ASKED)


def test_a_debt_without_an_invoice_is_named_by_its_payment() -> None:
    submitted = debit("submitted", "2026-10-02T00:00:00.000Z")
    group = _group(fetched(), submitted, debit("failed", "2026-10-04T00:00:00.000Z"))
    fact = domain.write_off(group, group.invoices[0], None, AUSTRALIAN, ASKED)
    assert fact == WrittenOff(ASKED.told("write_off"), deciding.DEBIT_1)


@pytest.mark.parametrize(
    ("currency", "at", "sentence"),
    [
        ("NZD", NOW, "money in NZD pays none of it, exchange it first"),
        ("AUD", NOW + timedelta(days=1), "cannot have been received in the future"),
        ("AUD", NOW - timedelta(days=800), "more than two years ago"),
    ],
)
def test_money_that_cannot_have_come_so_is_refused(currency: str, at: datetime, sentence: str) -> None:
    group = _group(_invoice())
    with pytest.raises(RefusedError, match=sentence):
        domain.record_payment(group, group.invoices[0], 100, currency, "cash", AUSTRALIAN, Asked("cmd_1", NOW, at))


def test_money_for_an_invoice_that_is_paid_is_refused_and_for_one_that_was_given_up_is_not() -> None:
    paid = _group(_invoice(), _charge())
    with pytest.raises(RefusedError, match="record the payment for one that is open"):
        domain.record_payment(paid, paid.invoices[0], 100, "AUD", "cash", AUSTRALIAN, ASKED)
    given_up = _group(_invoice(), deciding.write_off())
    fact = domain.record_payment(given_up, given_up.invoices[0], 100, "AUD", "cash", AUSTRALIAN, ASKED)
    assert (fact.amount_minor, fact.how) == (100, "cash")


def test_credit_is_used_as_far_as_it_goes() -> None:
    group = _group(_invoice())
    (invoice,) = group.invoices
    assert domain.apply_credit(group, invoice, None, 3_000, AUSTRALIAN, ASKED).amount_minor == 3_000
    assert domain.apply_credit(group, invoice, None, 30_000, AUSTRALIAN, ASKED).amount_minor == 11_000
    with pytest.raises(RefusedError, match=r"a credit of AUD 30\.00: use no more than that"):
        domain.apply_credit(group, invoice, 3_001, 3_000, AUSTRALIAN, ASKED)
    with pytest.raises(RefusedError, match=r"a credit of AUD 0\.00"):
        domain.apply_credit(group, invoice, None, -100, AUSTRALIAN, ASKED)


def test_only_what_was_decided_is_withdrawn() -> None:
    group = _group(_invoice(), deciding.write_off())
    assert domain.withdraw(group, group.invoices[0], "cmd_off", ASKED).decision == "cmd_off"
    with pytest.raises(domain.NoSuchDecisionError):
        domain.withdraw(group, group.invoices[0], "cmd_other", ASKED)


def test_a_payout_is_banked_once_and_never_before_it_was_made() -> None:
    payout = stripe("payout.paid", money.payout(status="paid"), at=AT + 3 * DAY)
    made = _group(payout).payouts[0]
    assert domain.bank(made, ASKED).payout == made.key
    with pytest.raises(RefusedError, match="it cannot have arrived before"):
        domain.bank(made, Asked("cmd_1", NOW, NOW - timedelta(days=400)))
    with pytest.raises(RefusedError, match="cannot be of the future"):
        domain.bank(made, Asked("cmd_1", NOW, NOW + timedelta(days=1)))
    with pytest.raises(RefusedError, match="stands on the statement of"):
        domain.bank(_group(payout, deciding.banked()).payouts[0], ASKED)
    with pytest.raises(RefusedError, match="not known yet"):
        domain.bank(None, ASKED)


# Whose a payment is.


def _match(**more: Any) -> Match:
    given: dict[str, Any] = {"id": "m_1", "payment_id": "p_1", "payment": CH_1, "member": MARK}
    return Match(**given, proposed_by="maria", proposed_by_name="Maria Rossi", proposed_at=NOW, reason="so", **more)


def test_nobody_agrees_to_a_proposal_of_their_own_and_nobody_decides_twice() -> None:
    matching.agree(_match(), "owner")
    with pytest.raises(OwnProposalError, match="somebody else has to agree"):
        matching.agree(_match(), "maria")
    with pytest.raises(MatchOverError, match="denied already"):
        matching.agree(_match(state="denied"), "owner")
    assert (matching.deny(_match(), "owner"), matching.deny(_match(), "maria")) == ("denied", "withdrawn")


def test_a_payment_that_has_a_member_by_reference_is_not_matched_by_hand() -> None:
    (known,) = _group(_charge(invoice=None)).payments
    with pytest.raises(CannotMatchError, match="change the member's references instead"):
        matching.may_be(known, None, MARK)
    (stranger,) = _group(_charge(invoice=None), members={}).payments
    assert matching.may_be(stranger, None, MARK) == stranger


def test_a_payment_is_matched_to_an_invoice_of_that_member_and_in_its_currency() -> None:
    (stranger,) = _group(_charge(invoice=None, customer=None), members={}).payments
    (invoice,) = _group(_invoice()).invoices
    assert matching.may_be(stranger, invoice, MARK) == stranger
    with pytest.raises(CannotMatchError, match="is not Isla Morgan's: choose one that is"):
        matching.may_be(stranger, invoice, Member("isla", "Isla Morgan"))


# Refunds.


def _request(amount: int, **more: Any) -> Request:
    given: dict[str, Any] = {"id": "r_1", "payment_id": "p_1", "payment": CH_1, "currency": "AUD", "reason": "so"}
    return Request(**given, amount_minor=amount, asked_by="maria", asked_by_name="Maria Rossi", asked_at=NOW, **more)


def test_a_fourth_refund_beyond_the_charge_is_refused() -> None:
    """33.33 + 33.33 + 43.34 of 110.00, one of them known, one made and not told yet, one just asked for."""
    refund = stripe("refund.created", money.refund("re_1", amount=3_333), at=AT + DAY)
    (payment,) = _group(_invoice(), _charge(), refund).payments
    others = [_request(3_333, state="made", refund="re_2"), _request(3_333, state="made", refund="re_1")]
    assert given_back(payment, others) == 6_666
    assert may_be_refunded(payment, 4_334, others) == payment
    with pytest.raises(RefusedRefundError, match=r"AUD 0\.00 of this payment can still be given back"):
        may_be_refunded(payment, 1, [*others, _request(4_334)])


def test_a_refund_that_came_back_can_be_made_again() -> None:
    failed = stripe("refund.failed", money.refund(status="failed"), at=AT + 5 * DAY)
    (payment,) = _group(_invoice(), _charge(), failed).payments
    assert may_be_refunded(payment, 11_000, []) == payment


def test_nothing_is_refunded_while_it_is_disputed() -> None:
    opened = stripe("charge.dispute.created", money.dispute(), at=AT + DAY)
    (payment,) = _group(_invoice(), _charge(), opened).payments
    with pytest.raises(RefusedRefundError, match="dispute du_1 is open and the provider holds the money"):
        may_be_refunded(payment, 1_000, [])
    lost = stripe("charge.dispute.closed", money.dispute(status="lost", entries=(money.withdrawn(),)), at=AT + 9 * DAY)
    (payment,) = _group(_invoice(), _charge(), lost).payments
    with pytest.raises(RefusedRefundError, match="was lost: the member has the money already"):
        may_be_refunded(payment, 1_000, [])
    asked = stripe("charge.dispute.created", money.dispute(status="warning_needs_response"), at=AT + DAY)
    (payment,) = _group(_invoice(), _charge(), asked).payments
    assert may_be_refunded(payment, 1_000, []) == payment


def test_a_payment_that_brought_nothing_is_not_refunded() -> None:
    with pytest.raises(RefusedRefundError, match="brought no money"):
        may_be_refunded(None, 1, [])


def test_nothing_is_sent_again_once_the_provider_may_have_forgotten_its_key() -> None:
    assert may_call(_request(100), now=NOW)
    assert may_call(_request(100, called_at=NOW), now=NOW + KEY_REMEMBERED - timedelta(seconds=1))
    assert not may_call(_request(100, called_at=NOW), now=NOW + KEY_REMEMBERED)
    assert not may_call(_request(100, state="made"), now=NOW)
