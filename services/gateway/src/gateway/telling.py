"""Tells what happened at the door: sign-ins, and requests that were refused.

Both wait in memory until they are in the outbox: PostgreSQL may be away without anybody being kept out. A process
that is killed meanwhile loses what waits, and the log still has every line of it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Sequence
from typing import ClassVar, Final

import structlog
from chassis.clock import real_now
from chassis.database import Database
from chassis.ids import bounded
from chassis.poller import Poller
from chassis.transaction import Cause, Draft
from contracts.envelope import Actor, Entity, Payload, Workflow
from contracts.events import AccessRefused, AccessSignedIn

from gateway.domain import Refusals, Refused, Told

log = structlog.get_logger()
SIGN_INS_MAX: Final = 10_000
BATCH_MAX: Final = 200
LAST_STEP_SECONDS: Final = 5.0
_SECONDS_BETWEEN: Final = 1.0


class Teller(Poller):
    """Puts into the outbox what happened at the door."""

    name: ClassVar[str] = "access events"
    idle_seconds = _SECONDS_BETWEEN

    def __init__(self, database: Database) -> None:
        super().__init__()
        self._database = database
        self._refusals = Refusals()
        self._sign_ins: deque[tuple[Actor, Cause, Draft[AccessSignedIn]]] = deque()

    def refused(self, refused: Refused) -> None:
        """Note a refusal."""
        log.warning(
            "door.refused", caller=refused.who.id, route=refused.route, cause=refused.cause, reason=refused.reason
        )
        if self._refusals.note(refused):
            self.wake.set()

    def signed_in(self, actor: Actor, cause: Cause, *, roles: Sequence[str], method: str, issuer: str) -> None:
        """Note that somebody has begun a session."""
        log.info("door.signed_in", caller=actor.id, roles=list(roles), method=method, issuer=issuer)
        if len(self._sign_ins) >= SIGN_INS_MAX:
            log.error("door.forgotten", caller=actor.id, waiting=len(self._sign_ins))
            return
        draft = Draft(
            AccessSignedIn(roles=tuple(roles), method=method, issuer=issuer),
            entity=Entity(type="access", id=bounded(actor.id)),
            workflow=Workflow(name="access", id=bounded(actor.id)),
        )
        self._sign_ins.append((actor, cause, draft))
        self.wake.set()

    async def step(self) -> bool:
        """Write what is due; what could not be written waits."""
        return await self._write(ending=False)

    async def close(self) -> None:
        """Write everything that waits, if it can be done soon."""
        with contextlib.suppress(Exception):
            async with asyncio.timeout(LAST_STEP_SECONDS):
                while await self._write(ending=True):
                    pass

    async def _write(self, *, ending: bool) -> bool:
        now = real_now()
        due = dict(list(self._refusals.due(now, ending=ending).items())[:BATCH_MAX])
        signed = list(self._sign_ins)[:BATCH_MAX]
        if not due and not signed:
            return False
        async with self._database.transaction() as tx:
            for actor, cause, sign_in in signed:
                tx.acting(actor, cause).emit(sign_in)
            for told in due.values():
                who = told.first.who
                actor = Actor(kind="staff" if who.kind == "staff" else "consumer", id=who.id, name=who.name)
                tx.acting(actor, Cause(told.first.request_id, None, told.first.traceparent)).emit(_draft(told))
        for _ in signed:
            self._sign_ins.popleft()
        self._refusals.told(due, now)
        return True


def _draft(told: Told) -> Draft[Payload]:
    first = told.first
    body = AccessRefused(
        operation=first.operation, route=first.route, cause=first.cause, count=told.count, minute=first.minute
    )
    return Draft(
        body,
        entity=Entity(type="access", id=bounded(first.who.id)),
        workflow=Workflow(name="access", id=bounded(first.who.id)),
        reason=first.reason,
    )
