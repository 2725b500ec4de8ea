"""Facts as plain JSON and back, for the table that keeps them."""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from datetime import date, datetime
from functools import cache
from typing import Any, Final, Literal, Union, cast, get_args, get_origin, get_type_hints

from payments.collection.facts import (
    Banked,
    ChargeTold,
    CreditApplied,
    CreditNoteTold,
    DebitDescribed,
    DebitTold,
    DisputeTold,
    EntryTold,
    Fact,
    IntentTold,
    InvoicePaymentTold,
    InvoiceTold,
    LongOverdue,
    Matched,
    Noticed,
    PaidOutside,
    PayoutListed,
    PayoutTold,
    Pointed,
    RefundTold,
    Withdrawn,
    WrittenOff,
)
from payments.collection.objects import Key

KINDS: Final[Mapping[str, type[Fact]]] = {
    "charge_told": ChargeTold,
    "intent_told": IntentTold,
    "invoice_told": InvoiceTold,
    "invoice_payment_told": InvoicePaymentTold,
    "debit_told": DebitTold,
    "debit_described": DebitDescribed,
    "refund_told": RefundTold,
    "dispute_told": DisputeTold,
    "entry_told": EntryTold,
    "payout_told": PayoutTold,
    "payout_listed": PayoutListed,
    "credit_note_told": CreditNoteTold,
    "noticed": Noticed,
    "pointed": Pointed,
    "written_off": WrittenOff,
    "paid_outside": PaidOutside,
    "credit_applied": CreditApplied,
    "long_overdue": LongOverdue,
    "matched": Matched,
    "banked": Banked,
    "withdrawn": Withdrawn,
}
_KIND_OF: Final = {fact: kind for kind, fact in KINDS.items()}
assert set(_KIND_OF) == set(get_args(Fact)), "every fact needs a kind"  # noqa: S101 - a registry asserts itself


class UnknownFactError(ValueError):
    """A stored fact of a kind, or with a field, that this version does not know."""

    def __init__(self, detail: str) -> None:
        super().__init__(f"not a fact: {detail}")
        self.detail = detail


def kind_of(fact: Fact) -> str:
    """The stable name under which facts of this class are stored."""
    return _KIND_OF[type(fact)]


def names(fact: Fact) -> frozenset[Key]:
    """Every object that the fact names: what must be locked before facts are read."""
    cls: Any = type(fact)
    single, several = _key_fields(cls)
    named = {key for name in single if (key := getattr(fact, name)) is not None}
    for name in several:
        named.update(getattr(fact, name))
    return frozenset(named)


def to_json(fact: Fact) -> dict[str, Any]:
    """Return the fact as plain JSON with its kind; fields that are None are left out."""
    return {"kind": kind_of(fact), **_plain(fact)}


def from_json(stored: Mapping[str, Any]) -> Fact:
    """Return the fact that `to_json` wrote. Raises UnknownFactError."""
    given = dict(stored)
    kind = given.pop("kind", None)
    if kind not in KINDS:
        raise UnknownFactError(f"kind {kind!r}")
    try:
        fact: Fact = _build(KINDS[kind], given)
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise UnknownFactError(f"{kind}: {error}") from error
    return fact


def _plain(value: Any) -> Any:
    match value:
        case Key():
            return value.text
        case date():
            return value.isoformat()
        case tuple():
            return [_plain(each) for each in value]
        case _ if is_dataclass(value):
            plain = {each.name: _plain(getattr(value, each.name)) for each in fields(value)}
            return {name: part for name, part in plain.items() if part is not None}
        case _:
            return value


def _build(cls: Any, given: Mapping[str, Any]) -> Any:
    readers = _readers(cls)
    return cls(**{name: readers[name](value) for name, value in given.items()})


@cache
def _readers(cls: Any) -> Mapping[str, Callable[[Any], Any]]:
    hints = get_type_hints(cls)
    return {each.name: _reader(hints[each.name]) for each in fields(cls)}


def _reader(hint: Any) -> Callable[[Any], Any]:
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        (hint,) = (each for each in get_args(hint) if each is not type(None))
        return _reader(hint)
    if origin is tuple:
        each_of = _reader(get_args(hint)[0])
        return lambda value: tuple(each_of(each) for each in value)
    if hint is Key:
        return Key.parse
    if hint in (date, datetime):
        return hint.fromisoformat  # type: ignore[no-any-return]
    if is_dataclass(hint):
        return lambda value: _build(hint, value)
    if origin is Literal or hint in (str, int, bool):
        return lambda value: value
    raise TypeError(f"no reader for {hint}")


@cache
def _key_fields(cls: Any) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the fields that hold a key or none, and those that hold several."""
    hints = get_type_hints(cls)
    holding = [each.name for each in fields(cls) if Key in (hints[each.name], *get_args(hints[each.name]))]
    several = tuple(name for name in holding if get_origin(hints[name]) is tuple)
    return tuple(name for name in holding if name not in several), several


for _each in KINDS.values():
    _readers(cast(Any, _each))
    _key_fields(cast(Any, _each))
