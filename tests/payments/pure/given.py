"""From payloads to interpreted inputs, through the real reader and interpreter."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import orjson
from payments.collection.objects import DEBIT, Key
from payments.deliveries.domain import ProviderEvent, Unreadable
from payments.providers.interpreting import Understood, interpret, interpret_fetched
from payments.providers.reading import read_gocardless, read_stripe

from tests.payments.pure import payloads
from tests.payments.pure.model import Input
from tests.payments.pure.payloads import Json


def read(event: Json) -> ProviderEvent:
    """The event that Stripe's bytes hold."""
    found = read_stripe(payloads.body(event))
    assert isinstance(found, ProviderEvent), found
    return found


def stripe(type_: str, shown: Json, **more: Any) -> Input:
    """A Stripe event of this type about `shown`, understood."""
    return thin(payloads.stripe_event(type_, shown, **more))


def thin(event: Json) -> Input:
    """A Stripe event, which may only point at its object, understood."""
    read_event = read(event)
    told = interpret(read_event)
    assert isinstance(told, Understood), told
    return Input(read_event.identity.id, read_event.type, told.facts, event)


def debit_event(event: Json) -> ProviderEvent:
    """The only event of a GoCardless body."""
    found = read_gocardless(payloads.debits(event), livemode=False)
    assert not isinstance(found, Unreadable)
    (item,) = found
    assert isinstance(item, ProviderEvent), item
    return item


def debit(action: str, at: str = "2026-10-05T01:00:00.000Z", **more: Any) -> Input:
    """A GoCardless event about a payment, understood."""
    return gocardless(payloads.debit(action, at=at, **more))


def gocardless(event: Json) -> Input:
    """Any GoCardless event, understood."""
    read_event = debit_event(event)
    told = interpret(read_event)
    assert isinstance(told, Understood), told
    return Input(read_event.identity.id, read_event.type, told.facts, event)


def answered(key: Key, answer: Json, at: datetime = datetime(2026, 10, 20, tzinfo=UTC)) -> Input:
    """What a provider's API answered about `key`, understood."""
    reference = f"fetched-{key.id}-{at.isoformat()}"
    told = interpret_fetched(key, orjson.dumps(answer), at=at, reference=reference)
    assert isinstance(told, Understood), told
    return Input(reference, None, told.facts, answer, key, at)


def fetched(payment: str = "PM000MARK", at: datetime = datetime(2026, 10, 1, 1, tzinfo=UTC), **more: Any) -> Input:
    """A GoCardless payment with its mandate, as fetched."""
    return answered(Key("gocardless", "self", DEBIT, payment), payloads.fetched_debit(payment, **more), at)
