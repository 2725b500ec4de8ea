"""What a soak sends: copies of a few months of payments at both providers, each event with ids of its own.

Stripe sends each event by itself; GoCardless puts up to 250 of them into one body, in no order either.
"""

from __future__ import annotations

import random
import re
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import orjson
from simulator import samples
from simulator.samples import GoCardlessStep

AMOUNT_MINOR: Final = 11_000
BODY_MAX_EVENTS: Final = 250
# What a copy has of its own; customers, payment methods and what is bought are everybody's.
_IDS: Final = re.compile(rb'"((?:(?:evt|ch|py|pi|in|inpay|re|du|txn)_[A-Za-z0-9]{10,})|(?:(?:EV|PM|MD)[0-9A-Z]{6,}))"')
_MARK: Final = re.compile(r"(PM|MD)[0-9A-Z]+?(x\d{7})")
Pieces = tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Month:
    """One month's events as bytes, cut where a copy's own mark belongs; a debit also as it can be read afterwards."""

    provider: str
    events: tuple[Pieces, ...]
    debit: Pieces = ()


@dataclass(frozen=True, slots=True)
class Delivery:
    """One body, and how many events it has."""

    provider: str
    body: bytes
    events: int


def months(at: datetime) -> tuple[Month, ...]:
    """By card: paid at once or at the second attempt, in both shapes, given back in parts, disputed both ways. By
    direct debit: confirmed, failed, failed late.
    """
    return (
        _card(_paid(0, at, api_version=samples.BEFORE_BASIL, outcomes=("succeed",))),
        _card(_paid(1, at, outcomes=("insufficient_funds", "succeed"))),
        _card(_paid(2, at, with_invoice=False, outcomes=("succeed",))),
        _card(_returned(3, at, refunds=(3_333, 3_333, 4_334))),
        _card(_returned(4, at, verdict="won")),
        _card(_returned(5, at, verdict="lost")),
        _debit(6, at, ("submit", "confirm")),
        _debit(7, at, ("submit", "fail")),
        _debit(8, at, ("submit", "confirm", "fail")),
    )


MEMBERS: Final = 9


def customer(number: int) -> dict[str, str]:
    """How the provider knows the member whose month it is."""
    return {"provider": "stripe", "reference": f"cus_soak{number}"} if number < 6 else _debtor(number)


def _debtor(number: int) -> dict[str, str]:
    return {"provider": "gocardless", "reference": f"CUSOAK{number}"}


def _paid(number: int, at: datetime, **given: Any) -> list[dict[str, Any]]:
    reference = customer(number)["reference"]
    return samples.stripe_payment(f"soak-{number}", customer=reference, amount_minor=AMOUNT_MINOR, at=at, **given)


def _returned(number: int, at: datetime, **given: Any) -> list[dict[str, Any]]:
    reference = customer(number)["reference"]
    return samples.stripe_return(f"soak-{number}", customer=reference, amount_minor=AMOUNT_MINOR, at=at, **given)


def _card(events: Sequence[dict[str, Any]]) -> Month:
    """Leave out what only says that something is to be read from Stripe, which is not there."""
    kept = [event for event in events if event["type"] != "charge.refunded"]
    for event in kept:
        if event["data"]["object"]["object"] == "charge":
            event["data"]["object"]["balance_transaction"] = None
    return Month("stripe", tuple(_cut(event) for event in kept))


def _debit(number: int, at: datetime, steps: Sequence[GoCardlessStep]) -> Month:
    reference = customer(number)["reference"]
    events = samples.gocardless_payment(
        f"soak-{number}", customer=reference, amount_minor=AMOUNT_MINOR, at=at, steps=steps
    )
    payment, mandate = events[0]["links"]["payment"], f"MDSOAK{number:06d}"
    shown = {
        "payments": {
            "id": payment,
            "amount": AMOUNT_MINOR,
            "currency": "AUD",
            "status": "confirmed" if steps[-1] == "confirm" else "failed",
            "created_at": events[0]["created_at"],
            "charge_date": at.date().isoformat(),
            "reference": None,
            "links": {"mandate": mandate},
        },
        "mandates": {"id": mandate, "links": {"customer": reference}},
    }
    return Month("gocardless", tuple(_cut(event) for event in events), _cut(shown))


