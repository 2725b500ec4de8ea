"""Mark's failed months at a simulated Stripe, with a clock that both sides share and pauses that somebody keeps."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from chassis import clock
from chassis.clock import real_now
from chassis.ids import new_id
from contracts.envelope import Actor, Data, Entity, Event, Payload, Workflow
from contracts.events import (
    AutomationPauseHeartbeat,
    AutomationPauseUpdated,
    Named,
    OperationalTaskUpdated,
    PauseScope,
    PauseState,
    TaskOutcome,
    TaskSource,
    TaskState,
)
from contracts.registry import type_of
from contracts.topics import AUTOMATION_PAUSES, TASKS_EVENTS
from payments.main import pauses_of, service

from tests.payments.providers import SECRETS, STRIPE_SECRET, Payments
from tests.payments.test_debits import listening
from tests.simulator.conftest import Simulator
from tests.support.eventually import eventually
from tests.support.infrastructure import TemporaryDatabase
from tests.support.services import running

BEAT_SECONDS = 0.5
_MARIA = Named(id="maria-rossi", name="Maria Rossi")
# A fee that its provider has not settled yet is asked for again much later.
_QUIET = (
    "SELECT (SELECT count(*) FROM payments.pending_events)"
    " + (SELECT count(*) FROM payments.fetches WHERE due_at <= clock_timestamp() + interval '1 minute')"
    " + (SELECT count(*) FROM payments.payment_retries WHERE due_at <= CAST(:now AS timestamptz))"
)


def told(source: str, body: Payload, entity: Entity, *, key: str | None = None) -> Event[Payload]:
    """An event as another service tells it."""
    declared = type_of(type(body))
    return Event[Payload](
        id=new_id(),
        source=f"/{source}",
        type=declared.name,
        subject=entity.id,
        time=real_now(),
        dataschema=declared.dataschema,
        correlationid=new_id(),
        partitionkey=key or entity.id,
        data=Data(
            actor=Actor(kind="system", id=source, name=source),
            entity=entity,
            workflow=Workflow(name=source, id=entity.id),
            body=body,
        ),
    )


@dataclass(slots=True)
class Recovery:
    """The service beside the simulator; time passes when the test says so."""

    simulated: Simulator
    payments: Payments
    clock_file: Path
    url: str
    epoch: int = 0
    days: float = 0.0

    async def do(self, method: str, path: str, body: object = None) -> Any:
        return await asyncio.to_thread(self.simulated.do, method, path, body)

    async def beats(self) -> None:
        """The service that keeps the pauses is alive."""
        beat = told(
            "provider-health",
            AutomationPauseHeartbeat(epoch=self.epoch),
            Entity(type="automation_pause", id="heartbeat"),
        )
        await self.payments.sends(AUTOMATION_PAUSES, beat, twice=False)

    @asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """The service that keeps the pauses lives, until the end."""

        async def keep() -> None:
            while True:
                await self.beats()
                await asyncio.sleep(BEAT_SECONDS)

        beating = asyncio.create_task(keep())
        try:
            yield
        finally:
            beating.cancel()
            with suppress(asyncio.CancelledError):
                await beating

    async def pauses(self, scope: PauseScope, *, state: str = "active", hours: float = 24, mode: str = "hold") -> None:
        """Set or release a pause."""
        self.epoch += 1
        pause = PauseState(
            id=new_id(),
            scope=scope,
            mode=mode,
            state=state,
            reason="Stripe is down",
            epoch=self.epoch,
            expires_at=self.payments.runtime.clock.now() + timedelta(hours=hours),
        )
        body = AutomationPauseUpdated(change="paused", pause=pause, scope_words="Stripe")
        event = told("provider-health", body, Entity(type="automation_pause", id=pause.id), key=scope.text)
        await self.payments.sends(AUTOMATION_PAUSES, event, twice=False)
        await self.beats()
        known = pauses_of(self.payments.runtime)
        await eventually(lambda: (known.epoch, known.blindness()), lambda seen: seen == (self.epoch, None))

    async def passes(self, days: float) -> None:
        """Let business time pass, at the providers too."""
        self.days += days
        clock.write_offset(self.clock_file, timedelta(days=self.days))
        await eventually(lambda: self.payments.runtime.clock.offset, lambda offset: offset == timedelta(days=self.days))
        await self.do("POST", "/advance")

    async def a_failed_month(
        self, *outcomes: str, member: str = "mark-stevens", outcome: str = "insufficient_funds"
    ) -> str:
        """A month of Mark's that failed with this `outcome`; later attempts go as `outcomes` say. Our id of it."""
        customer = await asyncio.to_thread(self.simulated.member)
        customers = [{"provider": "stripe", "reference": customer.id}]
        given = {"name": "Mark Stevens", "customers": customers}
        answer = await self.payments.call("PUT", f"/members/{member}", json=given)
        assert answer.status_code == 200, answer.text
        script = {"outcomes": [outcome, *outcomes]}
        await self.do("PUT", f"/stripe/customers/{customer.id}/outcomes", script)
        await self.do("POST", "/stripe/periods", {"customer": customer.id, "amount_minor": 11_000})
        await self.settled()
        (payment,) = (await self.payments.get(f"/payments?member_id={member}"))["items"]
        return str(payment["id"])

    async def settled(self) -> None:
        """Wait until all that was sent was answered and applied, and no retry is due."""

        async def quiet() -> int:
            if not await self.delivered():
                return -1
            ((rows,),) = await self.payments.rows(_QUIET, now=self.payments.runtime.clock.now())
            return int(rows)

        await eventually(quiet, lambda rows: rows == 0, timeout_seconds=90)

    async def delivered(self) -> bool:
        """Whether everything that the providers have told has arrived, waiting a while for it."""
        answer = await asyncio.to_thread(self.simulated.control.post, "/flush", json={"timeout_seconds": 10})
        return answer.is_success

    async def plan(self, payment_id: str) -> dict[str, Any]:
        """What is to become of the payment."""
        shown: dict[str, Any] = (await self.payments.get(f"/payments/{payment_id}"))["retry"]
        return shown

    async def state(self, payment_id: str) -> str:
        return str((await self.payments.get(f"/payments/{payment_id}"))["state"])

    async def confirmations(self) -> list[dict[str, Any]]:
        """Every call of the service that asked Stripe to collect, oldest first."""
        calls = await asyncio.to_thread(self.simulated.control.get, "/calls", params={"method": "POST"})
        asked = [call for call in reversed(calls.json()["items"]) if call["path"].endswith("/confirm")]
        return [call for call in asked if (call["idempotency_key"] or "").startswith("backbone-")]

    async def completes(self, payment_id: str, outcome: str, *, twice: bool = True) -> None:
        """Maria completes the recovery task."""
        await self.payments.receives(TASKS_EVENTS, a_completed_task(payment_id, outcome), twice=twice)


