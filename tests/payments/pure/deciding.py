"""Decisions of staff, as inputs of the model: each with the id of its command and the time of its effect."""

from __future__ import annotations

from datetime import UTC, datetime

from payments.collection.facts import (
    Banked,
    CreditApplied,
    Decision,
    LongOverdue,
    Matched,
    PaidOutside,
    Told,
    Withdrawn,
    WrittenOff,
)
from payments.collection.objects import CHARGE, DEBIT, INVOICE, PAYOUT, Key

from tests.payments.pure.model import MARK, Input
from tests.payments.pure.payloads import AT

DAY = 86_400
IN_1 = Key("stripe", "self", INVOICE, "in_1")
CH_1 = Key("stripe", "self", CHARGE, "ch_1")
DEBIT_1 = Key("gocardless", "self", DEBIT, "PM000MARK")
PAYOUT_1 = Key("stripe", "self", PAYOUT, "po_1")


def _told(type_: str, command: str, at: int) -> Told:
    return Told(command, type_, datetime.fromtimestamp(at, UTC))


def _input(fact: Decision) -> Input:
    return Input(fact.told.event_id, None, (fact,))


def write_off(amount: int | None = None, *, of: Key = IN_1, at: int = AT + 40 * DAY, id_: str = "cmd_off") -> Input:
    return _input(WrittenOff(_told("write_off", id_, at), of, amount))


def paid_outside(
    amount: int, *, of: Key = IN_1, at: int = AT + 5 * DAY, id_: str = "cmd_cash", currency: str = "AUD"
) -> Input:
    return _input(PaidOutside(_told("record_payment", id_, at), of, amount, currency, "cash"))


def credit(amount: int, *, of: Key = IN_1, at: int = AT + 5 * DAY, id_: str = "cmd_credit") -> Input:
    return _input(CreditApplied(_told("apply_credit", id_, at), of, amount, "AUD"))


def matched(
    *, payment: Key = CH_1, to: Key | None = None, at: int = AT + 9 * DAY, id_: str = "cmd_match", member: str = MARK.id
) -> Input:
    return _input(Matched(_told("match_payment", id_, at), payment, member, "Mark Stevens", to))


def banked(*, at: int = AT + 3 * DAY, payout: Key = PAYOUT_1, id_: str = "cmd_bank") -> Input:
    return _input(Banked(_told("bank_payout", id_, at), payout))


def withdrawn(decision: str, *, of: Key = IN_1, at: int = AT + 50 * DAY) -> Input:
    return _input(Withdrawn(_told("withdraw", f"not_{decision}", at), of, decision))


def long_overdue(*, of: Key = IN_1, at: int = AT + 400 * DAY, id_: str = "cmd_year") -> Input:
    return _input(LongOverdue(_told("relieve_debt", id_, at), of))
