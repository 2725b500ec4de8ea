"""Rejected deliveries are told of by the minute, above ten: a burst of forgeries is one event, not thousands."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import asyncpg
from chassis.ids import new_id
from contracts.events import ProviderDeliveryRejected
from contracts.topics import PAYMENTS_EVENTS
from payments.deliveries import store
from payments.deliveries.domain import Provider
from payments.deliveries.jobs import RejectionPruner, RejectionReports
from payments.deliveries.store import Rejected

from tests.payments.providers import Payments

MINUTE = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(hours=2)


def rejected(number: int, *, minute: int = 0, provider: Provider = "stripe", refusal: str = "no_match") -> Rejected:
    """One refused delivery, as the ingress hands it over, `minute` minutes after the first."""
    return Rejected(
        id=new_id(),
        provider=provider,
        account="self",
        received_at=MINUTE + timedelta(minutes=minute, seconds=number % 60),
        status_answered=400,
        refusal=refusal,
        headers=b"",
        body=b"forged",
        body_bytes=6,
        sha256=b"%d-%d-%b" % (minute, number, refusal.encode()),
    )


async def reject(payments: Payments, given: Sequence[Rejected]) -> None:
    url = payments.runtime.settings.database_url.get_secret_value()
    connection = await asyncpg.connect(url)
    try:
        async with connection.transaction():
            await store.reject(connection, given, kept_max_bytes=1_000_000)
    finally:
        await connection.close()


async def told(payments: Payments) -> list[tuple[str, int, int, dict[str, int]]]:
    """Provider, minute after the first, how many and why, of each event."""
    reports: RejectionReports = payments.part(RejectionReports)
    # The service's own part may take them first; what counts is what is published in the end.
    await asyncio.gather(reports.step(), reports.step())
    found = []
    for event in await payments.emitted(PAYMENTS_EVENTS, ProviderDeliveryRejected):
        body = event.data.body
        after = (datetime.fromisoformat(body["minute"]) - MINUTE).total_seconds() // 60
        found.append((body["provider"], int(after), body["count"], body["by_reason"]))
    return sorted(found, key=lambda each: each[:2])


async def test_only_minutes_with_more_than_ten_are_told_each_once_with_its_reasons(payments: Payments) -> None:
    await reject(payments, [rejected(number) for number in range(10)])
    await reject(payments, [rejected(number, minute=1) for number in range(8)])
    await reject(payments, [rejected(number, minute=1, refusal="too_old") for number in range(3)])
    await reject(payments, [rejected(number, minute=1, provider="gocardless") for number in range(11)])
    expected = [("gocardless", 1, 11, {"no_match": 11}), ("stripe", 1, 11, {"no_match": 8, "too_old": 3})]
    assert await told(payments) == expected
    assert await told(payments) == expected
    assert await payments.rows("SELECT count(*) FROM payments.rejections WHERE NOT told") == [(0,)]


async def test_more_minutes_than_are_told_at_once_are_all_told(payments: Payments) -> None:
    await reject(payments, [rejected(number, minute=-minute) for minute in range(1, 211) for number in range(11)])
    reports: RejectionReports = payments.part(RejectionReports)
    await reports.step()
    assert len(await told(payments)) == 210


async def test_the_minute_that_is_not_over_waits(payments: Payments) -> None:
    for number in range(12):
        answer = await payments.client.post("/webhooks/stripe", content=b"forged %d" % number)
        assert answer.status_code == 400
    assert await told(payments) == []
    assert await payments.rows("SELECT sum(deliveries), bool_or(told) FROM payments.rejections") == [(12, False)]


async def test_a_minute_that_was_told_is_forgotten_when_its_time_is_over(payments: Payments) -> None:
    days = payments.runtime.settings.rejections_retention_days
    await reject(payments, [rejected(number, minute=-24 * 60 * days) for number in range(11)])
    await reject(payments, [rejected(number, minute=-24 * 60 * (days - 1)) for number in range(11)])
    assert len(await told(payments)) == 2
    pruner: RejectionPruner = payments.part(RejectionPruner)
    await asyncio.gather(pruner.step(), pruner.step())
    kept = await payments.rows("SELECT minute, deliveries, told FROM payments.rejections")
    assert kept == [(MINUTE - timedelta(days=days - 1), 11, True)]
