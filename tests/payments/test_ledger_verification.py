"""`python -m payments verify` finds what somebody did to the ledger who owns the whole database, and says where."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable

import asyncpg
import pytest

from contracts import evidence
from tests.payments.providers import Payments
from tests.payments.test_ledger_guards import FIRST, JOURNAL, PAIR, SECOND, post
from tests.support.eventually import eventually
from tests.support.infrastructure import TemporaryDatabase

OFF = "ALTER TABLE payments.{0} DISABLE TRIGGER ALL"
ON = "ALTER TABLE payments.{0} ENABLE TRIGGER ALL"
TAMPERED = {
    "an amount": (
        "UPDATE payments.ledger_entries SET amount_minor = 400 WHERE amount_minor = 500",
        f"journal: {FIRST}: off by -100, 1 currencies, 1 phases",
    ),
    "both amounts": (
        "UPDATE payments.ledger_entries SET amount_minor = amount_minor * 2",
        "balance: 1200 clearing:stripe AUD posted: 500 stands, the entries sum to 1000",
    ),
    "a currency": (
        "UPDATE payments.ledger_entries SET currency = 'NZD' WHERE amount_minor = 500",
        f"journal: {FIRST}: off by 0, 2 currencies, 1 phases",
    ),
    "a balance": (
        "UPDATE payments.balances SET amount_minor = 0 WHERE account = '2100 gst_payable'",
        "balance: 2100 gst_payable AUD posted: 0 stands, the entries sum to -500",
    ),
    "the entries": ("DELETE FROM payments.ledger_entries", f"journal: {FIRST}: no entries"),
    "a member's ledger": (
        "INSERT INTO payments.member_entries (member_id, effective_at, place, economic_key, currency, number,"
        " recorded_at, amount_minor) VALUES ('mark-stevens', now(), 0, 'invoice:x', 'AUD', 1, now(), 700)",
        "member: mark-stevens AUD: 700 stands, the entries sum to 0",
    ),
    "a balance deleted": (
        "DELETE FROM payments.balances WHERE account = '2100 gst_payable'",
        "balance: 2100 gst_payable AUD posted: 0 stands, the entries sum to -500",
    ),
}


def run_verify(url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PAYMENTS_DATABASE_URL": url, "PAYMENTS_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"}
    command = [sys.executable, "-m", "payments", "verify", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture
async def ledger(database_for: Callable[..., Awaitable[TemporaryDatabase]]) -> TemporaryDatabase:
    """A ledger with one journal, open to everything that a superuser may do."""
    database = await database_for("payments")
    await as_superuser(database, journal=FIRST)
    return database


async def as_superuser(database: TemporaryDatabase, *statements: str, journal: str | None = None) -> None:
    connection = await asyncpg.connect(database.admin_url)
    try:
        if journal is not None:
            async with connection.transaction():
                await connection.execute(JOURNAL, journal)
                await post(connection, journal, PAIR)
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


@pytest.mark.parametrize("what", TAMPERED)
async def test_it_finds_what_was_changed_behind_the_guards(ledger: TemporaryDatabase, what: str) -> None:
    statement, words = TAMPERED[what]
    tables = ("journals", "ledger_entries")
    await as_superuser(ledger, *map(OFF.format, tables), statement, *map(ON.format, tables))

    done = await asyncio.to_thread(run_verify, ledger.url_for("payments"))

    assert done.returncode == 1, done.stderr
    assert words in done.stdout.splitlines(), done.stdout
    assert done.stdout.splitlines()[-1].startswith("tampered: 1 journals")


async def test_a_ledger_without_one_of_its_guards_is_not_fine(ledger: TemporaryDatabase) -> None:
    url = ledger.url_for("payments")
    fine = await asyncio.to_thread(run_verify, url)
    assert (fine.returncode, fine.stdout, fine.stderr) == (0, "fine: 1 journals, 2 entries\n", "")

    await as_superuser(ledger, "ALTER TABLE payments.ledger_entries DISABLE TRIGGER checked")
    done = await asyncio.to_thread(run_verify, url)
    assert (done.returncode, done.stdout.splitlines()[0]) == (
        1,
        "missing_guard: ledger_entries: no working trigger checked",
    )


async def test_a_ledger_that_cannot_be_read_is_neither_fine_nor_tampered() -> None:
    for url, words in (("postgresql://p:p@127.0.0.1:1/p", "ConnectionRefusedError"), ("nonsense", "DATABASE_URL")):
        done = await asyncio.to_thread(run_verify, url)
        assert (done.returncode, done.stdout) == (3, ""), done.stderr
        assert words in done.stderr
    wrong = await asyncio.to_thread(run_verify, "postgresql://p:p@127.0.0.1:1/p", "--fast")
    assert (wrong.returncode, wrong.stdout) == (3, "")


async def test_payments_tells_how_its_ledger_and_its_queue_are(payments: Payments) -> None:
    async def told() -> dict[str, object]:
        return {each["name"]: each["value"] for each in await payments.get("/evidence")}

    await as_superuser(payments.place, journal=SECOND)
    found = await eventually(told, lambda found: evidence.LEDGER_VERIFIED.name in found)

    assert found[evidence.LEDGER_VERIFIED.name] is True
    assert found[evidence.UNBALANCED_JOURNALS.name] == 0
    assert found[evidence.PENDING_EVENTS.name] == 0
    assert found[evidence.OLDEST_UNPROCESSED.name] == 0
    assert found[evidence.PARKED_OVER_AN_HOUR.name] == 0
    assert found[evidence.REJECTED_DELIVERIES.name] == 0
    assert found[evidence.FAILURES_WITHOUT_ONE_OWNER.name] == 0
    assert found[evidence.HELD_RETRIES.name] == 0
    readable = f"{evidence.PAUSES_READABLE.name}:{payments.runtime.process.instance}"
    assert found[readable] is False, "nobody's heartbeat has been heard"
    assert found[f"{evidence.SIGNATURE_CHECKS.name}:stripe"] is True
    assert found[f"{evidence.SIGNATURE_CHECKS.name}:gocardless"] is True
