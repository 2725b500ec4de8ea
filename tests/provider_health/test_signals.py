"""What payments and tasks tell: refused deliveries, money that waits, replays, and the task that prevents another."""

from __future__ import annotations

from datetime import timedelta

from chassis.ids import new_id
from contracts.events import OperationalTaskRequested
from contracts.topics import PAYMENTS_EVENTS, TASKS_COMMANDS, TASKS_EVENTS

from tests.provider_health.looking import Health
from tests.provider_health.telling import (
    a_payment_update,
    a_payout,
    a_prevention_task,
    a_provider_event,
    a_replay,
    rejections,
)


async def test_three_minutes_of_refused_deliveries_are_an_incident_without_a_pause(health: Health) -> None:
    await health.running.receives(PAYMENTS_EVENTS, a_provider_event("pay_1", "failed", provider="stripe"))
    assert await health.status("stripe/webhooks") == "up"

    await health.running.receives(PAYMENTS_EVENTS, rejections(), rejections(), rejections())

    assert await health.status("stripe/webhooks") == "down"
    incident = await health.incident()
    assert (incident["title"], incident["pause_ids"]) == ("Deliveries of Stripe are refused", [])
    assert "23 deliveries refused within a minute (23 bad_signature)" in incident["timeline"][0]["words"]


async def test_deliveries_that_work_are_noted_once_a_minute(health: Health) -> None:
    events = [a_provider_event(f"pay_{number}", "failed", provider="stripe") for number in range(5)]
    await health.running.receives(PAYMENTS_EVENTS, *events)
    assert len((await health.running.get("/providers/stripe/checks?category=webhooks"))["items"]) == 1


async def test_an_incident_says_how_much_money_waits(health: Health) -> None:
    """Three retries wait at GoCardless; one of them is paid, one waits at Stripe, one belongs to somebody else."""
    await health.running.receives(
        PAYMENTS_EVENTS,
        *(a_provider_event(payment, "failed", retry="scheduled") for payment in ("pay_1", "pay_2", "pay_3", "pay_4")),
        a_provider_event("pay_5", "failed", retry="provider"),
        a_provider_event("pay_6", "failed", retry="scheduled", provider="stripe"),
    )
    await health.running.receives(PAYMENTS_EVENTS, a_payment_update("pay_4", "succeeded"))
    await health.running.receives(PAYMENTS_EVENTS, a_payment_update("pay_3", "failed", retry="held"))
    await health.goes_down()

    incident = await health.incident()
    assert incident["impact"] == "3 payments wait"
    assert incident["money_at_risk"] == {"amount_minor": 33_000, "currency": "AUD"}


async def test_an_event_that_arrives_late_changes_nothing_about_what_waits(health: Health) -> None:
    first = a_provider_event("pay_1", "failed", retry="scheduled")
    second = a_provider_event("pay_1", "succeeded", before="failed")
    await health.running.receives(PAYMENTS_EVENTS, second)
    await health.running.receives(PAYMENTS_EVENTS, first)
    assert await health.running.rows("SELECT waits FROM provider_health.waiting_payments") == [(False,)]


async def test_nothing_is_kept_of_payments_that_never_failed(health: Health) -> None:
    paid = [a_provider_event(f"pay_{number}", "succeeded", before="processing") for number in range(3)]
    await health.running.receives(PAYMENTS_EVENTS, *paid)
    assert await health.running.rows("SELECT payment_id FROM provider_health.waiting_payments") == []


async def test_what_names_no_incident_of_ours_is_left_alone(health: Health) -> None:
    await health.running.receives(
        PAYMENTS_EVENTS, a_replay(None, replayed=1), a_replay(new_id(), replayed=1), a_replay("no id", replayed=1)
    )
    await health.running.receives(
        TASKS_EVENTS,
        a_prevention_task(new_id()),
        a_prevention_task(new_id(), dedupe_key="prevention:no id"),
        a_prevention_task(new_id(), dedupe_key="payment_recovery:pay_1"),
    )
    assert (await health.running.get("/incidents"))["items"] == []
    assert (await health.running.get("/dead-letters"))["items"] == []


