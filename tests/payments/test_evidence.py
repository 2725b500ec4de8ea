"""What arrived is evidence: the service itself may note what became of it, and cannot rewrite it."""

from __future__ import annotations

import asyncpg
import pytest

from tests.payments.providers import Payments, charge_succeeded, deliver, works

NOTED = {
    "webhook_deliveries": {"state", "attempts", "last_received_at"},
    "provider_events": {"deliveries", "outcome", "outcome_words", "payment_id", "ingested_at"},
    "fetched_objects": set(),
}


@pytest.mark.parametrize("table", sorted(NOTED))
async def test_only_what_became_of_it_can_be_changed(payments: Payments, table: str) -> None:
    assert await deliver(payments, charge_succeeded("october")) == [200]
    await works(payments)
    columns = await payments.rows(
        "SELECT column_name FROM information_schema.columns WHERE table_schema = 'payments' AND table_name = :table",
        table=table,
    )
    connection = await asyncpg.connect(payments.place.url_for("payments"))
    changed = set()
    try:
        for (column,) in columns:
            try:
                await connection.execute(f"UPDATE payments.{table} SET {column} = {column}")
                changed.add(column)
            except asyncpg.InsufficientPrivilegeError:
                continue
        assert changed == NOTED[table]
        for removal in ("DELETE FROM", "TRUNCATE"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(f"{removal} payments.{table}")
    finally:
        await connection.close()
