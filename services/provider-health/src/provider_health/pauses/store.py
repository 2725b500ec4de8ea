"""How pauses are loaded and saved. Whoever changes one takes the head's lock first: epochs are in commit order."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from provider_health.pauses.domain import Pause, Scope, Who, due_next
from provider_health.pauses.tables import automation_pause_changes, automation_pauses

_LOCK = text("SELECT epoch FROM provider_health.pause_head WHERE id = 1 FOR UPDATE")
_MOVE = text("UPDATE provider_health.pause_head SET epoch = :epoch WHERE id = 1")
_BEAT = text(
    """
    UPDATE provider_health.pause_head SET beaten_at = clock_timestamp()
    WHERE id = (
        SELECT id FROM provider_health.pause_head
        WHERE id = 1 AND beaten_at <= clock_timestamp() - CAST(:every AS interval) FOR UPDATE SKIP LOCKED
    )
    RETURNING epoch
    """
)
_IS_TIME = text(
    "SELECT beaten_at <= clock_timestamp() - CAST(:every AS interval) FROM provider_health.pause_head WHERE id = 1"
)
_LIVES = text(
    """
    INSERT INTO provider_health.pause_instances AS held (service, instance, epoch, applied_at, leased_until)
    VALUES (:service, :instance, :epoch, :applied_at, :leased_until)
    ON CONFLICT (service, instance) DO UPDATE
    SET epoch = greatest(held.epoch, excluded.epoch),
        applied_at = CASE WHEN excluded.epoch > held.epoch THEN excluded.applied_at ELSE held.applied_at END,
        leased_until = greatest(held.leased_until, excluded.leased_until)
    """
)
_STOPS = text(
    """
    INSERT INTO provider_health.pause_stops (service, instance, epoch, applied_at)
    VALUES (:service, :instance, :epoch, :applied_at) ON CONFLICT (service, instance, epoch) DO NOTHING
    """
)

_FORGET = (
    text("DELETE FROM provider_health.pause_stops WHERE applied_at < clock_timestamp() - CAST(:age AS interval)"),
    text("DELETE FROM provider_health.pause_instances WHERE leased_until < clock_timestamp() - CAST(:age AS interval)"),
)


async def next_epoch(connection: AsyncConnection) -> int:
    """Take the head's lock until the transaction ends; returns the epoch of the change that may be made.

    The number is taken by `note_change`, with the change: a heartbeat must never tell of an epoch that no event has.
    """
    return int((await connection.execute(_LOCK)).scalar_one()) + 1


async def is_time_to_beat(connection: AsyncConnection, every: timedelta) -> bool:
    """Whether the last heartbeat of any process is that long ago, by the database's clock."""
    return bool((await connection.execute(_IS_TIME, {"every": every})).scalar_one())


async def beat(connection: AsyncConnection, every: timedelta) -> int | None:
    """Take this moment's heartbeat; returns the highest epoch, None when another process has it or changes a pause."""
    epoch = (await connection.execute(_BEAT, {"every": every})).scalar_one_or_none()
    return None if epoch is None else int(epoch)


async def load(connection: AsyncConnection, pause_id: str) -> Pause | None:
    """The pause, locked until the transaction ends."""
    found = await connection.execute(
        select(automation_pauses).where(automation_pauses.c.id == pause_id).with_for_update()
    )
    row = found.one_or_none()
    return None if row is None else pause_of(row)


async def active(connection: AsyncConnection, scope: str) -> Pause | None:
    """The pause that is in force for this scope, locked until the transaction ends."""
    where = (automation_pauses.c.scope == scope, automation_pauses.c.state == "active")
    row = (await connection.execute(select(automation_pauses).where(*where).with_for_update())).one_or_none()
    return None if row is None else pause_of(row)


async def add(connection: AsyncConnection, pause: Pause) -> None:
    """Store a new pause."""
    values = _values(pause)
    await connection.execute(insert(automation_pauses).values(id=pause.id, claims=0, **values))


async def save(connection: AsyncConnection, pause: Pause) -> None:
    """Store what has become of a pause."""
    changed = update(automation_pauses).where(automation_pauses.c.id == pause.id)
    await connection.execute(changed.values(**_values(pause)))


async def note_change(
    connection: AsyncConnection, pause: Pause, change: str, *, who: Who, reason: str, now: datetime
) -> None:
    """Take the pause's epoch and add the change to its history, which nobody edits."""
    await connection.execute(_MOVE, {"epoch": pause.epoch})
    await connection.execute(
        insert(automation_pause_changes).values(
            epoch=pause.epoch,
            pause_id=pause.id,
            change=change,
            state=pause.state,
            reason=reason,
            expires_at=pause.expires_at,
            actor_kind=who.kind,
            actor_id=who.id,
            actor_name=who.name,
            at=now,
        )
    )


async def acknowledged(
    connection: AsyncConnection,
    *,
    service: str,
    instance: str,
    epoch: int,
    applied_at: datetime,
    leased_until: datetime,
) -> None:
    """Keep that an instance lives, and when it had first applied this epoch."""
    given = {"service": service, "instance": instance, "epoch": epoch, "applied_at": applied_at}
    await connection.execute(_LIVES, {**given, "leased_until": leased_until})
    await connection.execute(_STOPS, given)


async def forget_stops(connection: AsyncConnection, *, older_than: timedelta) -> None:
    """Forget who stopped when, and who lived, once that is long past."""
    for statement in _FORGET:
        await connection.execute(statement, {"age": older_than})


def _values(pause: Pause) -> dict[str, Any]:
    return {
        "scope": pause.scope.text,
        "provider": pause.scope.provider,
        "account": pause.scope.account,
        "action": pause.scope.action,
        "mode": pause.mode,
        "state": pause.state,
        "reason": pause.reason,
        "incident_id": pause.incident_id,
        "binds_staff": pause.binds_staff,
        "actor_kind": pause.who.kind,
        "actor_id": pause.who.id,
        "actor_name": pause.who.name,
        "by_policy": pause.by_policy,
        "epoch": pause.epoch,
        "set_at": pause.set_at,
        "anchored_at": pause.anchored_at,
        "expires_at": pause.expires_at,
        "ended_at": pause.ended_at,
        "due_at": due_next(pause, now=pause.anchored_at),
        "version": pause.version,
    }


def pause_of(row: Row[Any]) -> Pause:
    """The pause that a row of the table is."""
    return Pause(
        id=row.id,
        scope=Scope(row.provider, row.account, row.action),
        mode=row.mode,
        state=row.state,
        reason=row.reason,
        who=Who(row.actor_kind, row.actor_id, row.actor_name),
        epoch=row.epoch,
        set_at=row.set_at,
        anchored_at=row.anchored_at,
        expires_at=row.expires_at,
        incident_id=row.incident_id,
        binds_staff=row.binds_staff,
        by_policy=row.by_policy,
        ended_at=row.ended_at,
        version=row.version,
    )
