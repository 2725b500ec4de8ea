"""A pause is set while a hundred retries are due, over two processes; then it is released.

No call starts after an instance has acknowledged, and none is in flight then. What is held keeps its key, and goes on
once: made after the release, or found needless because the month was paid meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from contracts.events import AutomationPauseAcknowledged, PauseScope
from contracts.topics import PAYMENTS_EVENTS

from tests.payments import standing
from tests.payments.providers import SECRETS
from tests.payments.recovering import Recovery, recovering
from tests.simulator.conftest import Inbox, environment, simulator_process
from tests.support.eventually import eventually
from tests.support.infrastructure import TemporaryDatabase
from tests.support.service_process import ServiceProcess

DUE = 100
STRIPE = PauseScope(provider="stripe", action="collection")


async def test_a_pause_stops_a_hundred_due_retries_in_both_processes_and_each_goes_on_once(
    database_for: Callable[..., Awaitable[TemporaryDatabase]], kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    clock_file = tmp_path / "clock.json"
    with simulator_process(environment(Inbox(url="http://127.0.0.1:9"), clock_file=clock_file)) as simulated:
        database = await database_for("payments")
        more = {"instance": "payments-1", "retry_release_max_per_second": DUE}
        async with recovering(simulated, [database], kafka, topic_prefix, clock_file, **more) as mark:
            other = ServiceProcess.of(
                "payments",
                database,
                kafka,
                topic_prefix,
                tmp_path,
                instance="payments-2",
                stripe_api_url=simulated.origins["stripe"],
                stripe_api_key="sk_test_backbone",
                clock_file=clock_file,
                pause_heartbeat_max_age_seconds=60,
                retry_release_max_per_second=DUE,
                **SECRETS,
            )
            try:
                other.start()
                await a_hundred_failed_months(mark)
                await other.answers()
                await paused_and_released(mark)
            finally:
                other.end()


async def a_hundred_failed_months(mark: Recovery) -> None:
    customer = await asyncio.to_thread(mark.simulated.member)
    given = {"name": "Mark Stevens", "customers": [{"provider": "stripe", "reference": customer.id}]}
    assert (await mark.payments.call("PUT", "/members/mark-stevens", json=given)).status_code == 200
    script = {"outcomes": ["insufficient_funds"] * DUE}
    await mark.do("PUT", f"/stripe/customers/{customer.id}/outcomes", script)
    for _ in range(DUE):
        await mark.do("POST", "/stripe/periods", {"customer": customer.id, "amount_minor": 11_000})
    await mark.settled()
    scheduled = "SELECT count(*) FROM payments.payment_retries WHERE state = 'scheduled'"
    assert await mark.payments.rows(scheduled) == [(DUE,)]


async def acknowledged(mark: Recovery) -> dict[str, datetime]:
    """When each instance had applied the newest epoch."""
    told = await mark.payments.emitted(PAYMENTS_EVENTS, AutomationPauseAcknowledged)
    newest = [event.data.body for event in told if event.data.body["epoch"] == mark.epoch]
    return {body["instance"]: datetime.fromisoformat(body["applied_at"]) for body in newest}


async def paused_and_released(mark: Recovery) -> None:
    await mark.beats()
    await mark.passes(3.1)
    await eventually(mark.confirmations, lambda calls: len(calls) >= 5)
    await mark.pauses(STRIPE, hours=24 * 30)
    stopped = await eventually(lambda: acknowledged(mark), lambda seen: set(seen) == {"payments-1", "payments-2"})
    made = await mark.confirmations()
    assert all(call["ending"] for call in made), "none is in flight once both have acknowledged"
    assert len(made) < DUE, "the pause came too late to stop anything"

    left = "SELECT count(*) FROM payments.payment_retries WHERE state IN ('scheduled', 'calling')"
    await eventually(lambda: quiet(mark, left), lambda rows: rows == [(0,)], timeout_seconds=90)
    assert await mark.confirmations() == made
    last = max(datetime.fromisoformat(call["at"]) for call in made)
    assert last <= max(stopped.values())

    spared = await paid_meanwhile(mark)
    await mark.pauses(STRIPE, state="released")
    paid = "SELECT count(*) FROM payments.payments WHERE state = 'succeeded'"
    await eventually(lambda: mark.payments.rows(paid), lambda rows: rows == [(DUE,)], timeout_seconds=60)
    await mark.settled()
    keys = [call["idempotency_key"] for call in await mark.confirmations()]
    assert len(set(keys)) == len(keys) == DUE - 1
    assert not [key for key in keys if spared in key]
    payments = {key.removeprefix("backbone-retry-").rpartition("-")[0] for key in keys}
    assert len(payments) == DUE - 1
    await standing.check_ledger(mark.payments)


async def quiet(mark: Recovery, query: str) -> Any:
    await mark.delivered()
    return await mark.payments.rows(query)


async def paid_meanwhile(mark: Recovery) -> str:
    """One of the months is paid by Mark himself while its retry is held; returns our id of it."""
    held = (
        "SELECT p.id::text, p.reference FROM payments.payment_retries AS r"
        " JOIN payments.payments AS p ON p.id = r.payment_id WHERE r.state = 'held' ORDER BY r.planned_for DESC LIMIT 1"
    )
    ((payment_id, reference),) = await mark.payments.rows(held)

    def pay() -> None:
        intents = mark.simulated.stripe.v1.payment_intents
        failed = intents.retrieve(reference).last_payment_error
        assert failed is not None
        assert failed.payment_method is not None
        intents.confirm(reference, {"payment_method": failed.payment_method.id})

    await asyncio.to_thread(pay)
    await eventually(lambda: mark.state(payment_id), lambda state: state == "succeeded")
    return str(payment_id)
