"""A failed month of Mark's: retried, held, handed over, tried again by hand, and collected once whatever goes wrong."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from contracts.events import (
    MemberHoldEnded,
    OperationalTaskRequested,
    PauseScope,
    PaymentProviderEventIngested,
    PaymentRecoveryRequested,
    PaymentUpdated,
)
from contracts.topics import PAYMENTS_EVENTS, TASKS_COMMANDS

from tests.payments import standing
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
    changes = [event.data.body["change"] for event in await mark.payments.emitted(PAYMENTS_EVENTS, PaymentUpdated)]
    assert [change for change in changes if change in ("started to collect", "submitted")] == [
        "started to collect",
        "submitted",
    ]
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
