"""What waits for something unknown: visible at once, asked about after a while, and settled by itself."""

from __future__ import annotations

from datetime import timedelta
from zoneinfo import ZoneInfo

from chassis.transaction import Cause
from contracts.events import OperationalTaskRequested, OperationalTaskSettled
from contracts.topics import TASKS_COMMANDS
from payments.parking import use_cases
from payments.parking.jobs import ParkedWatch
from sqlalchemy import text

from tests.payments.providers import Payments, charge_succeeded, deliver, know_mark, works
from tests.payments.pure import payloads, payloads_money

SYDNEY = ZoneInfo("Australia/Sydney")


async def looks(payments: Payments, *, wait: timedelta = timedelta(hours=1)) -> int:
    """Look until nothing changes any more; returns how much did."""
    changed = 0
    while True:
        async with payments.runtime.database.transaction() as tx:
            found = await use_cases.look(tx.automatically(Cause("parked")), SYDNEY, wait)
        changed += found
        if not found:
            return changed


async def asked(payments: Payments) -> list[tuple[str, str]]:
    told = await payments.emitted(TASKS_COMMANDS, OperationalTaskRequested)
    return [(each.data.body["fields"]["what"], each.data.body["note"]) for each in told]


async def test_money_of_nobody_is_asked_about_after_an_hour_and_settles_itself(payments: Payments) -> None:
    await deliver(payments, charge_succeeded("stranger", customer="cus_nobody_knows"))
    await works(payments)
    await looks(payments)
    (shown,) = (await payments.get("/parked"))["items"]
    assert (shown["kind"], shown["why"], shown["asked_at"]) == ("payment", "nobody knows whose it is", None)
    assert await asked(payments) == []

    await looks(payments, wait=timedelta())
    await looks(payments, wait=timedelta())
    (what,) = await asked(payments)
    assert (what[0].startswith("payment "), what[0].endswith(" of A$110.00"), what[1]) == (
        True,
        True,
        "Nobody knows whose it is.",
    )
    assert (await payments.get("/parked"))["items"][0]["asked_at"] is not None

    await know_mark(payments, stripe="cus_nobody_knows")
    await works(payments)
    await looks(payments)
    (request,) = await payments.emitted(TASKS_COMMANDS, OperationalTaskRequested)
    (settled,) = await payments.emitted(TASKS_COMMANDS, OperationalTaskSettled)
    assert settled.data.body["dedupe_key"] == request.data.body["dedupe_key"]
    assert settled.data.body["outcome"] == "matched"
    assert (await payments.get("/parked"))["items"] == []


async def test_what_comes_in_time_is_never_asked_about(payments: Payments) -> None:
    refund = payloads.stripe_event("refund.created", payloads_money.refund(), at=payloads.AT + 60)
    await deliver(payments, refund)
    await works(payments)
    await looks(payments)
    (shown,) = (await payments.get("/parked?kind=refund"))["items"]
    assert (shown["reference"], shown["waits_for"]) == ("re_1", "awaiting payment")

    await know_mark(payments, stripe=payloads.CUSTOMER)
    charge = payloads.charge(version=payloads.CLASSIC, invoice=None)
    await deliver(payments, payloads.stripe_event("charge.succeeded", charge, version=payloads.CLASSIC))
    await works(payments)
    await looks(payments, wait=timedelta())
    assert (await payments.get("/parked"))["items"] == []
    assert await payments.published(TASKS_COMMANDS) == []


async def test_a_refund_that_came_back_is_a_task(payments: Payments) -> None:
    await know_mark(payments, stripe=payloads.CUSTOMER)
    charge = payloads.charge(version=payloads.CLASSIC, invoice=None)
    await deliver(
        payments,
        payloads.stripe_event("charge.succeeded", charge, version=payloads.CLASSIC),
        payloads.stripe_event("refund.failed", payloads_money.refund(status="failed"), at=payloads.AT + 99),
    )
    await works(payments)
    await looks(payments, wait=timedelta())
    await looks(payments, wait=timedelta())
    assert await asked(payments) == [("refund re_1 of A$110.00", "It did not reach the member, who is owed it again.")]


async def test_a_payout_that_does_not_add_up_names_the_amount(payments: Payments) -> None:
    payout = payloads.stripe_event("payout.paid", payloads_money.payout(status="paid"), at=payloads.AT)
    await deliver(payments, payout)
    await works(payments)
    differs = "UPDATE payments.payouts SET listed_minor = 10933.0, difference_minor = -150"
    async with payments.runtime.database.transaction() as tx:  # what its lines would have made of it
        await tx.connection.execute(text(differs))
    await looks(payments, wait=timedelta())
    await looks(payments, wait=timedelta())
    assert await asked(payments) == [("payout po_1 of A$107.83", "It is -A$1.50 more than its lines add up to.")]


async def test_the_service_looks_by_itself(payments: Payments) -> None:
    assert payments.part(ParkedWatch).idle_seconds == payments.runtime.settings.parked_poll_seconds
