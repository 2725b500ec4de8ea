"""What belongs to a group, for whoever only looks: `store.lock_group` finds the same and locks it."""

from __future__ import annotations

from collections.abc import Collection

from chassis.sql import Statement
from sqlalchemy.ext.asyncio import AsyncConnection

from payments.collection.objects import Key, grouped

_REACH = Statement(
    """
    WITH RECURSIVE reached (key) AS (
        SELECT key COLLATE "C" FROM unnest(CAST(:grouped AS text[])) AS key
        UNION
        SELECT other.key FROM reached
        JOIN payments.fact_names AS one ON one.key = reached.key
        JOIN payments.fact_names AS other ON other.fact_id = one.fact_id
        WHERE split_part(other.key, '/', 3) <> 'customer'
    )
    SELECT key FROM reached
    UNION
    SELECT other.key FROM reached
    JOIN payments.fact_names AS one ON one.key = reached.key
    JOIN payments.fact_names AS other ON other.fact_id = one.fact_id
    """
)


async def reach(connection: AsyncConnection, wanted: Collection[Key]) -> frozenset[Key]:
    """Return these objects and all that facts tie to them, without locking any: for a snapshot that only reads."""
    rows = await _REACH.all(connection, {"grouped": [key.text for key in grouped(wanted)]})
    return frozenset(Key.parse(row.key) for row in rows)