def _cut(event: Mapping[str, Any]) -> Pieces:
    """The bytes of an event, cut after each id that a copy has of its own."""
    body = orjson.dumps(event)
    ends = [found.end() - 1 for found in _IDS.finditer(body)]
    return tuple(body[start:end] for start, end in zip([0, *ends], [*ends, len(body)], strict=True))


def _marked(pieces: Pieces, copy: int) -> bytes:
    return (b"x%07d" % copy).join(pieces)


class Chaos:
    """So many events in any order, of which a share are copies of others, and the deliveries that bring them."""

    def __init__(self, events: int, duplicates: float, seed: int) -> None:
        # Of today: retries that were due long ago would be made in the middle of it.
        self.months = months(datetime.now(UTC).replace(microsecond=0))
        self._places = [(month, place) for month, each in enumerate(self.months) for place in range(len(each.events))]
        self.copies = max(1, int(events * (1 - duplicates)) // len(self._places))
        self.different = self.copies * len(self._places)
        self.events = max(events, self.different)
        chance = random.Random(seed)
        numbers = range(self.different)
        queue = array("I", [*numbers, *chance.choices(numbers, k=self.events - self.different)])
        chance.shuffle(queue)
        self._queue, self._ends = array("I"), array("I", [0])
        self._pack(queue, chance)

    def __len__(self) -> int:
        """How many deliveries there are."""
        return len(self._ends) - 1

    def delivery(self, place: int) -> Delivery:
        """The delivery at this place."""
        numbers = self._queue[self._ends[place] : self._ends[place + 1]]
        events = [self._event(number) for number in numbers]
        if self._month(numbers[0]).provider == "stripe":
            return Delivery("stripe", events[0], 1)
        body = b'{"events":[%b],"meta":{"webhook_id":"WBSOAK%d"}}' % (b",".join(events), place)
        return Delivery("gocardless", body, len(events))

    def events_of(self, deliveries: int) -> int:
        """How many events the first so many deliveries bring."""
        return self._ends[deliveries]

    def different_of(self, deliveries: int) -> int:
        """How many different ones."""
        return len(set(self._queue[: self._ends[deliveries]]))

    def shown(self, reference: str) -> bytes | None:
        """What GoCardless shows under the id of a payment or a mandate."""
        found = _MARK.match(reference)
        if found is None:
            return None
        for month in self.months:
            made = orjson.loads(_marked(month.debit, int(found[2][1:]))) if month.debit else {}
            for name, each in made.items():
                if each["id"] == reference:
                    return orjson.dumps({name: each})
        return None

    def _pack(self, queue: array[int], chance: random.Random) -> None:
        """Put the events into deliveries; what GoCardless tells waits until there is a body full of it."""
        told: list[int] = []
        fill = chance.randint(1, BODY_MAX_EVENTS)
        for number in queue:
            if self._month(number).provider == "stripe":
                self._deliver([number])
                continue
            told.append(number)
            if len(told) == fill:
                self._deliver(told)
                told, fill = [], chance.randint(1, BODY_MAX_EVENTS)
        if told:
            self._deliver(told)

    def _deliver(self, numbers: list[int]) -> None:
        self._queue.extend(numbers)
        self._ends.append(len(self._queue))

    def _month(self, number: int) -> Month:
        return self.months[self._places[number % len(self._places)][0]]

    def _event(self, number: int) -> bytes:
        copy, place = divmod(number, len(self._places))
        month, event = self._places[place]
        return _marked(self.months[month].events[event], copy)
