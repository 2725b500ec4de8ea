"""What is done with an observation: the check is brought up to date, a change is told, and the incidents hear of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from chassis import versions
from chassis.ids import new_id
from chassis.transaction import Transaction

from provider_health.checks import store, translate
from provider_health.checks.domain import (
    Changed,
    Observation,
    Status,
    Window,
    change,
    ended_early,
    observe,
    planned,
    shown,
)
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


class NoSuchWindowError(LookupError):
    """There is no maintenance window with this id."""

    def __init__(self, window_id: str) -> None:
        super().__init__(f"there is no maintenance window {window_id}")
        self.id = window_id


async def plan_window(
    tx: Transaction, provider: str, *, starts_at: datetime | None, lasts: timedelta, reason: str
) -> Window:
    """Plan a maintenance window, from now on where no start is given. Raises WindowError."""
    start = starts_at or tx.now
    window = Window(new_id(), provider, start, start + lasts, reason, tx.actor.id, tx.actor.name)
    await store.add_window(tx.connection, planned(window, now=tx.now))
    tx.emit(translate.window_updated(None, window, "planned", reason))
    return window


async def end_window(tx: Transaction, window_id: str, *, reason: str, expected: int | None) -> Window:
    """End a maintenance window now. Raises NoSuchWindowError, StaleVersionError and WindowOverError."""
    before = await store.load_window(tx.connection, window_id)
    if before is None:
        raise NoSuchWindowError(window_id)
    versions.require("maintenance window", window_id, expected=expected, version=before.version)
    after = ended_early(before, now=tx.now)
    await store.end_window(tx.connection, after)
    tx.emit(translate.window_updated(before, after, "ended", reason))
    return after
