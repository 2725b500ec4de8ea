"""How seals are kept and read, and the sealing of what has been committed since.

One process seals at a time, whoever holds the head's row; writers of journals wait for nobody. A journal's number is
drawn before its transaction commits, so a smaller one may appear after a larger one was sealed: what is looked at is
every journal without a seal behind `settled`, the number up to which nothing can appear any more. That moves when
every transaction that was open at the time when it was the largest number has ended.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from datetime import timedelta
from typing import Any, Final

import asyncpg
import orjson
from chassis.clock import real_now
from chassis.sql import Row, Statement
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from payments.ledger.sealing import GENESIS, fingerprints, link

STEP_JOURNALS: Final = 2_000
PAGE_SEALS: Final = 1_000
_ANCHOR_EVERY: Final = timedelta(minutes=10)
# Times are told in JSON as the session's time zone has them. And a page is found by index, whatever was known of these
# tables when its statement was planned: a plan that reads all of a long chain for a few journals is no plan.
_PREPARE: Final = text(
    "SELECT set_config('TimeZone', 'UTC', true), set_config('enable_hashjoin', 'off', true),"
    " set_config('enable_mergejoin', 'off', true), set_config('enable_seqscan', 'off', true)"
)
_ENTRIES: Final = (
    "(SELECT json_agg(e ORDER BY e.line)::text FROM payments.ledger_entries AS e WHERE e.journal_id = {0}) AS entries"
)
_HEAD_COLUMNS: Final = "last_number, last_hash, settled, reached, reached_by::text AS reached_by"
_HEAD: Final = Statement(f"SELECT {_HEAD_COLUMNS} FROM payments.seal_head WHERE id = 1")
_TURN: Final = Statement(f"{_HEAD.text} FOR UPDATE SKIP LOCKED")
_OPEN: Final = Statement(
    """
    SELECT pg_snapshot_xmin(pg_current_snapshot())::text AS oldest,
           pg_snapshot_xmax(pg_current_snapshot())::text AS next,
           (SELECT coalesce(max(number), 0) FROM payments.journals) AS largest
    """
)
_UNSEALED: Final = Statement(
    f"""
    SELECT j.id, j.number, row_to_json(j)::text AS journal, {_ENTRIES.format("j.id")}
    FROM payments.journals AS j
    WHERE j.number > :after AND NOT EXISTS (SELECT FROM payments.seals AS s WHERE s.journal_id = j.id)
    ORDER BY j.number LIMIT :limit
    """
)
_SEAL: Final = Statement(
    """
    INSERT INTO payments.seals (number, journal_id, fingerprints, hash)
    SELECT * FROM unnest(
        CAST(:numbers AS bigint[]), CAST(:journals AS uuid[]), CAST(:fingerprints AS bytea[]), CAST(:hashes AS bytea[]))
    """
)
_MOVE: Final = Statement(
    """
    UPDATE payments.seal_head
    SET last_number = :number, last_hash = :hash, settled = :settled, reached = :reached,
        reached_by = CAST(CAST(:reached_by AS text) AS xid8)
    WHERE id = 1
    """
)
_ANCHOR: Final = Statement(
    """
    INSERT INTO payments.seal_anchors (number, hash, noted_at)
    SELECT last_number, last_hash, CAST(:now AS timestamptz) FROM payments.seal_head
    WHERE id = 1 AND last_number > coalesce((SELECT max(number) FROM payments.seal_anchors), 0)
      AND NOT EXISTS (SELECT FROM payments.seal_anchors WHERE noted_at > CAST(:fresh AS timestamptz))
    """
)
# Everything is settled a moment after it was sealed: the first comparison is all that an idle ledger costs.
_BEHIND: Final = Statement(
    """
    SELECT h.settled < (SELECT coalesce(max(number), 0) FROM payments.journals)
           OR h.last_number > coalesce((SELECT max(number) FROM payments.seal_anchors), 0)
              AND NOT EXISTS (SELECT FROM payments.seal_anchors WHERE noted_at > CAST(:fresh AS timestamptz)) AS behind
    FROM payments.seal_head AS h WHERE h.id = 1
    """
)
_ANCHORS: Final = Statement("SELECT number, hash FROM payments.seal_anchors ORDER BY number")
_PAGE: Final = f"""
SELECT s.number, s.journal_id, s.fingerprints, s.hash, row_to_json(j)::text AS journal,
       {_ENTRIES.format("s.journal_id")}
