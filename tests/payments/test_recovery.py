"""A failed month of Mark's: retried, held, handed over, tried again by hand, and collected once whatever goes wrong."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID

import pytest
from chassis.schedule import Due as DueRetry
from chassis.transaction import Cause, Transaction
from contracts.envelope import Actor
from contracts.events import (
    MemberHoldEnded,
    OperationalTaskRequested,
    PauseScope,
    PaymentProviderEventIngested,
    PaymentRecoveryRequested,
    PaymentUpdated,
)
from contracts.topics import PAYMENTS_EVENTS, TASKS_COMMANDS
from payments.providers.clients import ProviderClients
from payments.providers.collecting import Answer, Collects, ProviderCollector, Request
from payments.recovery import use_cases
from payments.recovery.jobs import Retries
from payments.recovery.use_cases import Means
from sqlalchemy import text

from tests.payments import standing
from tests.payments.providers import GOCARDLESS_SECRET
from tests.payments.recovering import Recovery, recovering
from tests.simulator.conftest import Inbox, Simulator, environment, simulator_process
from tests.support.eventually import eventually
from tests.support.infrastructure import TemporaryDatabase

STRIPE = PauseScope(provider="stripe", action="collection")


@pytest.fixture(scope="module")
def shared_clock(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("clock") / "clock.json"


@pytest.fixture(scope="module")
def simulated(shared_clock: Path) -> Iterator[Simulator]:
    inbox = Inbox(url="http://127.0.0.1:9")
    with simulator_process(environment(inbox, clock_file=shared_clock)) as started:
        yield started


@pytest.fixture
async def mark(
    simulated: Simulator,
    database_for: Callable[..., Awaitable[TemporaryDatabase]],
    kafka: str,
    topic_prefix: str,
    shared_clock: Path,
) -> AsyncIterator[Recovery]:
    database = await database_for("payments")
    async with recovering(simulated, [database], kafka, topic_prefix, shared_clock) as recovery:
        yield recovery


async def test_a_soft_decline_is_tried_again_after_three_days_and_then_paid(mark: Recovery) -> None:
    payment = await mark.a_failed_month("succeed")
    plan = await mark.plan(payment)
    assert (plan["state"], plan["owner"], plan["number"]) == ("scheduled", "us", 1)
    ingested = await mark.payments.emitted(PAYMENTS_EVENTS, PaymentProviderEventIngested)
    planned = [event.data.after for event in ingested if event.data.after and event.data.after.get("retry")]
    assert [after["retry"]["state"] for after in planned] == ["scheduled"]  # type: ignore[call-overload,index]

    await mark.passes(2.9)
    await mark.settled()
    assert await mark.confirmations() == []

    await mark.passes(0.2)
    await mark.settled()
    await eventually(lambda: mark.state(payment), lambda state: state == "succeeded")
    await mark.settled()
    (call,) = await mark.confirmations()
    assert call["idempotency_key"] == f"backbone-retry-{payment}-1"
    assert (await mark.plan(payment))["state"] == "closed"

    async def of_the_attempt() -> list[str]:
        told = [event.data.body["change"] for event in await mark.payments.emitted(PAYMENTS_EVENTS, PaymentUpdated)]
        return [change for change in told if change in ("started to collect", "submitted")]

    # The payment's own facts may be faster than the answer; both are told.
    await eventually(of_the_attempt, lambda changes: changes == ["started to collect", "submitted"])
    await standing.check(mark.payments)


async def test_three_retries_fail_and_then_a_person_takes_over(mark: Recovery) -> None:
    payment = await mark.a_failed_month("insufficient_funds", "insufficient_funds", "insufficient_funds")
    for number, days in enumerate((3.1, 5.1, 7.1), 1):
        await mark.passes(days)
        await mark.settled()
        await eventually(mark.confirmations, lambda calls, number=number: len(calls) == number)  # type: ignore[misc]
        await eventually(lambda: mark.plan(payment), lambda plan: plan["state"] != "calling")

    assert (await mark.plan(payment))["why"] == "exhausted"
    (asked,) = await mark.payments.emitted(PAYMENTS_EVENTS, PaymentRecoveryRequested)
    assert asked.data.body["why"] == "exhausted"
    (task,) = await mark.payments.emitted(TASKS_COMMANDS, OperationalTaskRequested)
    assert task.data.body["dedupe_key"] == f"payment_recovery:{payment}"
    assert "blocked" not in task.data.body
    keys = [call["idempotency_key"] for call in await mark.confirmations()]
    assert keys == [f"backbone-retry-{payment}-{number}" for number in (1, 2, 3)]
    await standing.check(mark.payments)


async def test_a_due_retry_that_meets_a_hold_becomes_a_blocked_task_and_is_tried_when_maria_says_so(
    mark: Recovery,
) -> None:
    """The story's middle: medical hold, recovery, the hold ends, retry now, paid."""
    payment = await mark.a_failed_month("succeed")
    answer = await mark.payments.call(
        "POST", "/members/mark-stevens/holds", json={"kind": "medical", "reason": "a knee operation"}
    )
    assert answer.status_code == 201, answer.text
    hold = answer.json()

    await mark.passes(3.1)
    await mark.settled()
    assert await mark.confirmations() == []
    assert ((await mark.plan(payment))["state"], (await mark.plan(payment))["why"]) == ("recovery", "held")
    (asked,) = await mark.payments.emitted(PAYMENTS_EVENTS, PaymentRecoveryRequested)
    (task,) = await mark.payments.emitted(TASKS_COMMANDS, OperationalTaskRequested)
    assert task.data.body["blocked"]["unblocked_by"] == f"member_hold:{hold['id']}"
    assert task.data.body["source"]["event_id"] == asked.id
    assert task.data.body["fields"] == {"member": "Mark Stevens", "member_id": "mark-stevens"}

    ended = await mark.payments.call(
        "POST",
        f"/holds/{hold['id']}/end",
        json={"reason": "he trains again"},
        headers={"If-Match": answer.headers["ETag"]},
    )
    assert ended.status_code == 200, ended.text
    (over,) = await mark.payments.emitted(PAYMENTS_EVENTS, MemberHoldEnded)
    assert over.data.body["condition"] == f"member_hold:{hold['id']}"

    await mark.completes(payment, "retry_now")
    await eventually(lambda: mark.state(payment), lambda state: state == "succeeded")
    await mark.settled()
    assert len(await mark.confirmations()) == 1
    assert (await mark.plan(payment))["state"] == "closed"
    await standing.check(mark.payments)


