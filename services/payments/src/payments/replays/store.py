"""How replays and their items are kept. A replay is locked by whoever changes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from chassis.clock import real_now
from chassis.sql import Statement
from sqlalchemy.ext.asyncio import AsyncConnection

from payments.replays.domain import Counts, Filter, ItemOutcome, Replay

_COLUMNS = (
    "id, state, provider, received_from, received_until, types, delivery_state, purpose, incident_id, dry_run,"
    " rate_per_second, matched, replayed, unchanged, refused, failed, requested_at, ended_at, version"
)
_ONE = Statement(f"SELECT {_COLUMNS} FROM payments.replays WHERE id = :id")
_LOCKED = Statement(f"SELECT {_COLUMNS} FROM payments.replays WHERE id = :id FOR UPDATE")
_PAGE = Statement(
    f"""
    SELECT {_COLUMNS} FROM payments.replays
    WHERE (CAST(:before AS uuid) IS NULL OR id < CAST(:before AS uuid))
      AND (CAST(:incident AS text) IS NULL OR incident_id = :incident)
    ORDER BY id DESC LIMIT :limit
    """
)
_ADD = Statement(
    """
    INSERT INTO payments.replays
        (id, state, provider, received_from, received_until, types, delivery_state, purpose, incident_id, dry_run,
         rate_per_second, matched, replayed, unchanged, refused, failed, requested_by, requested_at, version, due_at)
    VALUES (:id, 'requested', :provider, :received_from, :received_until, :types, :delivery_state, :purpose,
            :incident_id, :dry_run, :rate, 0, 0, 0, 0, 0, CAST(:requested_by AS jsonb), :now, 1, :now)
    """
)
# In the order in which they came; what a delivery repeats of another one is that one's.
_MATCH = Statement(
    """
    WITH found AS (
        INSERT INTO payments.replay_items (replay_id, number, provider_event_id)
        SELECT CAST(:id AS uuid), row_number() OVER (ORDER BY d.received_at, d.id, e.position), e.id
        FROM payments.provider_events AS e JOIN payments.webhook_deliveries AS d ON d.id = e.delivery_id
        WHERE (CAST(:provider AS text) IS NULL OR e.provider = :provider)
          AND (CAST(:received_from AS timestamptz) IS NULL OR d.received_at >= :received_from)
          AND (CAST(:received_until AS timestamptz) IS NULL OR d.received_at < :received_until)
          AND (CAST(:types AS text[]) = '{}' OR e.type = ANY(CAST(:types AS text[])))
          AND (CAST(:delivery_state AS text) IS NULL OR d.state = :delivery_state)
        LIMIT :most
        RETURNING 1
    )
    SELECT count(*) AS matched FROM found
    """
)
_SAVE = Statement(
    """
    UPDATE payments.replays SET state = :state, matched = :matched, replayed = :replayed, unchanged = :unchanged,
        refused = :refused, failed = :failed, ended_at = :ended_at, version = :version
    WHERE id = :id
    """
)
_STOP = Statement("UPDATE payments.replays SET due_at = NULL WHERE id = :id")
_OPEN_ITEMS = Statement(
    """
    SELECT i.number, e.id, e.type, e.outcome, e.delivery_id, e.position,
           (SELECT l.id FROM payments.dead_letters AS l
            WHERE l.state = 'open' AND l.pointer = 'delivery/' || e.delivery_id || '/' || e.position LIMIT 1) AS letter,
           EXISTS (SELECT FROM payments.pending_events AS p
                   WHERE p.delivery_id = e.delivery_id AND p.position = e.position) AS pending
    FROM payments.replay_items AS i JOIN payments.provider_events AS e ON e.id = i.provider_event_id
    WHERE i.replay_id = :id AND i.outcome IS NULL ORDER BY i.number LIMIT :limit
    """
)
_OUTCOME = Statement(
    "UPDATE payments.replay_items SET outcome = :outcome, why = :why WHERE replay_id = :id AND number = :number"
)
_ITEMS = Statement(
    """
    SELECT i.number, i.provider_event_id, e.provider, e.event_id, e.type, e.delivery_id, e.payment_id, i.outcome, i.why
    FROM payments.replay_items AS i JOIN payments.provider_events AS e ON e.id = i.provider_event_id
    WHERE i.replay_id = :id AND i.number > :after
      AND (CAST(:outcome AS text) IS NULL OR i.outcome = :outcome)
    ORDER BY i.number LIMIT :limit
    """
)
_KNOWN = Statement("SELECT hash FROM payments.provider_facts WHERE hash = ANY(CAST(:hashes AS bytea[]))")
_ASKED = Statement(
    "UPDATE payments.fetches SET due_at = :now WHERE key = ANY(CAST(:keys AS text[])) AND attempts > 0 RETURNING key"
)


@dataclass(frozen=True, slots=True)
class Item:
    """One event of a replay that is not worked off yet. `applied`: it was once; `letter` is its open dead letter's."""

    number: int
    provider_event_id: str
    type: str
    applied: bool
    delivery_id: str
    position: int
    letter: str | None
    pending: bool


