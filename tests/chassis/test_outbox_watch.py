"""The watch over the outbox: what it measures is in the metrics, and what is too much is said until it is over."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator

import orjson
import pytest
from chassis.outbox_watch import OutboxLimits, OutboxWatch
from chassis.telemetry import logs, metrics

from tests.chassis.relaying import SCHEMA, Ground, an_event, lay_outbox, open_database
from tests.support.infrastructure import TemporaryDatabase

LIMITS = OutboxLimits(rows=2, age_seconds=60.0, table_bytes=1_000_000)


@pytest.fixture
async def ground(fresh_database: TemporaryDatabase) -> AsyncIterator[Ground]:
    """An outbox without a broker: nothing relays it here."""
    await lay_outbox(fresh_database)
    database = open_database(fresh_database.url_for(SCHEMA))
    yield Ground(database, None, fresh_database)  # type: ignore[arg-type]
    await database.close()


@pytest.fixture
def logged() -> io.StringIO:
    stream = io.StringIO()
    logs.configure("payments", None, "info", stream)
    return stream


def alarms(logged: io.StringIO) -> list[tuple[str, str]]:
    lines = [orjson.loads(line) for line in logged.getvalue().splitlines()]
    return sorted((line["event"], line["limit"]) for line in lines if line["event"].startswith("outbox."))


def gauge(name: str) -> float | None:
    return metrics.REGISTRY.get_sample_value(f"backbone_outbox_{name}")


async def age(ground: Ground, interval: str) -> None:
    await ground.query(f"UPDATE {SCHEMA}.outbox SET created_at = now() - interval '{interval}'")


async def park(ground: Ground, key: str) -> None:
    await ground.query(
        f"""INSERT INTO {SCHEMA}.outbox_parked_keys (topic, key, event_id, reason)
            SELECT topic, key, event_id, 'too large' FROM {SCHEMA}.outbox WHERE key = '{key}' LIMIT 1"""
    )


async def test_what_waits_is_in_the_metrics(ground: Ground, logged: io.StringIO) -> None:
    watch = OutboxWatch(ground.database, LIMITS)
    await ground.write([an_event("pay_1"), an_event("pay_2")])
    await age(ground, "30 seconds")
    await watch.step()

    state = await ground.state()
    assert (gauge("rows"), gauge("parked_keys"), gauge("table_bytes")) == (2, 0, state.table_bytes)
    assert 30 <= (gauge("oldest_age_seconds") or 0) < 60
    assert (watch.check().ok, watch.check().detail) == (True, None)
    assert alarms(logged) == []


async def test_what_is_too_much_is_an_alarm_until_it_is_over(ground: Ground, logged: io.StringIO) -> None:
    watch = OutboxWatch(ground.database, LIMITS)
    await ground.write([an_event(f"pay_{number}") for number in range(4)])
    await age(ground, "2 minutes")
    await park(ground, "pay_0")
    for _ in range(2):
        await watch.step()

    check = watch.check()
    assert check.ok, "an outbox that grows keeps nobody from accepting"
    assert check.detail is not None
    assert check.detail.startswith("3 events wait, 2 may; the oldest waits for 12")
    assert check.detail.endswith("1 keys are parked with 1 events")
    assert alarms(logged) == [("outbox.alarm", "age"), ("outbox.alarm", "parked"), ("outbox.alarm", "rows")]

    await ground.query(f"DELETE FROM {SCHEMA}.outbox_parked_keys")
    await ground.query(f"DELETE FROM {SCHEMA}.outbox")
    await watch.step()
    assert watch.check().detail is None
    assert [name for event, name in alarms(logged) if event == "outbox.alarm_over"] == ["age", "parked", "rows"]


async def test_a_table_that_does_not_shrink_is_an_alarm(ground: Ground, logged: io.StringIO) -> None:
    watch = OutboxWatch(ground.database, LIMITS)
    await ground.write([an_event("pay_1", bytes(700_000)), an_event("pay_1", bytes(700_000))])
    await watch.step()

    assert alarms(logged) == [("outbox.alarm", "table")]
