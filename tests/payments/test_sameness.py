"""What a copy of a known event is: the ingress decides it in SQL, the worker by `domain.compare`, and both agree."""

from __future__ import annotations

from typing import Any

import orjson
from payments.deliveries.domain import ProviderEvent, Sameness, compare
from payments.main import service
from payments.providers.reading import read_stripe

from tests.payments.providers import NO_API, SECRETS, deliver
from tests.payments.pure import payloads
from tests.support.services import running

QUEUED_AS = {Sameness.DUPLICATE: [], Sameness.ALTERNATIVE: ["alternative"], Sameness.CONFLICT: ["conflict"]}
FIRST = payloads.stripe_event("invoice.paid", payloads.invoice())
CLASSIC = payloads.stripe_event("invoice.paid", payloads.invoice(version=payloads.CLASSIC), version=payloads.CLASSIC)
COPIES: dict[str, dict[str, Any]] = {
    "the same": FIRST | {"pending_webhooks": 0, "request": None},
    "another version": CLASSIC,
    "another version and another amount": CLASSIC
    | {"data": {"object": payloads.invoice(version=payloads.CLASSIC) | {"total": 1}}},
    "another type": FIRST | {"type": "invoice.payment_failed"},
    "another amount": FIRST | {"data": {"object": payloads.invoice() | {"total": 1}}},
    "the same under another version's name": FIRST | {"api_version": payloads.CLASSIC},
}


def read(event: dict[str, Any]) -> ProviderEvent:
    found = read_stripe(orjson.dumps(event))
    assert isinstance(found, ProviderEvent)
    return found


async def test_ingress_and_worker_say_the_same_of_a_copy(database_for: Any, kafka: str, topic_prefix: str) -> None:
    database = await database_for("payments")
    queued: dict[str, list[str]] = {}
    decided: dict[str, list[str]] = {}
    async with running(service, database, kafka, topic_prefix, **SECRETS, **NO_API, work=False) as payments:
        for number, (name, copy) in enumerate(COPIES.items()):
            first, second = FIRST | {"id": f"evt_{number}"}, copy | {"id": f"evt_{number}"}
            assert await deliver(payments, first, second) == [200, 200]
            kinds = await payments.rows(
                "SELECT q.kind FROM payments.pending_events AS q"
                " JOIN payments.provider_events AS e ON e.id = q.provider_event_id"
                f" WHERE e.event_id = 'evt_{number}' ORDER BY q.id OFFSET 1"
            )
            queued[name] = [kind for (kind,) in kinds]
            known = read(first)
            decided[name] = QUEUED_AS[
                compare(
                    read(second),
                    api_version=known.api_version,
                    content_hash=known.content_hash,
                    essence_hash=known.essence_hash,
                )
            ]
    assert queued == decided
    assert queued == {
        "the same": [],
        "another version": ["alternative"],
        "another version and another amount": ["conflict"],
        "another type": ["conflict"],
        "another amount": ["conflict"],
        "the same under another version's name": [],
    }
