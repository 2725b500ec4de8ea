"""Everything that is derived is derived again from the numbered inputs, and is the same to the last column.

The scenarios of the money lane arrive in chaotic order, doubled, over two workers; staff decide; members change. Then
`python -m payments rebuild --check` says identical, and after somebody edited a row behind the service's back, which.
"""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
from datetime import UTC, datetime

from tests.payments.providers import Payments, charge_succeeded, deliver, know_mark, works
from tests.payments.pure.test_scenarios import doubled
from tests.payments.scenarios import SCENARIOS
from tests.payments.test_commands import an_unpaid_invoice, command, written_off
from tests.payments.test_ledger_verification import OFF, ON, as_superuser
from tests.payments.test_two_workers import Copy, _at_once, _happens, _know_all, idle, work_off

__all__ = ["idle"]


def run_rebuild(url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PAYMENTS_DATABASE_URL": url, "PAYMENTS_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"}
    command = [sys.executable, "-m", "payments", "rebuild", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)


async def rebuilt(payments: Payments) -> subprocess.CompletedProcess[str]:
    return await asyncio.to_thread(run_rebuild, payments.place.url_for("payments"), "--check")


async def test_every_scenario_in_chaotic_order_over_two_workers_is_rebuilt_identically(idle: Payments) -> None:
    chance = random.Random(20)
    copies = [Copy(each, row, 0) for row, each in enumerate(SCENARIOS)]
    await _know_all(idle, [copy for copy in copies if not copy.scenario.strangers])
    queue = [(copy, given) for copy in copies for given in doubled(copy.scenario, chance)]
    chance.shuffle(queue)
    for part in (queue[: len(queue) // 2], queue[len(queue) // 2 :]):
        await _at_once(_happens(idle, *each) for each in part)
        await work_off(idle, 2, batch_max_events=7)

    done = await rebuilt(idle)

    ((inputs,),) = await idle.rows("SELECT count(*) FROM payments.inputs")
    ((journals,),) = await idle.rows("SELECT count(*) FROM payments.journals")
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert done.stdout.startswith(f"identical: {inputs} inputs, {journals} journals, "), done.stdout


EDITED = {
    "payments": ("UPDATE payments.payments SET state = 'succeeded'", 'state is "succeeded", rebuilt "failed"'),
    "invoices": ("UPDATE payments.invoices SET gst_minor = 1 WHERE NOT implied", "gst_minor is 1, rebuilt 1000"),
    "payment_attempts": ("DELETE FROM payments.payment_attempts", "the row is no such row, rebuilt a row"),
    "journals": ("UPDATE payments.journals SET words = 'Nothing'", 'words is "Nothing", rebuilt "Invoice'),
    "ledger_entries": (
        "UPDATE payments.ledger_entries SET amount_minor = 400 WHERE account = '2100 gst_payable'"
        " AND amount_minor = -1000",
        "amount_minor is 400, rebuilt -1000",
    ),
    "balances": (
        "UPDATE payments.balances SET amount_minor = 7 WHERE account = '5200 bad_debts'",
        "5200 bad_debts, AUD, posted: amount_minor is 7, rebuilt 10000",
    ),
    "member_entries": (
        "UPDATE payments.member_entries SET amount_minor = 3 WHERE amount_minor = 11000",
        "mark-stevens: amount_minor is 3, rebuilt 11000",
    ),
    "members": ("UPDATE payments.members SET name = 'Mark'", 'name is "Mark", rebuilt "Mark Stevens"'),
    "provider_events": (
        "UPDATE payments.provider_events SET outcome = 'lost' WHERE outcome = 'applied'",
        'outcome is "lost", rebuilt "applied"',
    ),
}


async def test_every_row_that_was_edited_behind_the_service_is_named(payments: Payments) -> None:
    invoice = await an_unpaid_invoice(payments)
    await command(payments, invoice, written_off(invoice))
    await works(payments)
    fine = await rebuilt(payments)
    assert fine.returncode == 0, fine.stdout + fine.stderr

    for table, (statement, _) in EDITED.items():
        await as_superuser(payments.place, OFF.format(table), statement, ON.format(table))
    await as_superuser(
        payments.place,
        "INSERT INTO payments.refunds (id, key, provider, reference, state, version)"
        " VALUES (gen_random_uuid(), 'stripe/self/refund/re_forged', 'stripe', 're_forged', 'paid', 1)",
    )

    done = await rebuilt(payments)
    assert done.returncode == 1, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    for table, (_, words) in EDITED.items():
        assert any(line.startswith(f"{table} ") and words in line for line in lines), (table, lines)
    assert "refunds stripe/self/refund/re_forged: the row is a row, rebuilt no such row" in lines
    assert lines[-1].startswith("different in ")


async def test_a_journal_counts_in_the_period_that_was_open_when_its_input_was_applied(payments: Payments) -> None:
    """Three times something is learnt of September: while it is open, after it was closed, and after October was."""
    await know_mark(payments)
    for day, closes in ((5, "2026-09"), (6, "2026-10"), (7, None)):
        at = datetime(2026, 9, day, 1, 2, 3, tzinfo=UTC)
        await deliver(payments, charge_succeeded(f"late{day}", at=at))
        await deliver(payments, charge_succeeded(f"stranger{day}", at=at, customer="cus_not_yet"))
        await works(payments)
        if closes is not None:
            assert (await payments.call("POST", f"/periods/{closes}/close")).status_code == 200
    # Corrections of September, posted into November: whose the money is was learnt last of all.
    await know_mark(payments, stripe="cus_not_yet")
    await works(payments)

    counts = await payments.rows("SELECT DISTINCT accounted_on::text FROM payments.journals ORDER BY 1")
    assert counts == [("2026-10-01",), ("2026-11-01",), (None,)]
    fine = await rebuilt(payments)
    assert (fine.returncode, fine.stdout.split(":")[0]) == (0, "identical"), fine.stdout + fine.stderr

    for table, change in (
        ("journals", "accounted_on = '2026-12-01' WHERE accounted_on = '2026-11-01'"),
        ("periods", "closed_by = 'nobody' WHERE period = '2026-10'"),
    ):
        await as_superuser(payments.place, OFF.format(table), f"UPDATE payments.{table} SET {change}", ON.format(table))
    done = await rebuilt(payments)
    assert done.returncode == 1
    assert 'accounted_on is "2026-12-01", rebuilt "2026-11-01"' in done.stdout
    assert 'periods 2026-10: closed_by is "nobody", rebuilt "maria.rossi"' in done.stdout


async def test_what_cannot_be_rebuilt_is_neither_identical_nor_different() -> None:
    for arguments in (("--check",), (), ("--fast",)):
        done = await asyncio.to_thread(run_rebuild, "postgresql://p:p@127.0.0.1:1/p", *arguments)
        assert (done.returncode, done.stdout) == (2, ""), done.stderr