async def add(connection: AsyncConnection, replay: Replay, *, requested_by: Mapping[str, Any], most: int) -> int:
    """Keep a replay with one item for each event that its filter matches, `most` of them; returns how many."""
    chosen = {
        "provider": replay.filter.provider,
        "received_from": replay.filter.received_from,
        "received_until": replay.filter.received_until,
        "types": list(replay.filter.types),
        "delivery_state": replay.filter.delivery_state,
    }
    given = {
        "id": replay.id,
        **chosen,
        "purpose": replay.purpose,
        "incident_id": replay.incident_id,
        "dry_run": replay.dry_run,
        "rate": replay.rate_per_second,
        "requested_by": orjson.dumps(requested_by).decode(),
        "now": replay.requested_at,
    }
    await _ADD.each(connection, [given])
    rows = await _MATCH.all(connection, {"id": replay.id, **chosen, "most": most})
    return int(rows[0].matched)


async def find(connection: AsyncConnection, replay_id: str, *, lock: bool = False) -> Replay | None:
    """One replay, or None."""
    rows = await (_LOCKED if lock else _ONE).all(connection, {"id": replay_id})
    return _replay(rows[0]) if rows else None


async def page(
    connection: AsyncConnection, *, incident_id: str | None, before: str | None, limit: int
) -> Sequence[Replay]:
    """Replays, newest first."""
    given = {"incident": incident_id, "before": before, "limit": limit}
    return [_replay(row) for row in await _PAGE.all(connection, given)]


async def save(connection: AsyncConnection, replay: Replay) -> None:
    """Write what changes of a replay."""
    counts = replay.counts
    given = {
        "id": replay.id,
        "state": replay.state,
        "matched": counts.matched,
        "replayed": counts.replayed,
        "unchanged": counts.unchanged,
        "refused": counts.refused,
        "failed": counts.failed,
        "ended_at": replay.ended_at,
        "version": replay.version,
    }
    await _SAVE.each(connection, [given])


async def stop(connection: AsyncConnection, replay_id: str) -> None:
    """Let no process take the replay up again."""
    await _STOP.each(connection, [{"id": replay_id}])


async def open_items(connection: AsyncConnection, replay_id: str, *, limit: int) -> Sequence[Item]:
    """The next items that nothing has become of."""
    return [
        Item(
            row.number,
            str(row.id),
            row.type,
            row.outcome is not None,
            str(row.delivery_id),
            row.position,
            row.letter and str(row.letter),
            row.pending,
        )
        for row in await _OPEN_ITEMS.all(connection, {"id": replay_id, "limit": limit})
    ]


async def keep_outcomes(
    connection: AsyncConnection, replay_id: str, outcomes: Mapping[int, tuple[ItemOutcome, str | None]]
) -> None:
    """Note what became of items."""
    await _OUTCOME.each(
        connection,
        [
            {"id": replay_id, "number": number, "outcome": outcome, "why": why and why[:500]}
            for number, (outcome, why) in outcomes.items()
        ],
    )


async def items(
    connection: AsyncConnection, replay_id: str, *, outcome: str | None, after: int, limit: int
) -> Sequence[Any]:
    """The items of a replay, in their order."""
    return await _ITEMS.all(connection, {"id": replay_id, "outcome": outcome, "after": after, "limit": limit})


async def all_known(connection: AsyncConnection, digests: Sequence[bytes]) -> bool:
    """Whether every one of these facts stands already."""
    return len(await _KNOWN.all(connection, {"hashes": list(digests)})) == len(set(digests))


async def ask_again(connection: AsyncConnection, keys: Sequence[str]) -> bool:
    """Have those of these objects that could not be read so far be read now; whether there is one."""
    return bool(await _ASKED.all(connection, {"keys": list(keys), "now": real_now()}))


def _replay(row: Any) -> Replay:
    chosen = Filter(row.provider, row.received_from, row.received_until, tuple(row.types), row.delivery_state)
    return Replay(
        id=str(row.id),
        state=row.state,
        filter=chosen,
        purpose=row.purpose,
        incident_id=row.incident_id,
        dry_run=row.dry_run,
        rate_per_second=row.rate_per_second,
        counts=Counts(row.matched, row.replayed, row.unchanged, row.refused, row.failed),
        requested_at=row.requested_at,
        ended_at=row.ended_at,
        version=row.version,
    )
