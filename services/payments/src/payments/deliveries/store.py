"""How deliveries are kept: one statement for all deliveries that share a commit."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

import asyncpg
from chassis.sql import Part, Write
from chassis.telemetry import metrics
from prometheus_client import Counter

from payments.deliveries.domain import EventIdentity, Provider, ProviderEvent


@dataclass(frozen=True, slots=True)
class ArrivedEvent:
    """One provider event within a delivery; `id` is ours, should nobody have brought this event before."""

    id: str
    event: ProviderEvent


@dataclass(frozen=True, slots=True)
class Arrived:
    """A rightly signed delivery, byte exact; `unreadable` are positions in it that no event could be read from."""

    id: str
    provider: Provider
    account: str
    received_at: datetime
    verified_by: str
    traceparent: str | None
    headers: bytes
    body: bytes
    sha256: bytes
    events: tuple[ArrivedEvent, ...]
    unreadable: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Rejected:
    """A delivery that was refused; `body` None where it was too large to keep."""

    id: str
    provider: Provider
    account: str
    received_at: datetime
    status_answered: int
    refusal: str
    headers: bytes
    body: bytes | None
    body_bytes: int
    sha256: bytes


# Events are upserted in the order of their identity, so that two groups with the same events cannot deadlock. A
# repeated event only counts; another rendering of it is queued as an alternative, other content as a conflict (the same
# rules as `domain.compare`). The id that comes back tells who was first: ours, or the one that the table held.
_ACCEPT: Final = """
WITH given AS (
    SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::boolean[], $5::text[], $6::text[], $7::text[],
                         $8::bytea[], $9::bytea[], $10::uuid[], $11::integer[], $12::timestamptz[])
        AS e (id, provider, account, livemode, event_id, type, api_version, content_hash, essence_hash, delivery_id,
              position, received_at)
), kept AS (
    INSERT INTO payments.provider_events AS held
        (id, provider, account, livemode, event_id, type, api_version, content_hash, essence_hash, delivery_id,
         position, deliveries)
    SELECT id, provider, account, livemode, event_id, type, api_version, content_hash, essence_hash, delivery_id,
           position, 1
    FROM given ORDER BY provider, account, livemode, event_id
    ON CONFLICT (provider, account, livemode, event_id) DO UPDATE SET deliveries = held.deliveries + 1
    RETURNING id, provider, account, livemode, event_id, content_hash, essence_hash, api_version
), queued AS (
    INSERT INTO payments.pending_events (delivery_id, position, provider_event_id, kind, received_at)
    SELECT given.delivery_id, given.position, kept.id,
           CASE WHEN kept.id = given.id THEN 'event'
                WHEN kept.api_version IS DISTINCT FROM given.api_version AND kept.essence_hash = given.essence_hash
                THEN 'alternative' ELSE 'conflict' END,
           given.received_at
    FROM given JOIN kept USING (provider, account, livemode, event_id)
    WHERE kept.id = given.id OR kept.content_hash <> given.content_hash
    UNION ALL
    SELECT delivery_id, position, NULL, 'unreadable', received_at
    FROM unnest($13::uuid[], $14::integer[], $15::timestamptz[]) AS u (delivery_id, position, received_at)
    RETURNING delivery_id
)
INSERT INTO payments.webhook_deliveries
    (id, provider, account, state, received_at, last_received_at, attempts, status_answered, verified_by, traceparent,
     headers, body, body_bytes, sha256, events)
SELECT id, provider, account,
       CASE WHEN id IN (SELECT delivery_id FROM queued) THEN 'accepted' ELSE 'processed' END,
       received_at, received_at, 1, 200, verified_by, traceparent, headers, body, octet_length(body), sha256, events
FROM unnest($16::uuid[], $17::text[], $18::text[], $19::timestamptz[], $20::text[], $21::text[], $22::bytea[],
            $23::bytea[], $24::bytea[], $25::integer[])
    AS d (id, provider, account, received_at, verified_by, traceparent, headers, body, sha256, events)
"""

OUTCOMES: Final = Counter(
    "backbone_provider_events_total",
    "Provider events by what they did: applied, not_understood and so on; a batch that is tried again counts again",
    ("provider", "outcome"),
    registry=metrics.REGISTRY,
)
# Locked in the order in which the ingress counts repeated events: the two must not wait for each other.
_SAVE_OUTCOMES: Final = Part(
    """
    locked_events AS MATERIALIZED (
        SELECT id FROM payments.provider_events WHERE id = ANY(CAST(:ids AS uuid[]))
        ORDER BY provider, account, livemode, event_id FOR NO KEY UPDATE
    ), saved_outcomes AS (
        UPDATE payments.provider_events AS e
        SET outcome = o.outcome, outcome_words = o.words, payment_id = o.payment_id,
            ingested_at = CAST(:at AS timestamptz)
        FROM locked_events AS locked
        JOIN unnest(CAST(:ids AS uuid[]), CAST(:outcomes AS text[]), CAST(:words AS text[]),
                    CAST(:payments AS uuid[])) AS o (id, outcome, words, payment_id) USING (id)
        WHERE e.id = locked.id
    )
    """
)
_KEPT_BYTES: Final = "SELECT kept_bytes FROM payments.rejected_bytes WHERE provider = $1 FOR UPDATE"
_KEEP_BYTES: Final = "UPDATE payments.rejected_bytes SET kept_bytes = kept_bytes + $2 WHERE provider = $1"
_COUNT_REJECTED: Final = """
INSERT INTO payments.rejections AS held (provider, minute, refusal, deliveries, told)
VALUES ($1, date_trunc('minute', $2::timestamptz), $3, 1, false)
ON CONFLICT (provider, minute, refusal) DO UPDATE SET deliveries = held.deliveries + 1
"""
_REJECT: Final = """
INSERT INTO payments.webhook_deliveries AS held
    (id, provider, account, state, received_at, last_received_at, attempts, status_answered, refusal, headers, body,
     body_bytes, sha256, events)
