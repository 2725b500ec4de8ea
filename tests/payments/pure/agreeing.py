"""What every order of arrival must agree on."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from itertools import permutations

from tests.payments.pure.model import Books, Input

PERMUTED_MAX = 6
_RANDOM_ORDERS = 720


def settled(books: Books) -> tuple[object, object, object]:
    """What must not depend on the order: the views, the nets and the member's lines."""
    return books.view(), books.net(), [(line.words, line.amount_minor, line.balance_minor) for line in books.lines()]


def outcome(books: Books) -> tuple[object, object]:
    """The views and the nets alone: where a late fact corrects what was posted, the lines tell of the correction."""
    return books.view(), books.net()


def same_in_every_order(
    inputs: Sequence[Input], books: Callable[[], Books] = Books, *, agree: Callable[[Books], object] = settled
) -> Books:
    """Apply in every order, or in many random ones, alone and by two workers; return the books of this order."""
    expected = books().apply(*inputs).check()
    wanted = agree(expected)
    chance = random.Random(5)
    if len(inputs) <= PERMUTED_MAX:
        orders = [*permutations(inputs)]
    else:
        orders = [tuple(chance.sample(inputs, len(inputs))) for _ in range(_RANDOM_ORDERS)]
    for number, order in enumerate(orders):
        assert agree(books().apply(*order).check()) == wanted
        if number % 8 == 0:
            doubled = [*order, chance.choice(order)]
            assert agree(books().race(doubled, chance).check()) == wanted
    return expected


def posted(books: Books, what: str) -> dict[str, int]:
    """What stands on each account under the economic keys that begin with `what`."""
    found: dict[str, int] = {}
    for (economic_key, account, _, _), amount in books.net().items():
        if economic_key.startswith(f"{what}:"):
            found[account] = found.get(account, 0) + amount
    return found
