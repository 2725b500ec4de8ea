"""A year passes: the GST of what nobody paid is claimed back once, told, and derived again from the inputs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from chassis import clock
from contracts.events import InvoiceUpdated
from contracts.topics import PAYMENTS_EVENTS
from payments.main import service
from payments.reliefs.jobs import DebtReliefs

from tests.payments import standing
from tests.payments.providers import NO_API, SECRETS, Payments, card_payment, deliver, know_mark, works
from tests.payments.test_journey import balances
from tests.payments.test_rebuild import rebuilt
from tests.support.eventually import eventually
from tests.support.infrastructure import TemporaryDatabase
from tests.support.services import running

SPAN = "from=2020-01-01&to=2040-12-31"


@pytest.fixture
async def waiting(
    database_for: Callable[..., Awaitable[TemporaryDatabase]], kafka: str, topic_prefix: str, tmp_path: Path
) -> AsyncIterator[tuple[Payments, Path]]:
    """The service with a clock of its own, which looks at debts when the test says so."""
    clock_file = tmp_path / "clock"
    clock.write_offset(clock_file, timedelta())
    given: dict[str, Any] = {**SECRETS, **NO_API, "clock_file": clock_file, "debt_relief_poll_seconds": 86_400}
    async with running(service, await database_for("payments"), kafka, topic_prefix, **given) as started:
        yield started, clock_file


async def passes(payments: Payments, clock_file: Path, days: int) -> None:
    clock.write_offset(clock_file, timedelta(days=days))
    await eventually(lambda: payments.runtime.clock.offset, lambda offset: offset == timedelta(days=days))
    await asyncio.gather(*(payments.part(DebtReliefs).step() for _ in range(2)))


async def test_a_year_after_it_was_due_the_gst_of_a_debt_is_claimed_back_once(waiting: tuple[Payments, Path]) -> None:
    payments, clock_file = waiting
    await know_mark(payments)
    now = datetime.now(UTC)
    await deliver(payments, *card_payment("unpaid", outcomes=("insufficient_funds",), at=now))
    await deliver(payments, *card_payment("paid", outcomes=("succeed",), at=now))
    await works(payments)
    (unpaid,) = (await payments.get("/invoices?state=open"))["items"]

    await passes(payments, clock_file, 364)
    assert "2150 gst_deferred" not in dict(await balances(payments))
    for days in (368, 400):
        await passes(payments, clock_file, days)

    found = dict(await balances(payments))
    assert (found["2150 gst_deferred"], found["2100 gst_payable"]) == (-1_000, -1_000)
    assert found["1100 member_receivable:mark-stevens"] == 11_000
    stated = await payments.get(f"/reports/activity-statement?{SPAN}")
    assert (stated["label_1a"]["amount_minor"], stated["label_1b"]["amount_minor"]) == (2_000, 1_000)
    told = [
        each for each in await payments.emitted(PAYMENTS_EVENTS, InvoiceUpdated) if each.data.actor.kind == "system"
    ]
    assert [(each.data.entity.id, each.data.body["change"], each.data.reason) for each in told] == [
        (unpaid["id"], "relieved of tax", "it is twelve months overdue")
    ]
    commands = await payments.rows(
        "SELECT name, actor ->> 'kind' FROM payments.staff_commands WHERE name <> 'put_member'"
    )
    assert commands == [("relieve_debt", "system")]

    invoice = await payments.get(f"/invoices/{unpaid['id']}")
    paid = {"amount_minor": 11_000, "how": "cash", "received_at": (now + timedelta(days=399)).isoformat()}
    given = {"If-Match": f'"{invoice["version"]}"'}
    answer = await payments.call("POST", f"/invoices/{unpaid['id']}/record-payment", json=paid, headers=given)
    assert (answer.status_code, answer.json()["due"]["amount_minor"]) == (200, 0), answer.text
    stated = await payments.get(f"/reports/activity-statement?{SPAN}")
    assert (stated["increasing_adjustments"]["amount_minor"], stated["label_1a"]["amount_minor"]) == (1_000, 3_000)
    assert "2150 gst_deferred" not in dict(await balances(payments))
    await passes(payments, clock_file, 401)
    await standing.check(payments)
    done = await rebuilt(payments)
    assert (done.returncode, done.stdout.split(":")[0]) == (0, "identical"), done.stdout + done.stderr
