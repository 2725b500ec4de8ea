"""Keys, stored facts, the difference of journals, and a member's ledger in lines."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from payments.collection.codec import UnknownFactError, from_json, names, to_json
from payments.collection.objects import CHARGE, INTENT, BadKeyError, Key, partition
from payments.ledger.domain import Derived, Entry, Journal, UnbalancedError, difference
from payments.ledger.lines import Posted, member_lines

from tests.payments.pure import payloads
from tests.payments.pure.given import debit, fetched, stripe
from tests.payments.pure.payloads import CLASSIC

AT = datetime(2026, 10, 1, tzinfo=UTC)
CH = Key("stripe", "self", CHARGE, "ch_1")


@pytest.mark.parametrize("text", ["", "stripe", "stripe/self/charge/", "paypal/self/charge/1", "stripe/self/thing/1"])
def test_a_text_that_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(BadKeyError):
        Key.parse(text)


@given(st.text(min_size=1))
@settings(deadline=None)
def test_a_key_survives_its_text_whatever_the_id(id_: str) -> None:
    key = Key("stripe", "acct_gym", CHARGE, id_)
    assert Key.parse(key.text) == key


@given(st.lists(st.lists(st.integers(0, 12), min_size=1, max_size=3), max_size=10))
@settings(deadline=None)
def test_groups_are_the_connected_components(edges: list[list[int]]) -> None:
    named = [{Key("stripe", "self", INTENT, str(number)) for number in edge} for edge in edges]
    groups = partition(named)
    assert sum(len(group) for group in groups) == len(frozenset().union(*groups))
    for keys in named:
        assert sum(bool(keys & group) for group in groups) == 1
    for group in groups:
        reached = {min(group)}
        for _ in range(len(edges)):
            reached |= {key for keys in named if keys & reached for key in keys}
        assert reached == group


def test_every_kind_of_fact_survives_storing() -> None:
    inputs = [
        stripe("charge.failed", payloads.charge(failed=True, version=CLASSIC, invoice="in_1"), version=CLASSIC),
        stripe("payment_intent.payment_failed", payloads.intent(status="requires_payment_method")),
        stripe("invoice.paid", payloads.invoice(version=CLASSIC, due_date=payloads.AT), version=CLASSIC),
        stripe("invoice_payment.paid", payloads.invoice_payment()),
        debit("failed"),
        fetched(),
    ]
    for fact in (fact for each in inputs for fact in each.facts):
        stored = json.loads(json.dumps(to_json(fact)))
        assert from_json(stored) == fact
        assert names(from_json(stored)) == names(fact)
        assert all(key.text in json.dumps(stored) for key in names(fact))


@pytest.mark.parametrize(
    "stored",
    [
        {},
        {"kind": "wish"},
        {"kind": "charge_told"},
        {"kind": "charge_told", "colour": "red"},
        {"kind": "charge_told", "charge": "x"},
    ],
)
def test_what_is_no_fact_says_so(stored: dict[str, object]) -> None:
    with pytest.raises(UnknownFactError):
        from_json(stored)


def _derived(amount: int, *, at: datetime = AT, account: str = "b") -> Derived:
    return Derived("payment:1", CH, at, (Entry("a", "AUD", amount), Entry(account, "AUD", -amount)), "Payment")


AMOUNTS = st.integers(1, 10**6)
STEPS = st.lists(
    st.tuples(AMOUNTS, st.integers(0, 2).map(lambda day: AT + timedelta(days=day)), st.sampled_from("bcd")) | st.none(),
    max_size=8,
)


@given(STEPS)
@settings(deadline=None)
def test_whatever_is_derived_next_the_difference_makes_it_stand(steps: list[tuple[int, datetime, str] | None]) -> None:
    """Amount, time and account may change, and the whole may vanish: journals are only ever added."""
    standing: list[Journal] = []
    for step in steps:
        derived = [_derived(step[0], at=step[1], account=step[2])] if step else []
        standing += difference(derived, standing)
        assert difference(derived, standing) == ()
        net: dict[tuple[datetime, str], int] = {}
        for journal in standing:
            assert sum(entry.amount_minor for entry in journal.entries) == 0
            for entry in journal.entries:
                place = (journal.effective_at, entry.account)
                net[place] = net.get(place, 0) + entry.amount_minor
        expected = {
            (each.effective_at, entry.account): entry.amount_minor for each in derived for entry in each.entries
        }
        assert {place: amount for place, amount in net.items() if amount} == expected
    keys = [journal.source_key for journal in standing]
    assert keys == [f"payment:1#{number}" for number in range(1, len(keys) + 1)]


def test_standing_journals_that_are_not_all_there_are_are_refused() -> None:
    (journal,) = difference([_derived(100)], [])
    with pytest.raises(UnbalancedError):
        difference([_derived(100)], [replace(journal, entries=journal.entries[:1])])


def test_a_correction_names_what_it_corrects() -> None:
    first = difference([_derived(100)], [])
    (second,) = difference([_derived(90)], first)
    assert (second.kind, second.reverses, second.source_key) == ("correction", "payment:1#1", "payment:1#2")
    assert [entry.amount_minor for entry in second.entries] == [10, -10]


def _posted(number: int, key: str, day: int, amount: int, currency: str = "AUD") -> Posted:
    at = AT + timedelta(days=day)
    return Posted(
        f"j{number}", number, key, at, AT + timedelta(days=number), f"{key} {number}", currency, amount, f"e{number}"
    )


def test_lines_run_in_effective_order_with_a_balance_per_currency() -> None:
    lines = member_lines(
        [
            _posted(1, "payment", 0, -100),
            _posted(2, "invoice", 0, 100),
            _posted(3, "foreign", 1, 7, "NZD"),
            _posted(4, "invoice 2", 3, 50),
        ]
    )
    assert [(line.economic_key, line.amount_minor, line.currency, line.balance_minor) for line in lines] == [
        ("invoice", 100, "AUD", 100),
        ("payment", -100, "AUD", 0),
        ("foreign", 7, "NZD", 7),
        ("invoice 2", 50, "AUD", 50),
    ]


def test_corrections_net_and_what_is_taken_back_wholly_is_no_line() -> None:
    lines = member_lines(
        [
            _posted(1, "implied", 0, 100),
            _posted(2, "invoice", 0, 100),
            _posted(3, "implied", 0, -100),
            _posted(4, "invoice", 0, 10),
        ]
    )
    (line,) = lines
    assert (line.words, line.amount_minor, line.balance_minor) == ("invoice 2", 110, 110)
    assert (line.journal_ids, line.caused_by) == (("j2", "j4"), "e2")
    assert line.recorded_at == AT + timedelta(days=4)
