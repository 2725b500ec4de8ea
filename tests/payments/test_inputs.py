"""The worker's queue: how much of it one batch takes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from chassis.sql import write_together
from payments.deliveries import inputs
from payments.main import service
from simulator import samples

from tests.payments.providers import SECRETS, Payments, gocardless_headers, post
from tests.support.services import running

EVENT = {"resource_type": "outbound_payments", "action": "scheduled", "created_at": "2026-11-02T01:02:03.456Z"}


@pytest.fixture
async def idle(database_for: Any, kafka: str, topic_prefix: str) -> AsyncIterator[Payments]:
    """A service that accepts and does not work."""
    async with running(
        service, await database_for("payments"), kafka, topic_prefix, **SECRETS, work=False, relay=False
    ) as started:
        yield started


async def test_a_batch_takes_few_large_bodies_and_the_next_takes_the_rest(idle: Payments) -> None:
    for number in range(3):
        large = [{**EVENT, "id": f"EV{number}{item}", "metadata": {"note": "x" * 3_500_000}} for item in range(2)]
        body = samples.gocardless_body(large, f"WB{number}")
        assert (await post(idle, "gocardless", body, gocardless_headers(body))).status_code == 200

    taken = []
    for _ in range(3):
        async with idle.runtime.database.transaction() as tx:
            claimed = await inputs.claim(tx.connection, 200, livemode=False)
            taken.append(len(claimed.items))
            await write_together(tx.connection, inputs.done(claimed.items))
            await inputs.processed(tx.connection, claimed.items)
    # Two bodies of 7 MB fit, and each is read once for both of its events.
    assert taken == [4, 2, 0]
    assert await idle.rows("SELECT DISTINCT state FROM payments.webhook_deliveries") == [("processed",)]
