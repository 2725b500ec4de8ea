"""Telling of rejected deliveries: one event for each provider and minute in which there were more than ten."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any, Final

import structlog
from chassis.clock import real_now
from chassis.database import Database
from chassis.faults import Fault, classify
from chassis.transaction import Cause, Draft, Transaction
from chassis.web import Check
from contracts.envelope import Actor, Entity, Workflow
from contracts.events import ProviderDeliveryRejected
from sqlalchemy import Row, text

log = structlog.get_logger()
TOLD_ABOVE_DELIVERIES: Final = 10
_EVERY_SECONDS: Final = 5.0
_MINUTES_AT_ONCE: Final = 200
# A minute is over, and every delivery that began in it has been received and kept.
_OVER_AFTER: Final = timedelta(seconds=60 + 15)
_SYSTEM: Final = Actor(kind="system", id="payments", name="Payments")

_DUE = text("SELECT EXISTS (SELECT FROM payments.rejections WHERE NOT told AND minute <= :until)")
# Whole minutes: what is told of one is all that was refused in it.
_TAKE = text(
    """
    SELECT provider, minute, refusal, deliveries FROM payments.rejections
    WHERE NOT told AND (provider, minute) IN (
        SELECT DISTINCT provider, minute FROM payments.rejections
        WHERE NOT told AND minute <= :until ORDER BY minute, provider LIMIT :limit)
    ORDER BY provider, minute, refusal FOR UPDATE
    """
)
_TOLD = text(
    """
    UPDATE payments.rejections AS r SET told = true
    FROM unnest(CAST(:providers AS text[]), CAST(:minutes AS timestamptz[])) AS taken (provider, minute)
    WHERE r.provider = taken.provider AND r.minute = taken.minute
    """
)


class RejectionReports:
    """Tells of each minute once it is over; several processes take turns by the rows' locks."""

    name = "payments.rejections"

    def __init__(self, database: Database) -> None:
        self._database = database
        self._stop = asyncio.Event()
        self._failure: str | None = None

    async def run(self) -> None:
        """Report until stopped; database trouble is waited out."""
        while not self._stop.is_set():
            try:
                await self.step()
                self._failure = None
            except Exception as error:
                if classify(error) is Fault.POISON:
                    raise
                self._failure = type(error).__name__
                log.warning("rejections.waiting", error=self._failure)
            try:
                async with asyncio.timeout(_EVERY_SECONDS):
                    await self._stop.wait()
            except TimeoutError:
                continue

    async def step(self) -> int:
        """Tell of every minute that is over; returns how many events that made."""
        until = {"until": real_now() - _OVER_AFTER}
        async with self._database.reading() as tx:
            if not (await tx.connection.execute(_DUE, until)).scalar_one():
                return 0
        async with self._database.transaction() as tx:
            rows = (await tx.connection.execute(_TAKE, {**until, "limit": _MINUTES_AT_ONCE})).all()
            taken = sorted({(row.provider, row.minute) for row in rows})
            given = {"providers": [provider for provider, _ in taken], "minutes": [minute for _, minute in taken]}
            await tx.connection.execute(_TOLD, given)
            return self._tell(tx, rows)

    def _tell(self, tx: Transaction, rows: Any) -> int:
        minutes: dict[tuple[str, Any], list[Row[Any]]] = {}
        for row in rows:
            minutes.setdefault((row.provider, row.minute), []).append(row)
        told = 0
        for (provider, minute), reasons in minutes.items():
            count = sum(row.deliveries for row in reasons)
            if count > TOLD_ABOVE_DELIVERIES:
                body = ProviderDeliveryRejected(
                    provider=provider,
                    minute=minute,
                    count=count,
                    by_reason={row.refusal: row.deliveries for row in reasons},
                )
                entity, workflow = Entity(type="provider", id=provider), Workflow(name="ingress", id=provider)
                tx.acting(_SYSTEM, Cause(f"{provider}-{minute.isoformat()}")).emit(Draft(body, entity, workflow))
                told += 1
        return told

    async def stop(self) -> None:
        """Finish the step in flight."""
        self._stop.set()

    def check(self) -> Check:
        """Whether reports can be written."""
        return Check(self.name, self._failure is None, self._failure or "telling of rejected deliveries")
