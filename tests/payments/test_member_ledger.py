"""Pages of a long ledger are together the whole of it, by both dates, whatever was learnt late or corrected since."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from payments.ledger.lines import Line, Posted, member_lines

from tests.payments.providers import Payments, know_mark

JOURNAL = """
INSERT INTO payments.journals (id, source, source_key, economic_key, subject, kind, words, effective_at, effective_on,
                               recorded_at)
VALUES ($1::uuid, 'test', $1::uuid::text, $2, 'test', 'original', $3, $4, '2026-01-01', $5) RETURNING number
"""
ENTRIES = """
INSERT INTO payments.ledger_entries (journal_id, line, account, currency, amount_minor, phase, tax_code)
SELECT $1, line, account, $2, amount, 'posted', 'N-T'
FROM unnest($3::smallint[], $4::text[], $5::bigint[]) AS e (line, account, amount)
"""
FIRST_DAY = datetime(2026, 1, 1, tzinfo=UTC)
ACCOUNTS = ("1100 member_receivable", "2200 member_credit", "2300 refunds_payable")
KINDS = ("invoice", "payment", "refund", "refund_paid", "reversal", "write_off")


def a_history(seed: int, journals: int, member: str) -> list[Posted]:
    """Journals in the order of recording: many late, several of one instant, some corrected, some taken back."""
    chance = random.Random(seed)
    made: list[Posted] = []
    for number in range(journals):
        if made and chance.random() < 0.3:
            of = chance.choice(made)
            amount = -of.amount_minor if chance.random() < 0.5 else chance.randint(1, 99)
            one = replace(of, amount_minor=amount)
        else:
            at = FIRST_DAY + timedelta(hours=chance.randrange(journals // 3))
            key = f"{chance.choice(KINDS)}:{number}"
            one = Posted("", 0, key, at, at, key, chance.choice(("AUD", "AUD", "NZD")), chance.randint(-9_999, 9_999))
        journal = str(UUID(int=chance.getrandbits(128), version=4))
        recorded_at = FIRST_DAY + timedelta(days=30, minutes=number)
        made.append(
            replace(
                one,
                journal_id=journal,
                recorded_at=recorded_at,
                words=f"{member} {number}",
                amount_minor=one.amount_minor or 1,
            )
        )
    return made


async def post(writer: asyncpg.Connection, member: str, journals: Sequence[Posted]) -> list[Posted]:
    """Post them against the bank's account; returns them with their numbers."""
    posted = []
    for place, each in enumerate(journals):
        async with writer.transaction():
            id_ = UUID(each.journal_id)
            given = (id_, each.economic_key, each.words, each.effective_at, each.recorded_at)
            number = await writer.fetchval(JOURNAL, *given)
            account = f"{ACCOUNTS[place % 3]}:{member}"
            entries = ([1, 2], [account, "1300 bank"], [each.amount_minor, -each.amount_minor])
            await writer.execute(ENTRIES, id_, each.currency, *entries)
        posted.append(replace(each, number=number))
    return posted


@pytest.fixture
async def writer(payments: Payments) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(payments.place.url_for("payments"))
    yield connection
    await connection.close()


async def pages(payments: Payments, **asked: Any) -> list[dict[str, Any]]:
    """Every page, newest first."""
    found: list[dict[str, Any]] = []
    cursor = None
    while True:
        given = {name: value for name, value in {**asked, "cursor": cursor}.items() if value is not None}
        answer = await payments.call("GET", "/members/mark-stevens/ledger", params=given)
        assert answer.status_code == 200, answer.text
        found.append(answer.json())
        cursor = found[-1]["next"]
        if cursor is None:
            return found


def shown(page: dict[str, Any]) -> list[tuple[str, str, int, int]]:
    return [
        (line["words"], line["amount"]["currency"], line["amount"]["amount_minor"], line["balance"]["amount_minor"])
        for line in page["lines"]
    ]


def expected(lines: Sequence[Line]) -> list[tuple[str, str, int, int]]:
    return [(line.words, line.currency, line.amount_minor, line.balance_minor) for line in lines]


async def test_pages_are_together_the_whole_ledger_by_both_dates(
    payments: Payments, writer: asyncpg.Connection
) -> None:
    await know_mark(payments)
    history = await post(writer, "mark-stevens", a_history(7, 240, "mark"))
    await post(writer, "isla-morgan", a_history(8, 20, "isla"))
    middle, early = history[120].effective_at, history[100].recorded_at
    for as_of in (None, middle):
        for known in (None, early):
            counts = [
                each
                for each in history
                if (as_of is None or each.effective_at <= as_of) and (known is None or each.recorded_at <= known)
            ]
            whole = expected(member_lines(counts))
            asked = {"as_of": as_of and as_of.isoformat(), "recorded_as_of": known and known.isoformat()}
            for limit in (1_000, 17):
                found = await pages(payments, limit=limit, **asked)
                assert [line for page in reversed(found) for line in shown(page)] == whole
                owed = {each["currency"]: each["amount_minor"] for each in found[0]["balances"]}
                assert owed == {currency: balance for _, currency, _, balance in whole}


async def test_what_is_learnt_between_two_pages_stands_in_the_page_where_it_belongs(
    payments: Payments, writer: asyncpg.Connection
) -> None:
    await know_mark(payments)
    history = await post(writer, "mark-stevens", a_history(9, 60, "mark"))
    newest = await payments.get("/members/mark-stevens/ledger?limit=10")
    oldest_shown = datetime.fromisoformat(newest["lines"][0]["effective_at"])
    late, new = a_history(10, 3, "late")[:2]
    at = oldest_shown - timedelta(minutes=1), oldest_shown + timedelta(days=9)
    more = [
        replace(each, economic_key=f"payment:late{place}", effective_at=at[place], currency="AUD", amount_minor=-77)
        for place, each in enumerate((late, new))
    ]
    history += await post(writer, "mark-stevens", more)

    before = await payments.get(f"/members/mark-stevens/ledger?limit=10&cursor={newest['next']}")

    whole = expected(member_lines(history))
    place = whole.index(next(line for line in whole if line[0] == newest["lines"][0]["words"]))
    assert shown(before) == whole[place - 10 : place]
    assert shown(before)[-1][0] == more[0].words
    assert shown(await payments.get("/members/mark-stevens/ledger?limit=1")) == whole[-1:]


async def test_a_place_that_is_none_in_this_ledger_is_refused(payments: Payments, writer: asyncpg.Connection) -> None:
    await know_mark(payments)
    await post(writer, "isla-morgan", a_history(8, 3, "isla"))
    (number,) = await writer.fetchrow("SELECT min(number) FROM payments.member_entries")
    for cursor in (str(number), "x", "MQ", "Im4i"):
        refused = await payments.call("GET", f"/members/mark-stevens/ledger?cursor={cursor}")
        assert refused.status_code == 400, cursor
    assert (await payments.call("GET", "/members/mark-stevens/ledger?limit=1001")).status_code == 422
    assert (await payments.get("/members/mark-stevens/ledger"))["lines"] == []
