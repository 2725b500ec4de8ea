"""How incidents are loaded and saved. Whoever changes one locks its row, and a version is never skipped or repeated."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any, Final

from chassis.clock import real_now
from chassis.sql import Statement
from sqlalchemy import Row, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from provider_health.incidents.domain import AtRisk, Incident, Owner, PreventionTask
from provider_health.incidents.entries import Entry
from provider_health.incidents.tables import incident_timeline, prevention_tasks, provider_incidents

_NOTICES_KEPT: Final = 8
_AT_RISK = text(
    """
    SELECT count(*) AS payments, coalesce(sum(amount_minor), 0)::bigint AS amount_minor, currency
    FROM provider_health.waiting_payments WHERE provider = :provider AND waits
    GROUP BY currency ORDER BY count(*) DESC, currency LIMIT 1
    """
)
# Told in the order in which it was committed; an event that arrives late changes nothing.
_WAITS = Statement(
    """
    INSERT INTO provider_health.waiting_payments AS held
        (payment_id, provider, amount_minor, currency, waits, told_at)
    VALUES (:payment, :provider, :amount, :currency, :waits, :told_at)
    ON CONFLICT (payment_id) DO UPDATE
    SET waits = excluded.waits, told_at = excluded.told_at, amount_minor = excluded.amount_minor,
        currency = excluded.currency
    WHERE held.told_at < excluded.told_at
    """
)
_WAITS_STILL = Statement(
    """
    UPDATE provider_health.waiting_payments SET waits = :waits, told_at = :told_at
    WHERE payment_id = :payment AND told_at < :told_at
    """
)
# An event of a task that arrives late changes nothing.
_PREVENTS = Statement(
    """
    INSERT INTO provider_health.prevention_tasks AS held (task_id, incident_id, owner_name, due, version)
    VALUES (:task_id, :incident_id, :owner_name, :due, :version)
    ON CONFLICT (task_id) DO UPDATE
    SET owner_name = excluded.owner_name, due = excluded.due, version = excluded.version
    WHERE held.version < excluded.version
    """
)
# Something that was told later, or the same, is known already where no row comes back.
_PAYOUT = Statement(
    """
    INSERT INTO provider_health.payouts_told AS held (provider, reference, told_at)
    VALUES (:provider, :reference, :told_at)
    ON CONFLICT (provider, reference) DO UPDATE SET told_at = excluded.told_at WHERE held.told_at < excluded.told_at
    RETURNING held.told_at
    """
)
_PROVIDER = text("SELECT provider FROM provider_health.waiting_payments WHERE payment_id = :payment")
_STATUS = text("SELECT status FROM provider_health.provider_health_checks WHERE id = :check")


async def load(connection: AsyncConnection, incident_id: str) -> Incident | None:
    """The incident, locked until the transaction ends."""
    table = provider_incidents
    row = (await connection.execute(select(table).where(table.c.id == incident_id).with_for_update())).one_or_none()
    return None if row is None else incident_of(row)


async def gathering(connection: AsyncConnection, dedupe_key: str) -> Incident | None:
    """The incident under which symptoms of this provider and cause gather, locked until the transaction ends."""
    table = provider_incidents
    where = (table.c.dedupe_key == dedupe_key, table.c.gathers)
    row = (await connection.execute(select(table).where(*where).with_for_update())).one_or_none()
    return None if row is None else incident_of(row)


async def add(connection: AsyncConnection, incident: Incident) -> None:
    """Store a new incident."""
    await connection.execute(insert(provider_incidents).values(id=incident.id, **_values(incident)))


async def save(connection: AsyncConnection, before: Incident, after: Incident) -> None:
    """Store what has become of an incident that this transaction holds the lock of."""
    table = provider_incidents
    where = (table.c.id == before.id, table.c.version == before.version)
    await connection.execute(update(table).where(*where).values(**_values(after)))


async def note(connection: AsyncConnection, incident_id: str, entry: Entry, *, now: datetime) -> None:
    """Add an entry to the timeline, which nobody edits."""
    await connection.execute(
        insert(incident_timeline).values(
            incident_id=incident_id,
            at=now,
            recorded_at=real_now(),
            kind=entry.kind,
            words=entry.words,
            actor_kind=entry.actor.kind,
            actor_id=entry.actor.id,
            actor_name=entry.actor.name,
            reference=entry.reference,
            notice=entry.notice,
        )
    )


async def at_risk(connection: AsyncConnection, provider: str) -> AtRisk | None:
    """The money that waits at a provider, in the currency of most of it."""
    row = (await connection.execute(_AT_RISK, {"provider": provider})).one_or_none()
    return None if row is None else AtRisk(row.payments, row.amount_minor, row.currency)


async def payment_told(
    connection: AsyncConnection,
    payment_id: str,
    *,
    provider: str | None,
    amount_minor: int | None,
    currency: str | None,
    waits: bool,
    told_at: datetime,
) -> None:
    """Keep whether a payment waits to be collected; without its provider and amount only of one that is known."""
    given = {"payment": payment_id, "waits": waits, "told_at": told_at}
    if provider is None or amount_minor is None or currency is None:
        await _WAITS_STILL.all(connection, given)
    else:
        await _WAITS.all(connection, {**given, "provider": provider, "amount": amount_minor, "currency": currency})


async def provider_of(connection: AsyncConnection, payment_id: str) -> str | None:
    """The provider of a payment that was heard of."""
    return (await connection.execute(_PROVIDER, {"payment": payment_id})).scalar_one_or_none()


async def prevention_told(connection: AsyncConnection, task: PreventionTask) -> None:
    """Keep what a prevention task is by now."""
    await _PREVENTS.all(connection, asdict(task))


async def prevention_of(connection: AsyncConnection, incident: Incident) -> PreventionTask | None:
    """What is known of the task that prevents another such incident."""
    table = prevention_tasks
    found = await connection.execute(select(table).where(table.c.task_id == incident.prevention_task_id))
    row = found.one_or_none()
    return None if row is None else PreventionTask(**row._mapping)


async def payout_told(connection: AsyncConnection, provider: str, reference: str, told_at: datetime) -> bool:
    """Keep when something was told of a payout; False where something later is known. Its row is locked."""
    given = {"provider": provider, "reference": reference, "told_at": told_at}
    return bool(await _PAYOUT.all(connection, given))


async def check_status(connection: AsyncConnection, provider: str, category: str) -> str | None:
    """What a check says now; None when there is no such check."""
    found = await connection.execute(_STATUS, {"check": f"{provider}/{category}"})
    return found.scalar_one_or_none()


def _values(incident: Incident) -> dict[str, Any]:
    return {
        "title": incident.title,
        "provider": incident.provider,
        "cause": incident.cause,
        "dedupe_key": incident.dedupe_key,
        "gathers": incident.gathers,
        "state": incident.state,
        "severity": incident.severity,
        "impact": incident.impact,
        "at_risk_minor": incident.at_risk_minor,
        "at_risk_currency": incident.at_risk_currency,
        "owner_id": incident.owner and incident.owner.id,
        "owner_name": incident.owner and incident.owner.name,
        "prevention_task_id": incident.prevention_task_id,
        "replay_ids": list(incident.replay_ids),
        "pause_ids": list(incident.pause_ids),
        "recovery_action": incident.recovery_action,
        "decision": incident.decision,
        "detected_at": incident.detected_at,
        "recovered_at": incident.recovered_at,
        "resolved_at": incident.resolved_at,
        "reviewed_at": incident.reviewed_at,
        "relapses": incident.relapses,
        "noticed_at": list(incident.noticed[-_NOTICES_KEPT:]),
        "version": incident.version,
    }


def incident_of(row: Row[Any]) -> Incident:
    """The incident that a row of the table is."""
    return Incident(
        id=row.id,
        title=row.title,
        provider=row.provider,
        cause=row.cause,
        state=row.state,
        severity=row.severity,
        detected_at=row.detected_at,
        gathers=row.gathers,
        impact=row.impact,
        at_risk_minor=row.at_risk_minor,
        at_risk_currency=row.at_risk_currency,
        owner=None if row.owner_id is None else Owner(row.owner_id, row.owner_name),
        prevention_task_id=row.prevention_task_id,
        replay_ids=tuple(row.replay_ids),
        pause_ids=tuple(row.pause_ids),
        recovery_action=row.recovery_action,
        decision=row.decision,
        recovered_at=row.recovered_at,
        resolved_at=row.resolved_at,
        reviewed_at=row.reviewed_at,
        relapses=row.relapses,
        noticed=tuple(row.noticed_at),
        version=row.version,
    )