FROM payments.seals AS s LEFT JOIN payments.journals AS j ON j.id = s.journal_id
WHERE s.number > $1 ORDER BY s.number LIMIT {PAGE_SEALS}
"""


async def prepare(connection: AsyncConnection) -> None:
    """Have this transaction read times as they are sealed, and pages by index."""
    await connection.execute(_PREPARE)


async def behind(connection: AsyncConnection) -> bool:
    """Whether there is something to seal or to note; asking writes nothing."""
    await prepare(connection)
    rows = await _BEHIND.all(connection, {"fresh": real_now() - _ANCHOR_EVERY})
    return bool(rows[0].behind)


async def seal(connection: AsyncConnection) -> int:
    """Seal what is committed and not sealed, so many journals at once; returns how many. 0 where others seal."""
    await prepare(connection)
    turn = await _TURN.all(connection)
    if not turn:
        return 0
    head = turn[0]
    (open_now,) = await _OPEN.all(connection)
    found = await _UNSEALED.all(connection, {"after": head.settled, "limit": STEP_JOURNALS})
    number, before = head.last_number, bytes(head.last_hash)
    made: list[tuple[int, Any, bytes, bytes]] = []
    for row in found:
        journal, entries = orjson.loads(row.journal), orjson.loads(row.entries or "[]")
        number, before = number + 1, link(before, journal, entries)
        made.append((number, row.id, fingerprints(journal, entries), before))
    if made:
        names = ("numbers", "journals", "fingerprints", "hashes")
        await _SEAL.all(connection, dict(zip(names, map(list, zip(*made, strict=True)), strict=True)))
    place = _settled(head, open_now, complete=len(found) < STEP_JOURNALS)
    if made or place != {name: head[name] for name in place}:
        await _MOVE.all(connection, {"number": number, "hash": before, **place})
    now = real_now()
    await _ANCHOR.all(connection, {"now": now, "fresh": now - _ANCHOR_EVERY})
    return len(made)


def _settled(head: Row, open_now: Row, *, complete: bool) -> dict[str, Any]:
    """Up to which number nothing can appear any more; `complete`: everything that is there is sealed."""
    settled, reached, by = head.settled, head.reached, head.reached_by
    if by is not None and int(by) > int(open_now.next):
        by = None  # of another server: this one was restored from it
    if by is not None and complete and int(open_now.oldest) >= int(by):
        settled, by = reached, None
    if by is None and open_now.largest > settled:
        reached, by = open_now.largest, open_now.next
    return {"settled": settled, "reached": reached, "reached_by": by}


async def head(connection: AsyncConnection) -> Row:
    """Where the chain ends."""
    (row,) = await _HEAD.all(connection)
    return row


async def anchors(connection: AsyncConnection) -> dict[int, bytes]:
    """What hashes of the chain were noted, by the number of their seals."""
    return {row.number: bytes(row.hash) for row in await _ANCHORS.all(connection)}


async def hash_of(connection: AsyncConnection, number: int) -> bytes:
    """The hash of a seal, or what comes before the first one."""
    rows = await Statement("SELECT hash FROM payments.seals WHERE number = :number").all(connection, {"number": number})
    return bytes(rows[0].hash) if rows else GENESIS


async def unsealed(connection: AsyncConnection, *, after: int) -> AsyncIterator[Row]:
    """Every journal behind this number that has no seal."""
    while rows := await _UNSEALED.all(connection, {"after": after, "limit": STEP_JOURNALS}):
        for row in rows:
            yield row
        after = rows[-1].number


async def pages(connection: AsyncConnection, *, after: int) -> AsyncGenerator[Sequence[asyncpg.Record], None]:
    """The chain behind a seal in pages; PostgreSQL works on the next one while this one is checked.

    Whoever leaves before the end closes it: the next page is on its way on the same connection.
    """
    driver: Any = (await connection.get_raw_connection()).driver_connection
    rows = await driver.fetch(_PAGE, after)
    while rows:
        following = asyncio.create_task(driver.fetch(_PAGE, rows[-1]["number"]))
        await asyncio.sleep(0)  # the query is on its way before this page is checked
        try:
            yield rows
        finally:
            rows = await following