async def test_an_answer_that_is_lost_is_looked_up_and_the_money_is_collected_once(mark: Recovery) -> None:
    payment = await mark.a_failed_month("succeed")
    await mark.do("PUT", "/faults/stripe", {"outage": {"api": True, "how": "lose", "webhooks": True}})
    await mark.passes(3.1)
    attempt = "SELECT state FROM payments.retry_attempts"
    await eventually(lambda: mark.payments.rows(attempt), lambda rows: rows == [("unknown",)], timeout_seconds=60)

    await mark.do("PUT", "/faults/stripe", {})
    await mark.passes(0.1)
    await eventually(lambda: mark.state(payment), lambda state: state == "succeeded", timeout_seconds=60)
    await mark.settled()
    charges = await mark.payments.rows("SELECT count(*) FROM payments.journals WHERE economic_key LIKE 'payment:%'")
    assert charges == [(1,)]
    await standing.check(mark.payments)


async def test_a_pause_holds_due_retries_which_keep_their_key_and_go_on_after_its_end(mark: Recovery) -> None:
    payment = await mark.a_failed_month("succeed")
    await mark.pauses(STRIPE, hours=24 * 7)
    await mark.passes(3.1)
    await eventually(lambda: mark.plan(payment), lambda plan: plan["state"] == "held")
    assert await mark.confirmations() == []

    await mark.pauses(STRIPE, state="released")
    await eventually(lambda: mark.state(payment), lambda state: state == "succeeded")
    await mark.settled()
    (call,) = await mark.confirmations()
    assert call["idempotency_key"] == f"backbone-retry-{payment}-1"
    changes = [event.data.body["change"] for event in await mark.payments.emitted(PAYMENTS_EVENTS, PaymentUpdated)]
    assert [change for change in changes if change in ("held back", "released")] == ["held back", "released"]


class DiedError(BaseException):
    """Stands for the end of a process: nothing of ours catches it."""


class Dying:
    """A collector in a process that dies right before a call, or right after it."""

    def __init__(self, inner: Collects, *, before: bool) -> None:
        self._inner = inner
        self._before = before

    async def collect(self, request: Request) -> Answer:
        if not self._before:
            await self._inner.collect(request)
        raise DiedError

    async def aclose(self) -> None:
        await self._inner.aclose()


