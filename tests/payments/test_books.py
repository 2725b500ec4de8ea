"""Closed months: what is learnt of them later counts in the first open day, and nothing opens them again."""

from __future__ import annotations

import asyncio
import csv
import io
from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest
from contracts.events import PeriodClosed
from contracts.topics import PAYMENTS_EVENTS

from tests.payments import standing
from tests.payments.providers import Payments, charge_succeeded, deliver, know_mark, works

JOURNAL = """
INSERT INTO payments.journals (id, source, source_key, economic_key, subject, kind, words, effective_at, effective_on,
                               recorded_at)
VALUES (gen_random_uuid(), 'test', 'x#1', 'x', 'test', 'original', 'a test', '2026-10-05', '2026-10-05', now())
"""
OCTOBER, NOVEMBER = "from=2026-10-01&to=2026-10-31", "from=2026-11-01&to=2026-11-30"


async def _charged(payments: Payments, name: str, day: int) -> None:
    await deliver(payments, charge_succeeded(name, at=datetime(2026, 10, day, 1, 2, 3, tzinfo=UTC)))
    await works(payments)


async def _sheet(payments: Payments, path: str) -> list[dict[str, str]]:
    answer = await payments.call("GET", path, headers={"Accept": "text/csv"})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/csv; charset=utf-8")
    return list(csv.DictReader(io.StringIO(answer.text)))


async def _owed(payments: Payments, span: str) -> tuple[int, bool]:
    found: Any = await payments.get(f"/reports/activity-statement?{span}")
    return found["label_1a"]["amount_minor"], found["final"]


async def test_what_is_learnt_of_a_closed_month_counts_in_the_next_one(payments: Payments) -> None:
    await know_mark(payments)
    await _charged(payments, "first", 5)
    assert await _owed(payments, OCTOBER) == (1_000, False)

    closed = await payments.call("POST", "/periods/2026-10/close")
    assert (closed.status_code, closed.json()["ends_on"]) == (200, "2026-10-31")
    assert (await payments.call("POST", "/periods/2026-10/close")).json() == closed.json()
    await _charged(payments, "late", 6)

    assert await _owed(payments, OCTOBER) == (1_000, True)
    assert await _owed(payments, NOVEMBER) == (1_000, False)
    late = [each for each in await _sheet(payments, f"/reports/entries?{NOVEMBER}") if each["account"][:4] == "2100"]
    assert [(each["accounted_on"], each["effective_on"], each["amount"]) for each in late] == [
        ("2026-11-01", "2026-10-06", "-10.00")
    ]
    lines = (await payments.get("/members/mark-stevens/ledger"))["lines"]
    assert {line["effective_at"][:10] for line in lines} == {"2026-10-05", "2026-10-06"}
    (told,) = await payments.emitted(PAYMENTS_EVENTS, PeriodClosed)
    assert (told.data.actor.name, told.data.body["period"]) == ("Maria Rossi", "2026-10")
    assert (await payments.get("/periods"))["items"] == [await payments.get("/periods/2026-10")]
    await standing.check(payments)


async def test_a_month_that_is_not_over_and_one_before_a_closed_one_are_refused(payments: Payments) -> None:
    this = datetime.now(UTC).strftime("%Y-%m")
    refused = await payments.call("POST", f"/periods/{this}/close")
    assert (refused.status_code, "is not over" in refused.json()["detail"]) == (409, True)
    assert (await payments.call("POST", "/periods/2026-13/close")).status_code == 422
    assert (await payments.call("POST", "/periods/2026-09/close")).status_code == 200
    earlier = await payments.call("POST", "/periods/2026-07/close")
    assert (earlier.status_code, earlier.json()["detail"]) == (409, "July 2026 was closed with a later month.")
    assert (await payments.call("GET", "/periods/2026-07")).status_code == 404
    desk = {"Authorization": f"Bearer {payments.token('front_desk')}"}
    assert (await payments.call("POST", "/periods/2026-08/close", headers=desk)).status_code == 403


async def test_a_closed_month_is_opened_by_nobody_and_takes_no_journal(payments: Payments) -> None:
    await know_mark(payments)
    await payments.call("POST", "/periods/2026-10/close")
    owner = await asyncpg.connect(payments.place.owner_url_for("payments"))
    try:
        for change in ("DELETE FROM payments.periods", "UPDATE payments.periods SET ends_on = '2020-01-31'"):
            with pytest.raises(asyncpg.RestrictViolationError, match="append-only"):
                await owner.execute(change)
        with pytest.raises(asyncpg.CheckViolationError, match="counts in a period that is closed"):
            await owner.execute(JOURNAL)
    finally:
        await owner.close()


async def test_a_month_closes_between_journals_and_never_amid_them(payments: Payments) -> None:
    """Deliveries of October while it closes: each counts in October before it, and in November after it."""
    await know_mark(payments)
    events = [charge_succeeded(f"many{n}", at=datetime(2026, 10, 5, 1, 2, n, tzinfo=UTC)) for n in range(40)]
    delivering = asyncio.create_task(deliver(payments, *events))

    async def close() -> int:
        while True:
            answer = await payments.call("POST", "/periods/2026-10/close")
            if answer.status_code == 200:
                return answer.status_code
            await delivering

    await close()
    await delivering
    await works(payments)
    before = (await _owed(payments, OCTOBER))[0]
    after = (await _owed(payments, NOVEMBER))[0]
    assert before + after == 40_000
    await standing.check(payments)


async def test_entries_come_in_pages_and_as_one_sheet(payments: Payments) -> None:
    await know_mark(payments)
    for number in range(3):
        await _charged(payments, f"page{number}", number + 1)
    first = await payments.get(f"/reports/entries?{OCTOBER}&limit=4")
    second = await payments.get(f"/reports/entries?{OCTOBER}&limit=200&cursor={first['next']}")
    shown = [(each["number"], each["line"]) for each in (*first["items"], *second["items"])]
    assert shown == sorted(set(shown))
    sheet = await _sheet(payments, f"/reports/entries?{OCTOBER}")
    assert [(int(each["number"]), int(each["line"])) for each in sheet] == shown
    assert sum(round(float(each["amount"]) * 100) for each in sheet) == 0
    wrong = await payments.call("GET", "/reports/entries?from=2026-10-31&to=2026-10-01")
    assert (wrong.status_code, wrong.json()["detail"]) == (422, "The first day lies after the last.")