def a_completed_task(payment_id: str, outcome: str) -> Event[Payload]:
    """What the tasks service tells when Maria has completed the recovery task of a payment."""
    task = TaskState(
        id=new_id(),
        kind="payment_recovery",
        title="Call Mark Stevens about failed payment",
        queue="Billing",
        state="completed",
        priority="normal",
        owner=_MARIA,
        outcome=TaskOutcome(code=outcome),
        source=TaskSource(
            workflow=Workflow(name="payment_collection", id=payment_id),
            entity=Entity(type="payment", id=payment_id),
        ),
        dedupe_key=f"payment_recovery:{payment_id}",
        version=4,
    )
    body = OperationalTaskUpdated(change="completed", task=task)
    return told("tasks", body, Entity(type="task", id=task.id))


@asynccontextmanager
async def recovering(
    simulated: Simulator,
    databases: Sequence[TemporaryDatabase],
    kafka: str,
    prefix: str,
    clock_file: Path,
    **settings: Any,
) -> AsyncIterator[Recovery]:
    """The service with Stripe's API and webhooks; the clock stands still until the test moves it."""
    clock.write_offset(clock_file, timedelta())
    given = {
        **SECRETS,
        "stripe_api_url": simulated.origins["stripe"],
        "stripe_api_key": "sk_test_backbone",
        "gocardless_api_url": simulated.origins["gocardless"],
        "gocardless_access_token": "sandbox",
        "clock_file": clock_file,
        "pause_heartbeat_max_age_seconds": 60,
        **settings,
    }
    (database,) = databases
    async with running(service, database, kafka, prefix, **given) as payments, listening(payments) as url:
        simulated.do("POST", "/reset")
        endpoint = {"provider": "stripe", "url": f"{url}/webhooks/stripe", "secrets": [STRIPE_SECRET]}
        simulated.do("PUT", "/endpoints", {"endpoints": [endpoint]})
        recovery = Recovery(simulated, payments, clock_file, url)
        await recovery.beats()
        yield recovery