VALUES ($1, $2, $3, 'rejected', $4, $4, 1, $5, $6, $7, $8, $9, $10, 0)
ON CONFLICT (provider, sha256, status_answered) WHERE refusal IS NOT NULL
DO UPDATE SET attempts = held.attempts + 1, last_received_at = excluded.last_received_at
RETURNING id = $1
"""


async def accept(connection: asyncpg.Connection, deliveries: Sequence[Arrived]) -> None:
    """Keep deliveries, their events and the worker's rows, all or none.

    One statement does it, unless deliveries of one group repeat each other's events.
    """
    waves = _waves(deliveries)
    async with connection.transaction() if len(waves) > 1 else contextlib.nullcontext():
        for number, wave in enumerate(waves):
            kept = deliveries if number == 0 else ()
            await connection.execute(
                _ACCEPT, *_event_columns(wave), *_unreadable_columns(kept), *_delivery_columns(kept)
            )


def _waves(deliveries: Sequence[Arrived]) -> list[list[tuple[Arrived, ArrivedEvent]]]:
    """All events, in lists in which no identity occurs twice: one statement cannot upsert a row twice."""
    waves: list[dict[EventIdentity, tuple[Arrived, ArrivedEvent]]] = [{}]
    for delivery in deliveries:
        for arrived in delivery.events:
            identity = arrived.event.identity
            wave = next((wave for wave in waves if identity not in wave), None)
            if wave is None:
                wave = {}
                waves.append(wave)
            wave[identity] = (delivery, arrived)
    return [list(wave.values()) for wave in waves]


def _event_columns(wave: Sequence[tuple[Arrived, ArrivedEvent]]) -> Sequence[list[Any]]:
    events = [arrived.event for _, arrived in wave]
    return (
        [arrived.id for _, arrived in wave],
        [event.identity.provider for event in events],
        [event.identity.account for event in events],
        [event.identity.livemode for event in events],
        [event.identity.id for event in events],
        [event.type for event in events],
        [event.api_version for event in events],
        [event.content_hash for event in events],
        [event.essence_hash for event in events],
        [delivery.id for delivery, _ in wave],
        [event.index for event in events],
        [delivery.received_at for delivery, _ in wave],
    )


def _unreadable_columns(deliveries: Sequence[Arrived]) -> Sequence[list[Any]]:
    unreadable = [(delivery, position) for delivery in deliveries for position in delivery.unreadable]
    return (
        [delivery.id for delivery, _ in unreadable],
        [position for _, position in unreadable],
        [delivery.received_at for delivery, _ in unreadable],
    )


def _delivery_columns(deliveries: Sequence[Arrived]) -> Sequence[list[Any]]:
    return (
        [delivery.id for delivery in deliveries],
        [delivery.provider for delivery in deliveries],
        [delivery.account for delivery in deliveries],
        [delivery.received_at for delivery in deliveries],
        [delivery.verified_by for delivery in deliveries],
        [delivery.traceparent for delivery in deliveries],
        [delivery.headers for delivery in deliveries],
        [delivery.body for delivery in deliveries],
        [delivery.sha256 for delivery in deliveries],
        [len(delivery.events) + len(delivery.unreadable) for delivery in deliveries],
    )


async def reject(connection: asyncpg.Connection, rejected: Sequence[Rejected], *, kept_max_bytes: int) -> None:
    """Keep refused deliveries: equal ones once, counted; whole as long as the provider's quota lasts, then by hash."""
    for provider in sorted({each.provider for each in rejected}):
        kept = int(await connection.fetchval(_KEPT_BYTES, provider))
        added = 0
        for each in sorted((each for each in rejected if each.provider == provider), key=lambda each: each.sha256):
            size = len(each.headers) + len(each.body or b"")
            fits = kept + added + size <= kept_max_bytes
            kept_of_it = each if fits else replace(each, headers=b"", body=None)
            is_new = await connection.fetchval(_REJECT, *_rejected_columns(kept_of_it))
            await connection.execute(_COUNT_REJECTED, provider, each.received_at, each.refusal)
            added += size if fits and is_new else 0
        if added:
            await connection.execute(_KEEP_BYTES, provider, added)


def _rejected_columns(each: Rejected) -> Sequence[Any]:
    return (
        each.id,
        each.provider,
        each.account,
        each.received_at,
        each.status_answered,
        each.refusal,
        each.headers,
        each.body,
        each.body_bytes,
        each.sha256,
    )


@dataclass(frozen=True, slots=True)
class EventOutcome:
    """What a provider event did here, and to which payment."""

    provider: Provider
    provider_event_id: str
    outcome: str
    words: str | None
    payment_id: str | None


def save_outcomes(outcomes: Sequence[EventOutcome], *, at: datetime) -> Iterator[Write]:
    """Note on provider events what they did."""
    if not outcomes:
        return
    for each in outcomes:
        OUTCOMES.labels(each.provider, each.outcome).inc()
    yield (
        _SAVE_OUTCOMES,
        {
            "ids": [each.provider_event_id for each in outcomes],
            "outcomes": [each.outcome for each in outcomes],
            "words": [each.words for each in outcomes],
            "payments": [each.payment_id for each in outcomes],
            "at": at,
        },
    )
