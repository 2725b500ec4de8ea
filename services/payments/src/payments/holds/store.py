"""How holds are kept and found. A member's holds change only while that member is locked."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from chassis.sql import Statement
from sqlalchemy.ext.asyncio import AsyncConnection

from payments.holds.domain import Hold

_COLUMNS = "h.id, h.member_id, m.name, h.kind, h.state, h.starts_at, h.ends_at, h.reason, h.version"
_FROM = f"SELECT {_COLUMNS} FROM payments.member_holds AS h JOIN payments.members AS m ON m.id = h.member_id"
_OF_MEMBER = Statement(f"{_FROM} WHERE h.member_id = :member ORDER BY h.id DESC LIMIT :limit")
_PAGE = Statement(
    f"""
    {_FROM} WHERE h.member_id = :member AND (CAST(:before AS uuid) IS NULL OR h.id < CAST(:before AS uuid))
    ORDER BY h.id DESC LIMIT :limit
    """
)
_ONE = Statement(f"{_FROM} WHERE h.id = :id")
_LOCKED = Statement(f"{_FROM} WHERE h.id = :id FOR UPDATE OF h")
_DUE = Statement(
    f"""
    {_FROM} WHERE (h.state = 'planned' AND h.starts_at <= :now)
               OR (h.state = 'in_force' AND h.ends_at <= :now)
    ORDER BY h.id LIMIT :limit FOR UPDATE OF h SKIP LOCKED
    """
)
# As the clock says, not as a timer has noted: what should have begun a moment ago holds already.
_IN_FORCE = Statement(
    f"""
    {_FROM} WHERE h.member_id = ANY(:members) AND h.state IN ('planned', 'in_force')
      AND h.starts_at <= :now AND (h.ends_at IS NULL OR h.ends_at > :now)
    ORDER BY h.starts_at, h.id
    """
)
_SAVE = Statement(
    """
    INSERT INTO payments.member_holds AS held (id, member_id, kind, state, starts_at, ends_at, reason, version)
    VALUES (:id, :member_id, :kind, :state, :starts_at, :ends_at, :reason, :version)
    ON CONFLICT (id) DO UPDATE SET state = excluded.state, ends_at = excluded.ends_at, version = excluded.version
    """
)


async def of_member(connection: AsyncConnection, member_id: str, *, limit: int = 1_000) -> Sequence[Hold]:
    """The member's newest holds, over or not."""
    return [_hold(row) for row in await _OF_MEMBER.all(connection, {"member": member_id, "limit": limit})]


async def page(connection: AsyncConnection, member_id: str, *, before: str | None, limit: int) -> Sequence[Hold]:
    """The member's holds, newest first, from behind `before`."""
    given = {"member": member_id, "before": before, "limit": limit}
    return [_hold(row) for row in await _PAGE.all(connection, given)]


async def find(connection: AsyncConnection, hold_id: str, *, lock: bool = False) -> Hold | None:
    """One hold, or None."""
    rows = await (_LOCKED if lock else _ONE).all(connection, {"id": hold_id})
    return _hold(rows[0]) if rows else None


async def due(connection: AsyncConnection, *, now: datetime, limit: int) -> Sequence[Hold]:
    """Holds whose beginning or end has come, locked; those that another process has are skipped."""
    return [_hold(row) for row in await _DUE.all(connection, {"now": now, "limit": limit})]


async def in_force(connection: AsyncConnection, members: Sequence[str], *, now: datetime) -> Sequence[Hold]:
    """What is in force for these members at `now`, the oldest first."""
    return [_hold(row) for row in await _IN_FORCE.all(connection, {"members": list(members), "now": now})]


async def save(connection: AsyncConnection, hold: Hold) -> None:
    """Write the hold."""
    await _SAVE.each(
        connection,
        [
            {
                "id": hold.id,
                "member_id": hold.member_id,
                "kind": hold.kind,
                "state": hold.state,
                "starts_at": hold.starts_at,
                "ends_at": hold.ends_at,
                "reason": hold.reason,
                "version": hold.version,
            }
        ],
    )


def _hold(row: Any) -> Hold:
    return Hold(
        str(row.id), row.member_id, row.name, row.kind, row.state, row.starts_at, row.ends_at, row.reason, row.version
    )