async def test_each_step_of_a_replay_and_of_the_prevention_task_stands_on_the_timeline(health: Health) -> None:
    reported = await health.post("/incidents", title="Payouts are late", provider="stripe", severity=2)
    incident_id = reported["id"]
    await health.running.receives(PAYMENTS_EVENTS, a_replay(incident_id, replayed=0, state="running"))
    await health.running.receives(PAYMENTS_EVENTS, a_replay(incident_id, replayed=3))
    # In whatever order: the completion arrives before the task is known.
    await health.running.receives(TASKS_EVENTS, a_prevention_task(incident_id, "completed"))
    await health.running.receives(TASKS_EVENTS, a_prevention_task(incident_id, "opened"))

    incident = await health.incident()
    assert (incident["replay_ids"], incident["prevention_task_id"]) == (["replay_1"], "task_1")
    assert [entry["kind"] for entry in incident["timeline"]] == ["opened", "replay", "replay", "task", "task"]
    assert incident["timeline"][2]["words"].endswith("40 matched, 3 replayed, 37 unchanged, 0 refused, 0 failed")


async def test_calls_of_ours_without_an_answer_take_a_provider_down_and_pause_it(health: Health) -> None:
    """Long before anybody looks again: its health endpoint still said yes an hour ago."""
    await health.looks()
    await health.running.receives(PAYMENTS_EVENTS, a_provider_event("pay_1", "failed", retry="scheduled"))
    lost = [a_payment_update("pay_1", "failed", retry="calling", change="lost the answer about") for _ in range(3)]
    await health.running.receives(PAYMENTS_EVENTS, *lost)

    assert await health.status("gocardless/api") == "down"
    assert len((await health.incident())["pause_ids"]) == 1
    assert [change for change, _ in await health.pauses_told()] == ["paused"]


async def test_signals_that_waited_while_nobody_listened_say_nothing_about_now(health: Health) -> None:
    old = [rejections(age=timedelta(minutes=11)) for _ in range(5)]
    await health.running.receives(PAYMENTS_EVENTS, *old)
    assert await health.status("stripe/webhooks") == "unknown"


async def test_a_prevention_task_that_is_cancelled_is_asked_for_again(health: Health) -> None:
    reported = await health.post("/incidents", title="Payouts are late", provider="stripe", severity=2)
    incident_id = reported["id"]
    await health.post(f"/incidents/{incident_id}/acknowledge", 1)
    await health.running.receives(TASKS_EVENTS, a_prevention_task(incident_id))
    await health.running.receives(TASKS_EVENTS, a_prevention_task(incident_id, "cancelled", state="cancelled"))
    assert (await health.incident())["prevention_task_id"] is None
    assert len(await health.running.emitted(TASKS_COMMANDS, OperationalTaskRequested)) == 2

    await health.running.receives(TASKS_EVENTS, a_prevention_task(incident_id, task_id="task_2"))
    assert (await health.incident())["prevention_task_id"] == "task_2"


async def test_a_payout_that_does_not_add_up_is_an_incident_until_it_does(health: Health) -> None:
    await health.running.receives(
        PAYMENTS_EVENTS, a_provider_event("pay_1", "failed", retry="scheduled", provider="stripe")
    )
    await health.running.receives(PAYMENTS_EVENTS, a_payout(None), a_payout(0, "po_fine"), a_payout(-150))

    incident = await health.incident()
    assert (incident["title"], incident["severity"]) == (
        "Payout po_1 of Stripe is A$1.50 less than what explains it",
        3,
    )
    assert (incident["money_at_risk"], incident["pause_ids"]) == ({"amount_minor": 150, "currency": "AUD"}, [])
    acknowledged = await health.post(f"/incidents/{incident['id']}/acknowledge", incident["version"])
    assert acknowledged["money_at_risk"]["amount_minor"] == 150

    late = a_payout(-150)
    await health.running.receives(PAYMENTS_EVENTS, a_payout(20), a_payout(0))
    await health.running.receives(PAYMENTS_EVENTS, late)

    incident = await health.incident()
    assert incident["recovered_at"] is not None
    assert [entry["kind"] for entry in incident["timeline"]] == ["opened", "acknowledged", "symptom", "recovered"]
    assert incident["timeline"][2]["words"] == "Payout po_1 of Stripe is A$0.20 more than what explains it"
