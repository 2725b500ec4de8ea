"""The acceptance scenarios in every order of arrival: the set of facts decides, arrival never.

Up to six things that happen are applied in every permutation, more of them in 2,000 random orders with duplicates;
every eighth order by two workers as well, whose turns a random schedule decides.
"""

from __future__ import annotations

import ast
import random
from collections.abc import Iterator, Sequence
from itertools import permutations
from pathlib import Path

import pytest

from tests.payments.pure.agreeing import PERMUTED_MAX, settled
from tests.payments.pure.model import MEMBERS, Books, Input, Known
from tests.payments.scenarios import PROVED, SCENARIOS, Scenario, charge, refund

RANDOM_ORDERS = 2_000
RACED_EVERY = 8
TESTS = Path(__file__).parents[1]
Order = Sequence[Input | Known]


def books_of(scenario: Scenario) -> Books:
    return Books(members={} if scenario.strangers else dict(MEMBERS))


def orders(scenario: Scenario, chance: random.Random) -> Iterator[Order]:
    """Every order of what is given, or so many random ones with duplicates."""
    if len(scenario.given) <= PERMUTED_MAX:
        yield from permutations(scenario.given)
        return
    for _ in range(RANDOM_ORDERS):
        yield doubled(scenario, chance)


def doubled(scenario: Scenario, chance: random.Random) -> Order:
    """What is given, some of it again, in any order."""
    order = [*scenario.given, *chance.choices(scenario.given, k=chance.randint(0, scenario.repeated))]
    chance.shuffle(order)
    return order


@pytest.mark.parametrize("scenario", SCENARIOS, ids=str)
def test_every_order_of_arrival_ends_in_the_same_books(scenario: Scenario) -> None:
    events = sum(1 for each in scenario.given if isinstance(each, Input) and each.type)
    given = books_of(scenario).apply(*scenario.given).check(events)
    scenario.holds(given)
    expected = settled(given)
    chance = random.Random(str(scenario))

    for number, order in enumerate(orders(scenario, chance)):
        books = books_of(scenario).apply(*order).check(events)
        assert settled(books) == expected
        if number % RACED_EVERY == 0:
            scenario.holds(books)
            raced = books_of(scenario).race(doubled(scenario, chance), chance).check(events)
            assert settled(raced) == expected


def test_a_refund_and_its_charge_at_two_workers_at_once_five_hundred_times() -> None:
    """Scenario 18: both post, none stays parked."""
    chance = random.Random(18)
    expected = settled(Books().apply(charge(paying=None), refund()))
    for _ in range(500):
        raced = Books().race([refund(), charge(paying=None)], chance).check(2)
        assert settled(raced) == expected
        assert raced.view().refunds == ()


@pytest.mark.parametrize("scenario", SCENARIOS, ids=str)
def test_the_same_order_gives_the_same_journals(scenario: Scenario) -> None:
    """What a rebuild relies on: source keys and what each takes back included."""
    chance = random.Random(str(scenario))
    for _ in range(5):
        order = doubled(scenario, chance)
        assert books_of(scenario).apply(*order).journals == books_of(scenario).apply(*order).journals


def test_every_scenario_stands_in_the_table() -> None:
    """All eighteen but the two about collecting again; and the tests that the table names are there."""
    assert {each.number for each in SCENARIOS} | PROVED.keys() == set(range(1, 19)) - {5, 12}
    assert len({str(each) for each in SCENARIOS}) == len(SCENARIOS)
    for named in (name for names in PROVED.values() for name in names):
        file, _, test = named.partition("::")
        tree = ast.parse((TESTS / file).read_text())
        found = {each.name for each in tree.body if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)}
        assert test in found, named