@pytest.mark.parametrize("before", [True, False], ids=["before the call", "after the call"])
async def test_a_process_that_dies_beside_the_call_leaves_an_attempt_that_is_made_once(
    simulated: Simulator,
    database_for: Callable[..., Awaitable[TemporaryDatabase]],
    kafka: str,
    topic_prefix: str,
    shared_clock: Path,
    *,
    before: bool,
) -> None:
    """The attempt is on record, the lease runs out, and another process looks what became of it."""
    database = await database_for("payments")
    async with recovering(simulated, [database], kafka, topic_prefix, shared_clock) as mark:
        payment = await mark.a_failed_month("succeed")
        runtime = mark.payments.runtime
        schedule: Retries = mark.payments.part(Retries)
        await schedule.stop()
        await mark.passes(3.1)
        collector = ProviderCollector(ProviderClients.of(runtime.settings))
        means = Means(schedule.means.pauses, collector, schedule.means.zone)
        leased = "UPDATE payments.payment_retries SET lease_token = 'dead', claims = claims + 1"
        async with runtime.database.transaction() as tx:
            await tx.connection.execute(text(leased))
        due = DueRetry(UUID(payment), runtime.clock.now(), 1, "dead", Retries.rows, schedule._settle)

        @asynccontextmanager
        async def opened() -> AsyncIterator[Transaction]:
            actor, cause = Actor(kind="system", id="payments", name="Payments"), Cause("dying")
            async with runtime.database.transaction(actor=actor, cause=cause) as tx:
                yield tx

        with pytest.raises(DiedError):
            dying = Means(means.pauses, Dying(means.collector, before=before), means.zone)
            await use_cases.attempt(opened, dying, due)
        assert await mark.payments.rows("SELECT state FROM payments.retry_attempts") == [("calling",)]

        revived = Retries(runtime.database, means)
        await eventually(revived.drain)
        await revived.close()
        await eventually(lambda: mark.state(payment), lambda state: state == "succeeded")
        await mark.settled()
        calls = await mark.confirmations()
        assert [call["idempotency_key"] for call in calls] == [f"backbone-retry-{payment}-1"]
        await standing.check(mark.payments)


async def test_a_debit_is_tried_again_by_its_provider_once_and_what_it_refuses_goes_to_a_person(mark: Recovery) -> None:
    """GoCardless takes no key: how the payment stands is read first."""
    simulated = mark.simulated
    endpoint = {"provider": "gocardless", "url": f"{mark.url}/webhooks/gocardless", "secrets": [GOCARDLESS_SECRET]}
    await mark.do("PUT", "/endpoints", {"endpoints": [endpoint]})
    mandate = await asyncio.to_thread(simulated.mandate)
    given = {"name": "Mark Stevens", "customers": [{"provider": "gocardless", "reference": mandate.links.customer}]}
    assert (await mark.payments.call("PUT", "/members/mark-stevens", json=given)).status_code == 200
    debit = await asyncio.to_thread(simulated.debit, mandate)
    for action in ("submit", "fail"):
        await asyncio.to_thread(simulated.act, debit, action)
    await mark.settled()
    (shown,) = (await mark.payments.get(f"/payments?reference={debit.id}"))["items"]
    assert (await mark.plan(shown["id"]))["state"] == "scheduled"

    await mark.passes(4.1)
    await mark.settled()
    calls = (await asyncio.to_thread(simulated.control.get, "/calls", params={"method": "POST"})).json()["items"]
    assert len([call for call in calls if call["path"].endswith("/actions/retry")]) == 1
    await eventually(lambda: mark.plan(shown["id"]), lambda plan: plan["state"] in ("calling", "provider", "closed"))


async def test_what_a_failed_payment_is_for_is_read_from_its_invoice_and_written_off_with_it(mark: Recovery) -> None:
    """From basil on no event joins a payment that failed and its invoice: the invoice is asked what pays it."""
    payment = await mark.a_failed_month(outcome="stolen_card")
    assert (await mark.payments.get(f"/payments/{payment}"))["invoice"] is None
    async with mark.payments.runtime.database.transaction() as tx:  # five minutes pass
        asked = "UPDATE payments.fetches SET due_at = now() WHERE why = 'what pays it is not known'"
        await tx.connection.execute(text(asked))
    await mark.settled()
    shown = await mark.payments.get(f"/payments/{payment}")
    assert (shown["invoice"]["implied"], shown["invoice"]["state"]) == (False, "open")

    await mark.completes(payment, "write_off")

    query = "SELECT amount_minor FROM payments.balances WHERE account = :account"
    assert await mark.payments.rows(query, account="5200 bad_debts") == [(10_000,)]
    assert (await mark.payments.get(f"/payments/{payment}"))["invoice"]["state"] == "uncollectible"
    assert (await mark.plan(payment))["why"] == "write_off"
    await standing.check(mark.payments)
