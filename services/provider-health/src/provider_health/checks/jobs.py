"""Active checks: each is due on its own cadence, and one of all processes looks."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import ClassVar

from chassis.database import Database
from chassis.schedule import Due, Open, Rows, Schedule, ScheduleLimits

from provider_health.checks import store, use_cases
from provider_health.checks.domain import Observation
from provider_health.checks.providers import Answer, Probes
from provider_health.checks.store import Registered
from provider_health.incidents.reactions import Policy
from provider_health.names import (
    AI_DECISIONS,
    API,
    EVENTS,
    GOCARDLESS,
    HTTP,
    MEMBERS_API,
    PAYMENT_WEBHOOKS,
    STRIPE,
    WEBHOOKS,
)
from provider_health.settings import ProviderHealthSettings


def registered(settings: ProviderHealthSettings) -> Sequence[Registered]:
    """Every check that there is: providers' APIs and our own doors are looked at, deliveries are heard of."""
    cadence, door = settings.check_cadence_seconds, settings.door_cadence_seconds
    return [
        Registered(STRIPE, API, cadence),
        Registered(GOCARDLESS, API, cadence),
        Registered(STRIPE, WEBHOOKS, None),
        Registered(GOCARDLESS, WEBHOOKS, None),
        Registered(MEMBERS_API, HTTP, door),
        Registered(PAYMENT_WEBHOOKS, HTTP, door),
        Registered(AI_DECISIONS, EVENTS, door),
    ]


class Checks(Schedule):
    """Looks at whatever is due."""

    name: ClassVar[str] = "checks"
    rows = Rows("provider_health.provider_health_checks")

    def __init__(
        self,
        database: Database,
        probes: Probes,
        registered: Sequence[Registered],
        policy: Policy,
        *,
        dwell_seconds: int,
        grace_seconds: float,
        limits: ScheduleLimits,
    ) -> None:
        super().__init__(database, limits=limits)
        self._probes = probes
        self._registered = registered
        self._policy = policy
        self._dwell_seconds = dwell_seconds
        self._believes_from = time.monotonic() + grace_seconds
        self._known = False

    async def step(self) -> int:
        """Make the checks of the settings known once, then look at what is due."""
        if not self._known:
            async with self._database.transaction() as tx:
                for each in sorted(self._registered, key=lambda check: check.id):
                    await store.register(tx.connection, each, dwell_seconds=self._dwell_seconds, now=tx.now)
            self._known = True
        return await super().step()

    async def execute(self, due: Due, open_tx: Open) -> None:
        """Look, outside of any transaction, and record what was seen; the next look is a cadence from then."""
        answer = self._believed(due.key, await self._probes.look(due.key))
        async with open_tx() as tx:
            seen = Observation(answer.outcome, tx.now, answer.evidence, answer.latency_ms)
            await use_cases.record(tx, due.key, seen, self._policy)
            await due.settle(tx, tx.now + timedelta(seconds=self._cadence(due.key)))

    def _believed(self, check_id: str, answer: Answer) -> Answer:
        """Our own doors start together with whoever looks at them; a provider does not."""
        own_door = check_id.endswith(f"/{HTTP}")
        if own_door and answer.outcome == "failed" and time.monotonic() < self._believes_from:
            return replace(answer, outcome="early")
        return answer

    def _cadence(self, check_id: str) -> int:
        """The cadence by this process' settings; a check that another version registered is looked at by that one."""
        found = [each.cadence_seconds for each in self._registered if each.id == check_id]
        return (found[0] if found else None) or self._longest()

    def _longest(self) -> int:
        return max([each.cadence_seconds or 0 for each in self._registered] or [0]) or 60

    async def close(self) -> None:
        """Let looks in flight end, then close every connection."""
        await super().close()
        await self._probes.aclose()
