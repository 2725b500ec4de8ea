"""The service that keeps the pauses dies with a pause in force, for hours by the business clock.

The pause ends at its own expiry, which needs nobody; and still no money moves, because nobody can say what else is
paused. When the keeper lives again, what was held goes on, once and under its own key.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

from contracts.events import PauseScope
from payments.main import pauses_of
from payments.pauses.domain import Open
from payments.recovery.jobs import Releases, Retries

from tests.payments.recovering import Recovery, recovering
from tests.simulator.conftest import Inbox, environment, simulator_process
from tests.support.eventually import eventually
from tests.support.infrastructure import TemporaryDatabase

STRIPE = PauseScope(provider="stripe", action="collection")
SILENT_AFTER_SECONDS = 5.0


async def test_a_pause_ends_though_its_keeper_is_dead_and_money_stays_where_it_is(
    database_for: Callable[..., Awaitable[TemporaryDatabase]], kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    clock_file = tmp_path / "clock.json"
    with simulator_process(environment(Inbox(url="http://127.0.0.1:9"), clock_file=clock_file)) as simulated:
        database = await database_for("payments")
        limit = {"pause_heartbeat_max_age_seconds": SILENT_AFTER_SECONDS}
        async with recovering(simulated, [database], kafka, topic_prefix, clock_file, **limit) as mark:
            async with mark.kept():
                payment = await mark.a_failed_month("succeed")
                await mark.pauses(STRIPE, hours=24 * 3 + 1)
                await mark.passes(3.01)
                await eventually(lambda: mark.plan(payment), lambda plan: plan["state"] == "held")
            await the_keeper_is_dead(mark, payment)
            async with mark.kept():
                await eventually(lambda: mark.state(payment), lambda state: state == "succeeded", timeout_seconds=60)
            (call,) = await mark.confirmations()
            assert call["idempotency_key"] == f"backbone-retry-{payment}-1"


async def the_keeper_is_dead(mark: Recovery, payment: str) -> None:
    known = pauses_of(mark.payments.runtime)
    await eventually(known.blindness, lambda why: why is not None, timeout_seconds=30)
    await mark.passes(2 / 24)
    held = known.verdict("stripe", "self", "collection")
    assert not isinstance(held, Open)
    assert "silent since" in held.words, "the pause itself has run out: nothing but the silence holds it"

    await mark.payments.part(Releases).step()
    await mark.payments.part(Retries).drain()
    assert (await mark.plan(payment))["state"] == "held"
    assert await mark.confirmations() == []
    measured = [each for each in await mark.payments.get("/evidence") if each["name"].startswith("pauses_readable")]
    assert [each["value"] for each in measured] == [False], "and the board says so"
