"""What staff decide is an input like any other: kept with who and why, numbered, applied at once, and told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime

import asyncpg
import pytest
from chassis.transaction import Cause
from contracts.envelope import Actor
from contracts.events import InvoiceUpdated
from contracts.topics import PAYMENTS_EVENTS
from payments.collection import use_cases
from payments.collection.domain import Group
from payments.collection.facts import Told, WrittenOff
from payments.collection.objects import Key
from payments.collection.use_cases import Command
from payments.main import rules_of

from tests.payments.providers import Payments, card_payment, deliver, know_mark, works
from tests.payments.test_journey import balances

MARIA = Actor(kind="staff", id="maria-rossi", name="Maria Rossi")
AT = datetime(2026, 10, 9, tzinfo=UTC)
WRITE_OFF = "write_off"


async def an_unpaid_invoice(payments: Payments) -> Key:
    await know_mark(payments)
    await deliver(payments, *card_payment("october", outcomes=("insufficient_funds",)))
    await works(payments)
    ((key,),) = await payments.rows("SELECT key FROM payments.invoices WHERE NOT implied")
    return Key.parse(key)


async def command(payments: Payments, about: Key, decide: Callable[[Group, str], Command]) -> None:
    rules = rules_of(payments.runtime.settings)
    async with payments.runtime.database.transaction(actor=MARIA, cause=Cause("request-1")) as tx:
        await use_cases.command(tx, rules, [about], decide)


def written_off(invoice: Key) -> Callable[[Group, str], Command]:
    def decide(group: Group, command_id: str) -> Command:
        found = group.invoice(invoice)
        assert found is not None
        if found.state != "open":
            raise ValueError(f"it is {found.state}")
        fact = WrittenOff(Told(command_id, WRITE_OFF, AT), invoice)
        return Command(WRITE_OFF, "written off", "he has moved to Perth", [fact])

    return decide


async def test_a_command_is_kept_numbered_applied_and_told_in_one_transaction(payments: Payments) -> None:
    invoice = await an_unpaid_invoice(payments)

    await command(payments, invoice, written_off(invoice))

    assert ("5200 bad_debts", 10000) in await balances(payments)
    ((command_id, actor, reason),) = await payments.rows(
        "SELECT id, actor ->> 'name', reason FROM payments.staff_commands WHERE name = 'write_off'"
    )
    assert (actor, reason) == ("Maria Rossi", "he has moved to Perth")
    ((kind, last),) = await payments.rows("SELECT kind, command_id FROM payments.inputs ORDER BY number DESC LIMIT 1")
    assert (kind, last) == ("command", command_id)
    told = (await payments.emitted(PAYMENTS_EVENTS, InvoiceUpdated))[-1]
    assert (told.data.body["change"], told.data.reason) == ("written off", "he has moved to Perth")
    assert told.data.actor == MARIA


async def test_a_command_that_is_refused_leaves_nothing(payments: Payments) -> None:
    invoice = await an_unpaid_invoice(payments)
    await command(payments, invoice, written_off(invoice))
    numbered = await payments.rows("SELECT count(*) FROM payments.inputs")

    with pytest.raises(ValueError, match="it is uncollectible"):
        await command(payments, invoice, written_off(invoice))

    assert await payments.rows("SELECT count(*) FROM payments.inputs") == numbered
    assert await payments.rows("SELECT count(*) FROM payments.staff_commands WHERE name = 'write_off'") == [(1,)]


async def test_two_people_cannot_write_off_one_invoice_at_once(payments: Payments) -> None:
    invoice = await an_unpaid_invoice(payments)

    done = await asyncio.gather(
        *(command(payments, invoice, written_off(invoice)) for _ in range(4)), return_exceptions=True
    )

    assert sorted(type(each).__name__ for each in done) == ["NoneType", "ValueError", "ValueError", "ValueError"]
    assert ("5200 bad_debts", 10000) in await balances(payments)


@pytest.mark.parametrize("table", ["inputs", "staff_commands"])
async def test_inputs_are_never_changed(payments: Payments, table: str) -> None:
    await know_mark(payments)
    connection = await asyncpg.connect(payments.place.admin_url)
    try:
        for statement in (f"DELETE FROM payments.{table}", f"TRUNCATE payments.{table}"):
            with pytest.raises(asyncpg.RestrictViolationError):
                await connection.execute(statement)
    finally:
        await connection.close()


async def test_inputs_are_numbered_in_the_order_in_which_they_were_applied(payments: Payments) -> None:
    events = card_payment("october", outcomes=("insufficient_funds", "succeed"))
    await deliver(payments, *events)
    await works(payments)
    await know_mark(payments)
    await works(payments)

    kinds = [kind for (kind,) in await payments.rows("SELECT kind FROM payments.inputs ORDER BY number")]

    assert kinds[: len(events) + 1] == ["event"] * len(events) + ["command"]
    assert set(kinds[len(events) + 1 :]) == {"refold"}
