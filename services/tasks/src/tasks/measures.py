"""What the tasks service measures of itself for the readiness board."""

from __future__ import annotations

from collections.abc import Sequence
from zoneinfo import ZoneInfo

from chassis.clock import real_now
from chassis.evidence import Measuring
from chassis.transaction import Transaction
from contracts.evidence import GATING_TASKS, RECOVERY_TASKS_OVERDUE, Measurement
from contracts.tasks import PAYMENT_RECOVERY

from tasks import queries


def measures(zone: ZoneInfo) -> Sequence[Measuring]:
    """Everything that is measured, where business days are those of `zone`."""

    async def recovery_tasks_overdue(tx: Transaction) -> Sequence[Measurement]:
        count = await queries.count_overdue(tx.connection, PAYMENT_RECOVERY, tx.now, zone)
        path = f"/tasks?kind={PAYMENT_RECOVERY}&due_state=overdue"
        return [RECOVERY_TASKS_OVERDUE.reading(count, real_now(), detail_url=path)]

    async def gating_tasks(tx: Transaction) -> Sequence[Measurement]:
        now, counted = real_now(), await queries.count_gating(tx.connection)
        by_item = [
            GATING_TASKS.reading(count, now, of=gate, detail_url=f"/tasks?gate={gate}&state=open")
            for gate, count in counted
        ]
        return [GATING_TASKS.reading(sum(count for _, count in counted), now), *by_item]

    return [recovery_tasks_overdue, gating_tasks]
