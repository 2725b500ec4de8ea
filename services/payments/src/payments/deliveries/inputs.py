"""What stands in the worker's queue: provider events, fetched objects, and members that changed.

Claiming reads the bytes and interprets them; both are pure, so everything that cannot be used is known before a lock
is taken. Rows that another worker has are skipped.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

import orjson
from chassis.batch import Claimed, Refused
from chassis.ids import new_id
from chassis.sql import Part, Row, Statement, Write
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from payments.collection.facts import Fact
from payments.collection.objects import Key
from payments.deliveries.domain import Provider, ProviderEvent, Sameness, Unreadable, compare
from payments.deliveries.reading import read_items
from payments.providers.interpreting import NotUnderstood, Understood, interpret, interpret_fetched

LETTER_MAX_BYTES: Final = 1_048_576
_CLAIM_MAX_BYTES: Final = 16 * 1_048_576
# Rows of the queue with the bodies of their deliveries, each body once, and as many as there is room for. How large a
# body is comes by a lookup of each row: a join might read every delivery there is. Deliveries are locked from the
# start, and in one order: two workers may have parts of one delivery, and what became of it is written when a part is
# set aside, before any object is locked, as well as at the end.
_CLAIM = Statement(
    """
    WITH claimed AS MATERIALIZED (
        SELECT id, kind, delivery_id, position, provider_event_id, fetched_id, subject
        FROM payments.pending_events ORDER BY id LIMIT :limit FOR UPDATE SKIP LOCKED
    ), counted AS (
        SELECT claimed.*,
               row_number() OVER (PARTITION BY delivery_id, fetched_id ORDER BY id) = 1 AS first,
               CASE WHEN fetched_id IS NULL
                    THEN (SELECT d.body_bytes FROM payments.webhook_deliveries AS d WHERE d.id = delivery_id)
                    ELSE (SELECT octet_length(f.body) FROM payments.fetched_objects AS f WHERE f.id = fetched_id)
               END AS body_bytes
        FROM claimed
    ), summed AS (
        SELECT counted.*, row_number() OVER (ORDER BY id) AS number,
               sum(body_bytes) FILTER (WHERE first) OVER (ORDER BY id ROWS UNBOUNDED PRECEDING) AS bytes,
               count(*) OVER () AS claimed
        FROM counted
    ), fitting AS MATERIALIZED (
        SELECT * FROM summed WHERE number = 1 OR coalesce(bytes, 0) <= CAST(:max_bytes AS bigint)
    ), bodies AS MATERIALIZED (
        SELECT id, provider, body, traceparent FROM payments.webhook_deliveries
        WHERE id IN (SELECT delivery_id FROM fitting) ORDER BY id FOR NO KEY UPDATE
    )
    SELECT f.id, f.kind, f.delivery_id, f.position, f.provider_event_id, f.fetched_id, f.subject, f.claimed,
           b.provider, b.traceparent, CASE WHEN f.first THEN b.body END AS body
    FROM fitting AS f LEFT JOIN bodies AS b ON b.id = f.delivery_id ORDER BY f.id
    """
)
_COLUMNS: Final = "id, kind, delivery_id, position, provider_event_id, fetched_id, subject"
_AGAIN: Final = {
    "delivery": Statement(
        f"""
        INSERT INTO payments.pending_events (kind, delivery_id, position, received_at)
        SELECT 'event', id, :position, received_at FROM payments.webhook_deliveries
        WHERE id = :id RETURNING {_COLUMNS}
        """
    ),
    "fetched": Statement(
        f"""
        INSERT INTO payments.pending_events (kind, fetched_id, received_at)
        SELECT 'fetched', id, read_at FROM payments.fetched_objects WHERE id = :id RETURNING {_COLUMNS}
        """
    ),
    "refold": Statement(
        f"""
        INSERT INTO payments.pending_events (kind, subject, received_at) VALUES ('refold', :id, now())
        RETURNING {_COLUMNS}
        """
    ),
}
# A copy of a known event was counted when it arrived: it is only locked here.
_KNOW_EVENT = text(
    """
    INSERT INTO payments.provider_events
        (id, provider, account, livemode, event_id, type, api_version, content_hash, essence_hash, delivery_id,
         position, deliveries)
    VALUES (:id, :provider, :account, :livemode, :event_id, :type, :api_version, :content_hash, :essence_hash,
            :delivery_id, :position, 1)
    ON CONFLICT (provider, account, livemode, event_id) DO UPDATE SET deliveries = provider_events.deliveries
    RETURNING id, delivery_id, position, api_version, content_hash, essence_hash
    """
)
_READ_DELIVERIES = Statement(
    "SELECT id, provider, body, traceparent FROM payments.webhook_deliveries WHERE id = ANY(CAST(:ids AS uuid[]))"
)
_DELIVERIES = Statement(f"{_READ_DELIVERIES.text} ORDER BY id FOR NO KEY UPDATE")
_FETCHED = Statement("SELECT id, key, read_at, body FROM payments.fetched_objects WHERE id = ANY(:ids)")
# A delivery of one event is done with it; one of several is when nothing of it is queued any more.
_DONE = Part(
    """
    done AS (DELETE FROM payments.pending_events WHERE id = ANY(:ids) RETURNING delivery_id),
    processed AS (
        UPDATE payments.webhook_deliveries AS d SET state = 'processed'
        FROM done WHERE d.id = done.delivery_id AND d.state = 'accepted' AND d.events = 1
    )
    """
)
_PROCESSED = Statement(
    """
    UPDATE payments.webhook_deliveries AS d SET state = 'processed'
    WHERE id = ANY(:ids) AND state = 'accepted'
      AND NOT EXISTS (SELECT FROM payments.pending_events AS p WHERE p.delivery_id = d.id)
    """
)
_DEAD = text("UPDATE payments.webhook_deliveries SET state = 'dead_lettered' WHERE id = :id")
# The delivery is locked by then, so that two of its letters that are tried at once see each other.
_MENDED = text(
    """
    UPDATE payments.webhook_deliveries AS d
    SET state = CASE WHEN EXISTS (SELECT FROM payments.pending_events AS p WHERE p.delivery_id = d.id)
                     THEN 'accepted' ELSE 'processed' END
    WHERE d.id = :id AND d.state = 'dead_lettered' AND NOT EXISTS (
        SELECT FROM payments.dead_letters AS l
        WHERE l.state = 'open' AND l.id <> :letter AND starts_with(l.pointer, :place))
    """
)


class UnusableError(ValueError):
    """The bytes were rightly signed and cannot be used; the reason is one of a few fixed words."""

    def __init__(self, unreadable: Unreadable) -> None:
        super().__init__(f"{unreadable.reason}: {unreadable.detail}")
        self.unreadable = unreadable


@dataclass(frozen=True, slots=True)
class EventInput:
    """A provider event for the first time; `facts` empty where its type is not understood."""

    pending_id: int
    delivery_id: str
    provider_event_id: str
    event: ProviderEvent
    facts: tuple[Fact, ...]
    traceparent: str | None


@dataclass(frozen=True, slots=True)
class AlternativeInput(EventInput):
    """The same event in another API version: its facts join the set."""


@dataclass(frozen=True, slots=True)
class ConflictInput(EventInput):
    """Other content under a known event id: kept, never applied, a security finding."""


@dataclass(frozen=True, slots=True)
class FetchedInput:
    """An object as its provider showed it."""

    pending_id: int
    fetched_id: str
    key: Key
    facts: tuple[Fact, ...]


@dataclass(frozen=True, slots=True)
class CommandInput:
    """What staff decided, applied at once and never queued; `words` are what it did to what it changed."""

    pending_id: int
    command_id: str
    words: str
    facts: tuple[Fact, ...]
    reason: str | None


@dataclass(frozen=True, slots=True)
class RefoldInput:
    """A group whose customer belongs to somebody else than before; `key` is any object of the group."""

    pending_id: int
    key: Key


@dataclass(frozen=True, slots=True)
class UnusableInput:
    """What no event could be read from; `message` are the bytes to keep."""

    pending_id: int
    pointer: str
    message: bytes
    delivery_id: str | None = None
    provider_event_id: str | None = None
    traceparent: str | None = None


@dataclass(frozen=True, slots=True)
class _Delivery:
    """What the inputs of one delivery have in common."""

    provider: Provider
    body: bytes
    traceparent: str | None


Input = EventInput | FetchedInput | CommandInput | RefoldInput | UnusableInput


async def claim(
    connection: AsyncConnection, limit: int, *, livemode: bool, accounts: Collection[str] | None = None
) -> Claimed[Input]:
    """Take rows of the queue in their order, each as what it turns out to be; their deliveries are locked."""
    rows = await _CLAIM.all(connection, {"limit": limit, "max_bytes": _CLAIM_MAX_BYTES})
    deliveries = {
        str(row.delivery_id): _Delivery(row.provider, bytes(row.body), row.traceparent)
        for row in rows
        if row.body is not None
    }
    claimed = await _interpreted(connection, rows, deliveries, livemode=livemode, accounts=accounts)
    left = len(rows) == limit or (rows and rows[0].claimed > len(rows))
    return replace(claimed, last=not left)


async def interpreted(
    connection: AsyncConnection,
    rows: Sequence[Any],
    *,
    livemode: bool,
    accounts: Collection[str] | None = None,
    lock: bool = True,
) -> Claimed[Input]:
    """The inputs that rows, of the queue or like them, stand for; those that cannot be used are refused.

    Their deliveries are locked, unless `lock` is off: whoever only reads does not need that.
    """
    ids = sorted({str(row.delivery_id) for row in rows if row.delivery_id is not None})
    found = _DELIVERIES if lock else _READ_DELIVERIES
    deliveries = {
        str(row.id): _Delivery(row.provider, bytes(row.body), row.traceparent)
        for row in (await found.all(connection, {"ids": ids}) if ids else ())
    }
    return await _interpreted(connection, rows, deliveries, livemode=livemode, accounts=accounts)


async def _interpreted(
    connection: AsyncConnection,
    rows: Sequence[Any],
    deliveries: Mapping[str, _Delivery],
    *,
    livemode: bool,
    accounts: Collection[str] | None,
) -> Claimed[Input]:
    read = {key: read_items(each.provider, each.body, livemode=livemode) for key, each in deliveries.items()}
    fetched = await _fetched(connection, rows)
    claimed: list[Input] = []
    refused: list[Refused[Input]] = []
    for row in rows:
        made = _input(row, deliveries, read, fetched, livemode=livemode, accounts=accounts)
        if isinstance(made, Refused):
            refused.append(made)
        else:
            claimed.append(made)
    return Claimed(claimed, refused)


async def again(
    connection: AsyncConnection, pointer: str, *, livemode: bool, accounts: Collection[str] | None = None
) -> Claimed[Input]:
    """Queue once more what a dead letter points to, and return it as it turns out to be now."""
    kind, _, place = pointer.partition("/")
    given: dict[str, Any] = {"id": place}
    if kind == "delivery":
        delivery_id, _, position = place.partition("/")
        given = {"id": delivery_id, "position": int(position)}
    (row,) = await _AGAIN[kind].all(connection, given)
    claimed = await interpreted(connection, [row], livemode=livemode, accounts=accounts)
    known = [await _recognised(connection, each) if isinstance(each, EventInput) else each for each in claimed.items]
    return Claimed(known, claimed.refused)


async def _recognised(connection: AsyncConnection, given: EventInput) -> EventInput:
    """The same input as what it is beside the event that is known by its id, which is its own where none is."""
    event = given.event
    row = {
        "id": new_id(),
        "provider": event.identity.provider,
        "account": event.identity.account,
        "livemode": event.identity.livemode,
        "event_id": event.identity.id,
        "type": event.type,
        "api_version": event.api_version,
        "content_hash": event.content_hash,
        "essence_hash": event.essence_hash,
        "delivery_id": given.delivery_id,
        "position": event.index,
    }
    known = (await connection.execute(_KNOW_EVENT, row)).one()
    kind: type[EventInput] = EventInput
    if (str(known.delivery_id), known.position) != (given.delivery_id, event.index):
        same = compare(
            event,
            api_version=known.api_version,
            content_hash=bytes(known.content_hash),
            essence_hash=bytes(known.essence_hash),
        )
        # A duplicate adds to the set of facts what an alternative does at most: nothing.
        kind = ConflictInput if same is Sameness.CONFLICT else AlternativeInput
    return kind(given.pending_id, given.delivery_id, str(known.id), event, given.facts, given.traceparent)


async def _fetched(connection: AsyncConnection, rows: Sequence[Row]) -> dict[str, tuple[Key, datetime, bytes]]:
    ids = sorted({str(row.fetched_id) for row in rows if row.fetched_id is not None})
    if not ids:
        return {}
    found = await _FETCHED.all(connection, {"ids": ids})
    return {str(row.id): (Key.parse(row.key), row.read_at, bytes(row.body)) for row in found}


def _input(
    row: Row,
    bodies: Mapping[str, _Delivery],
    read: dict[str, Sequence[ProviderEvent | Unreadable]],
    fetched: dict[str, tuple[Key, datetime, bytes]],
    *,
    livemode: bool,
    accounts: Collection[str] | None,
) -> Input | Refused[Input]:
    if row.kind == "refold":
        return RefoldInput(row.id, Key.parse(row.subject))
    if row.kind == "fetched":
        return _fetched_input(row, *fetched[str(row.fetched_id)])
    delivery_id = str(row.delivery_id)
    delivery, event = bodies[delivery_id], read[delivery_id][row.position]
    if isinstance(event, ProviderEvent):
        meaning = interpret(event, livemode=livemode, accounts=accounts)
        if not isinstance(meaning, Unreadable):
            kind = {"alternative": AlternativeInput, "conflict": ConflictInput}.get(row.kind, EventInput)
            facts = meaning.facts if isinstance(meaning, Understood) else ()
            known = "" if row.provider_event_id is None else str(row.provider_event_id)
            return kind(row.id, delivery_id, known, event, facts, delivery.traceparent)
        event = meaning
    message = _slice(delivery.body, row.position)
    event_id = None if row.provider_event_id is None else str(row.provider_event_id)
    pointer = f"delivery/{delivery_id}/{row.position}"
    unusable = UnusableInput(row.id, pointer, message, delivery_id, event_id, delivery.traceparent)
    return Refused(unusable, UnusableError(event))


def _fetched_input(row: Row, key: Key, read_at: datetime, body: bytes) -> Input | Refused[Input]:
    fetched_id = str(row.fetched_id)
    meaning = interpret_fetched(key, body, at=read_at, reference=fetched_id)
    if isinstance(meaning, Unreadable):
        return Refused(UnusableInput(row.id, f"fetched/{fetched_id}", body), UnusableError(meaning))
    return FetchedInput(row.id, fetched_id, key, () if isinstance(meaning, NotUnderstood) else meaning.facts)


def _slice(body: bytes, position: int) -> bytes:
    """The bytes to keep of one item: the item alone where its delivery can be read that far, else all of it."""
    try:
        events = orjson.loads(body)["events"]
        return orjson.dumps(events[position])[:LETTER_MAX_BYTES]
    except (orjson.JSONDecodeError, TypeError, KeyError, IndexError):
        return body[:LETTER_MAX_BYTES]


def done(inputs: Sequence[Input]) -> Write:
    """Take inputs off the queue, and say so on deliveries that brought nothing else; `processed` does the others."""
    return _DONE, {"ids": [each.pending_id for each in inputs]}


async def processed(connection: AsyncConnection, inputs: Sequence[Input]) -> None:
    """Say on deliveries of several events that nothing of them is left in the queue, once these are off it."""
    several = {
        each.delivery_id
        for each in inputs
        if isinstance(each, UnusableInput)
        or (isinstance(each, EventInput) and each.event.identity.provider != "stripe")
    } - {None}
    if several:
        await _PROCESSED.all(connection, {"ids": sorted(str(each) for each in several)})


async def dead(connection: AsyncConnection, delivery_id: str) -> None:
    """Say on a delivery that part of it stands among the dead letters."""
    await connection.execute(_DEAD, {"id": delivery_id})


async def mended(connection: AsyncConnection, pointer: str, letter_id: str) -> None:
    """Say on the delivery that this letter points to, where it points to one, that no other letter of it is open."""
    kind, _, place = pointer.partition("/")
    if kind == "delivery":
        delivery_id = place.partition("/")[0]
        await connection.execute(_MENDED, {"id": delivery_id, "letter": letter_id, "place": f"delivery/{delivery_id}/"})
