"""What belongs to a group, for whoever only looks: `store.lock_group` finds the same and locks it."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from chassis.sql import Statement
from sqlalchemy.ext.asyncio import AsyncConnection

from payments.collection.objects import Key, grouped

# Looked up key by key whatever PostgreSQL believes of the table: in a database without statistics, a new or a restored
# one, it would join all of the table with itself for every batch.
NAMED_BESIDE: Final = """
CROSS JOIN LATERAL (
    SELECT key FROM payments.fact_names
    WHERE fact_id = ANY(ARRAY(SELECT one.fact_id FROM payments.fact_names AS one WHERE one.key = reached.key))
    OFFSET 0
) AS other
"""
"""What facts name beside a key that is reached."""
_REACH = Statement(
    f"""
    WITH RECURSIVE reached (key) AS (
        SELECT key COLLATE "C" FROM unnest(CAST(:grouped AS text[])) AS key
        UNION
        SELECT other.key FROM reached {NAMED_BESIDE} WHERE split_part(other.key, '/', 3) <> 'customer'
    )
    SELECT key FROM reached
    UNION
    SELECT other.key FROM reached {NAMED_BESIDE}
    """
)


async def reach(connection: AsyncConnection, wanted: Collection[Key]) -> frozenset[Key]:
    """Return these objects and all that facts tie to them, without locking any: for a snapshot that only reads."""
    rows = await _REACH.all(connection, {"grouped": [key.text for key in grouped(wanted)]})
    return frozenset(Key.parse(row.key) for row in rows)
