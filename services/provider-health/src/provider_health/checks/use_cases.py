"""What is done with an observation: the check is brought up to date, a change is told, and the incidents hear of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from chassis.transaction import Transaction

from provider_health.checks import store, translate
from provider_health.checks.domain import Changed, Observation, Status, change, observe, shown
from provider_health.checks.store import StoredCheck
from provider_health.incidents import reactions
from provider_health.incidents.reactions import Policy, Symptom


@dataclass(frozen=True, slots=True)
class Concluded:
    """What an observation led to: the check's status as others see it, and the change, if it is one."""

    status: Status
    change: Changed | None


async def record(tx: Transaction, check_id: str, seen: Observation, policy: Policy) -> Concluded | None:
    """Take an observation into account. None: there is no such check, so nobody relies on it."""
    check = await store.load(tx.connection, check_id)
    if check is None:
        return None
    detector = observe(check.detector, seen, dwell=timedelta(seconds=check.dwell_seconds))
    covered = await store.in_maintenance(tx.connection, check.provider, tx.now)
    status = shown(detector, in_maintenance=covered)
    found = change(check.status, status, detector, seen)
    await store.save(tx.connection, check, detector, status, seen)
    if found is not None:
        tx.emit(translate.changed(check, found, seen))
        await reactions.check_changed(tx, _symptom(check, found), policy)
    return Concluded(status, found)


def _symptom(check: StoredCheck, found: Changed) -> Symptom:
    return Symptom(check.provider, check.category, found.previous, found.status, found.reason)
