"""Scenario 15, between a delivery's arrival and its posting: killed at every turn of the event loop that there is.

An ingress that dies has either answered, and then the delivery stands, or it has not, and then the provider comes
again. A worker that dies leaves the queue as it was, or as it is when everything is done.
"""

from __future__ import annotations

import asyncio
import base64
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from payments.main import service
from simulator import samples

from tests.payments import standing
from tests.payments.providers import (
    SECRETS,
    Payments,
    card_payment,
    charge_succeeded,
    deliver,
    deliver_debits,
    know_mark,
)
from tests.payments.pure import payloads, payloads_money
from tests.payments.test_two_workers import work_off
from tests.support.infrastructure import TemporaryDatabase
from tests.support.services import running

TURNS_MAX = 500
PENDING = "SELECT count(*) FROM payments.pending_events"
RECEIVED = "SELECT coalesce(max(deliveries), 0) FROM payments.provider_events WHERE event_id = :event"
RECEIVED_OF_BODY = """
SELECT count(*), count(*) FILTER (WHERE p.id IS NOT NULL)
FROM payments.provider_events AS e LEFT JOIN payments.pending_events AS p ON p.provider_event_id = e.id
WHERE e.event_id = ANY(:events)
"""
DEBITS_A_BODY = 40


@pytest.fixture
async def payments(
    database_for: Callable[..., Awaitable[TemporaryDatabase]], kafka: str, topic_prefix: str
) -> AsyncIterator[Payments]:
    """The provider's next address; it does no work of its own."""
    database = await database_for("payments")
    async with running(service, database, kafka, topic_prefix, work=False, **SECRETS) as started:
        yield started


class Mortals:
    """Makes processes that die after so many turns."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def run(self, turns: int, role: str, body: bytes = b"") -> tuple[bool, int]:
        """Whether one was killed before it was done, and the status that it had answered, else 0."""
        code, status = (await self._ask(f"{turns} {role} {base64.b64encode(body).decode()}\n")).split()
        assert int(code) in (0, -signal.SIGKILL)
        return int(code) != 0, int(status)

    async def _ask(self, line: str) -> str:
        assert self._process.stdin is not None
        self._process.stdin.write(line.encode())
        return await self.says()

    async def says(self) -> str:
        assert self._process.stdout is not None
        async with asyncio.timeout(60):
            return (await self._process.stdout.readline()).decode()


@pytest.fixture
async def mortals(payments: Payments) -> AsyncIterator[Mortals]:
    settings = payments.runtime.settings
    given = {
        "DATABASE_URL": settings.database_url.get_secret_value(),
        "KAFKA_BOOTSTRAP_SERVERS": settings.kafka_bootstrap_servers,
        "LOG_LEVEL": "error",
        **{name.upper(): value for name, value in SECRETS.items()},
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.payments.crashing",
        env=os.environ | {f"PAYMENTS_{name}": value for name, value in given.items()},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    made = Mortals(process)
    try:
        assert await made.says() == "ready\n"
        yield made
    finally:
        process.kill()
        await process.wait()


async def pending(payments: Payments) -> int:
    ((count,),) = await payments.rows(PENDING)
    return int(count)


def everything(number: int) -> list[dict[str, Any]]:
    """A month of all that is kept: payments, invoices, a refund, a dispute, a payout."""
    at = datetime.now(UTC)
    name = f"month-{number}"
    given: dict[str, Any] = {"customer": "cus_mark", "amount_minor": 11_000, "at": at}
    payout = payloads_money.payout(f"po_{number}", amount=4_000, at=int(at.timestamp()))
    return [
        *card_payment(name),
        *samples.stripe_return(f"{name}-back", refunds=(5_000,), **given),
        *samples.stripe_return(f"{name}-lost", verdict="lost", **given),
        payloads.stripe_event("payout.created", payout, at=int(at.timestamp())),
    ]


async def test_a_worker_may_die_at_any_moment(payments: Payments, mortals: Mortals) -> None:
    await know_mark(payments)
    done = turns = delivered = 0
    while not done:
        turns += 1
        assert turns < TURNS_MAX
        if not await pending(payments):
            delivered += 1
            events = everything(delivered)
            assert await deliver(payments, *events) == [200] * len(events)
        killed, _ = await mortals.run(turns, "worker")
        # What the dead had claimed is free once PostgreSQL has noticed; until then a worker may find nothing to do.
        done = not killed and not await pending(payments)

    assert turns > 20
    await work_off(payments, 1)
    assert await pending(payments) == 0
    # Paid; paid and given back in part; paid, disputed with its fee, and lost; paid out.
    cleared = "SELECT sum(amount_minor) FROM payments.ledger_entries WHERE account = '1200 clearing:stripe'"
    assert await payments.rows(cleared) == [(delivered * (11_000 + 6_000 - 2_500 - 4_000),)]
    posted = "SELECT economic_key FROM payments.journals GROUP BY 1 HAVING count(*) > 1 AND min(kind) <> 'correction'"
    assert await payments.rows(posted) == []
    await standing.check(payments)


async def test_an_ingress_may_die_at_any_moment(payments: Payments, mortals: Mortals) -> None:
    await know_mark(payments)
    killed, turns, answered = True, 0, 0
    while killed:
        turns += 1
        assert turns < TURNS_MAX
        event = charge_succeeded(f"month-{turns}")
        killed, status = await mortals.run(turns, "stripe", samples.stripe_body(event))
        ((kept,),) = await payments.rows(RECEIVED, event=event["id"])
        assert kept == 1 if status == 200 else kept in (0, 1)
        answered += status == 200
        assert await deliver(payments, event) == [200]

    assert answered
    assert turns > 10
    await work_off(payments, 1)
    cleared = "SELECT count(*), sum(amount_minor) FROM payments.ledger_entries WHERE account = '1200 clearing:stripe'"
    assert await payments.rows(cleared) == [(turns, turns * 11_000)]
    await standing.check(payments)


async def test_an_ingress_may_die_over_a_body_of_many_events(payments: Payments, mortals: Mortals) -> None:
    await know_mark(payments)
    killed, turns, answered = True, 0, 0
    while killed:
        turns += 1
        assert turns < TURNS_MAX
        events = debits(turns)
        killed, status = await mortals.run(turns, "gocardless", samples.gocardless_body(events, f"WB{turns}"))
        (kept,) = await payments.rows(RECEIVED_OF_BODY, events=[event["id"] for event in events])
        # All of them or none, and each that is kept is queued.
        whole = (len(events), len(events))
        assert kept == whole if status == 200 else kept in ((0, 0), whole)
        answered += status == 200
        assert await deliver_debits(payments, events, f"WB{turns}") == 200

    assert answered
    assert turns > 10
    await work_off(payments, 2)
    assert await pending(payments) == 0
    total = turns * len(debits(0))
    assert await payments.rows("SELECT count(*), count(outcome) FROM payments.provider_events") == [(total, total)]
    assert await payments.rows("SELECT count(*) FROM payments.payments") == [(turns * DEBITS_A_BODY,)]
    assert await payments.rows("SELECT count(*) FROM payments.dead_letters") == [(0,)]
    await standing.check(payments)


def debits(number: int) -> list[dict[str, Any]]:
    """What one body tells of some debits: each asked for, submitted and confirmed."""
    given: dict[str, Any] = {"customer": "CU_MARK", "amount_minor": 1_000, "at": datetime.now(UTC)}
    each = [
        samples.gocardless_payment(f"debit-{number}-{debit}", steps=("submit", "confirm"), **given)
        for debit in range(DEBITS_A_BODY)
    ]
    return [event for events in each for event in events]
