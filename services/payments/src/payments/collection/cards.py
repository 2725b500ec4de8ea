"""Stripe payments from the set of facts: a payment is a PaymentIntent with its charges, or a charge without any.

Each charge is one attempt. A charge that succeeded beats failures of other attempts, because a PaymentIntent that
succeeded is final; only a failure told of that very charge takes it back. A PaymentIntent says which charge its
outcome belongs to, so it describes that attempt until the charge itself is known, and moves no money. Seconds cannot
order attempts, and nothing here needs them to: an open attempt means that all others are over.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from payments.collection.domain import Attempt, AttemptState, Awaiting, Fetch, Movement, PaymentState, PaymentView
from payments.collection.facts import ChargeTold, Failure, IntentTold
from payments.collection.objects import Key

_CHARGE_ARRIVES_WITHIN_SECONDS = 60
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Card:
    """A card payment before anything is known of invoices and members."""

    view: PaymentView
    invoices: frozenset[Key]
    fetches: tuple[Fetch, ...]


def fold_cards(charges: Collection[ChargeTold], intents: Collection[IntentTold]) -> list[Card]:
    """Return every Stripe payment that the facts tell of, sorted by key."""
    intent_of = _intent_of(charges, intents)
    told_charges: dict[Key, list[ChargeTold]] = defaultdict(list)
    told_intents: dict[Key, list[IntentTold]] = defaultdict(list)
    for charge in charges:
        told_charges[intent_of.get(charge.charge, charge.charge)].append(charge)
    for intent in intents:
        told_intents[intent.intent].append(intent)
    keys = sorted({*told_charges, *told_intents})
    return [_card(key, told_charges[key], told_intents[key]) for key in keys]


def _intent_of(charges: Iterable[ChargeTold], intents: Iterable[IntentTold]) -> dict[Key, Key]:
    named = [(intent.charge, intent.intent) for intent in intents if intent.charge]
    named += [(charge.charge, charge.intent) for charge in charges if charge.intent]
    return dict(sorted(named, reverse=True))


def _card(key: Key, charges: Sequence[ChargeTold], intents: Sequence[IntentTold]) -> Card:
    tries = _tries(key, charges, intents)
    state = _state(tries)
    if state != "succeeded" and any(each.outcome == "canceled" for each in intents):
        state = "cancelled"
    succeeded = [each for each in tries if each.succeeded_at and not each.reversed_at]
    newest = tries[-1] if tries else None
    shown = succeeded[0] if succeeded else newest
    amount_minor, currency = _amount(shown, charges, intents)
    missing = _missing(charges, intents)
    awaiting: tuple[Awaiting, ...] = ("awaiting payment",) if missing else ()
    view = PaymentView(
        key=key,
        state=state,
        amount_minor=amount_minor,
        currency=currency,
        created_at=min([each.created_at for each in intents] or [each.created_at for each in charges]),
        customer=_first(each.customer for each in charges) or _first(each.customer for each in intents),
        attempts=tuple(each.attempt() for each in tries),
        movements=tuple(movement for each in tries if (movement := each.movement())),
        failure=newest.failure if newest and state == "failed" else None,
        late_failure=state == "failed" and any(each.reversed_at for each in tries),
        method=_first(each.method for each in charges),
        objects=frozenset({key, *(each.charge for each in charges), *(each.charge for each in intents if each.charge)}),
        awaiting=awaiting,
    )
    invoices = frozenset(each.invoice for each in _both(charges, intents) if each.invoice)
    return Card(view, invoices, missing)


@dataclass(frozen=True, slots=True)
class _Try:
    """What is known of one attempt, from its charge and from its PaymentIntent."""

    id: str
    charge: Key | None
    at: datetime
    state: AttemptState
    failure: Failure | None
    succeeded_at: datetime | None = None
    reversed_at: datetime | None = None
    captured_minor: int = 0
    currency: str = ""

    def attempt(self) -> Attempt:
        return Attempt(self.id, self.state, self.at, self.failure, self.charge)

    def movement(self) -> Movement | None:
        if self.charge is None or self.succeeded_at is None:
            return None
        return Movement(
            subject=self.charge,
            number=1,
            amount_minor=self.captured_minor,
            currency=self.currency,
            succeeded_at=self.succeeded_at,
            reversed_at=self.reversed_at,
        )


def _tries(key: Key, charges: Sequence[ChargeTold], intents: Sequence[IntentTold]) -> list[_Try]:
    by_charge: dict[Key, tuple[list[ChargeTold], list[IntentTold]]] = defaultdict(lambda: ([], []))
    unnamed: list[IntentTold] = []
    for charge in charges:
        by_charge[charge.charge][0].append(charge)
    for intent in intents:
        if intent.charge:
            by_charge[intent.charge][1].append(intent)
        else:
            unnamed.append(intent)
    tries = [_named_try(charge, *told) for charge, told in by_charge.items()]
    tries += _unnamed_try(key, unnamed, charges, intents, tries)
    # Stripe's clock ticks in seconds; within one, what succeeded came last, since success ends a PaymentIntent.
    return sorted(tries, key=lambda each: (each.at, each.succeeded_at is not None, each.id))


def _named_try(key: Key, charges: Sequence[ChargeTold], intents: Sequence[IntentTold]) -> _Try:
    """Put one attempt together. What the charge itself told is what holds; its PaymentIntent speaks until then.

    A charge told as succeeded and as failed succeeded and failed late: one that failed first never succeeds later,
    another one does. A PaymentIntent's word takes no money back.
    """
    at = min([each.created_at for each in charges] or [each.told.at for each in intents])
    final = [each for each in charges if each.outcome != "pending" and not _authorised(each)]
    outcomes: set[str] = {each.outcome for each in final} or {each.outcome for each in intents}
    failures = [each for each in _both(charges, intents) if each.outcome == "failed"]
    failure = _latest(failures).failure if failures and "failed" in outcomes else None
    if not outcomes & {"succeeded", "failed"}:
        return _Try(key.id, key, at, "pending", None)
    if "succeeded" not in outcomes:
        return _Try(key.id, key, at, "failed", failure)
    moved = [each for each in final if each.outcome == "succeeded" and each.captured_minor]
    failed_at = min((each.told.at for each in final if each.outcome == "failed"), default=None)
    reversed_at = max(failed_at, at) if failed_at else None
    state: AttemptState = "reversed" if failed_at else "succeeded"
    if not moved:
        return _Try(key.id, key, at, state, failure)
    latest = max(moved, key=lambda each: (each.told.at, each.captured_minor, each.currency, each.told.event_id))
    return _Try(key.id, key, at, state, failure, at, reversed_at, latest.captured_minor, latest.currency)


def _authorised(charge: ChargeTold) -> bool:
    """Whether the charge only holds money on a card: it is open until captured."""
    return charge.outcome == "succeeded" and charge.captured_minor == 0 and charge.amount_minor > 0


def _unnamed_try(
    key: Key,
    unnamed: Sequence[IntentTold],
    charges: Sequence[ChargeTold],
    intents: Sequence[IntentTold],
    named: Sequence[_Try],
) -> list[_Try]:
    """Return the attempt of a PaymentIntent that names no charge (refused before one was made), if it says anything."""
    if not unnamed:
        return []
    at = min(each.told.at for each in unnamed)
    failures = [each for each in unnamed if each.outcome == "failed"]
    if any(each.outcome == "succeeded" for each in unnamed):
        return [] if named else [_Try(key.id, None, at, "succeeded", None)]
    opened = max((each.told.at for each in unnamed if each.outcome == "processing"), default=None)
    over = [each.told.at for each in _both(charges, intents) if each.outcome in ("failed", "succeeded")]
    if opened and not any(each >= opened for each in over):
        return [_Try(key.id, None, at, "pending", None)]
    return [_Try(key.id, None, at, "failed", _latest(failures).failure)] if failures else []


def _state(tries: Sequence[_Try]) -> PaymentState:
    states = {each.state for each in tries}
    if "succeeded" in states:
        return "succeeded"
    if "pending" in states:
        return "processing"
    return "failed" if states else "created"


def _amount(
    shown: _Try | None, charges: Sequence[ChargeTold], intents: Sequence[IntentTold]
) -> tuple[int | None, str | None]:
    if shown and shown.succeeded_at:
        return shown.captured_minor, shown.currency
    stated = max(
        _both(charges, intents),
        key=lambda each: (isinstance(each, IntentTold), each.told.at, each.amount_minor, each.currency),
    )
    return stated.amount_minor, stated.currency


def _missing(charges: Sequence[ChargeTold], intents: Sequence[IntentTold]) -> tuple[Fetch, ...]:
    """Return the charges to read: a PaymentIntent says that they succeeded, they have not said so themselves.

    One that was told as an authorisation alone may have been captured without a word to us; it is read once.
    """
    known = {each.charge for each in charges if each.outcome == "succeeded" and not _authorised(each)}
    known |= {each.charge for each in charges if each.told.type == "fetched"}
    wanted = {each.charge for each in intents if each.outcome == "succeeded" and each.charge} - known
    why = "the PaymentIntent succeeded, its charge has not been told"
    return tuple(Fetch(key, why, _CHARGE_ARRIVES_WITHIN_SECONDS) for key in sorted(wanted))


def _both(charges: Sequence[ChargeTold], intents: Sequence[IntentTold]) -> list[ChargeTold | IntentTold]:
    return [*charges, *intents]


def _latest(facts: Sequence[ChargeTold | IntentTold]) -> ChargeTold | IntentTold:
    """Return the fact that explains most: one with a reason, then the charge's own, then the latest told."""
    return max(
        facts,
        key=lambda each: (
            each.failure is not None and bool(each.failure.decline_code or each.failure.code),
            isinstance(each, ChargeTold),
            each.told.at,
            each.told.event_id,
        ),
    )


def _first(values: Iterable[T | None]) -> T | None:
    """Return the smallest value that is known: any rule does, so long as arrival does not decide."""
    return min((each for each in values if each is not None), default=None)  # type: ignore[type-var]
