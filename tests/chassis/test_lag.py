"""The lag that a consumer shows is that of the partitions which it reads, as long as it reads them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from aiokafka import TopicPartition
from chassis.consumer import Consumer
from chassis.lag import Backlog, LagGauge
from chassis.telemetry import metrics
from chassis.transaction import Transaction
from contracts.envelope import Event
from contracts.events import PaymentUpdated
from contracts.topics import PAYMENTS_EVENTS

from tests.support.consuming import SCHEMA, Ground, an_event, note
from tests.support.eventually import eventually

FIRST, SECOND = TopicPartition("payments-events", 0), TopicPartition("payments-events", 1)


@pytest.fixture
def gauge() -> Iterator[LagGauge]:
    gauge = LagGauge("lagging")
    yield gauge
    gauge.clear()


def shown(consumer: str = "lagging") -> dict[int, float]:
    """Lag by partition."""
    return {
        int(sample.labels["partition"]): sample.value
        for metric in metrics.CONSUMER_LAG_RECORDS.collect()
        for sample in metric.samples
        if sample.labels["consumer"] == consumer
    }


def test_each_partition_shows_how_far_it_is_behind(gauge: LagGauge) -> None:
    assert gauge.show({FIRST: 10, SECOND: 5}, {FIRST: 4, SECOND: 5}) == 6
    assert shown() == {0: 6, 1: 0}


def test_a_partition_that_is_not_placed_yet_shows_no_lag_rather_than_none_at_all(gauge: LagGauge) -> None:
    assert gauge.show({FIRST: 10, SECOND: 5}, {SECOND: 1}) == 4
    assert shown() == {1: 4}


def test_a_partition_that_was_given_away_is_shown_no_longer(gauge: LagGauge) -> None:
    gauge.show({FIRST: 10, SECOND: 5}, {FIRST: 4, SECOND: 5})
    gauge.show({SECOND: 9}, {SECOND: 5})
    assert shown() == {1: 4}

    gauge.clear()
    assert shown() == {}


async def test_a_consumer_shows_its_lag_while_it_runs(ground: Ground) -> None:
    consumer = Consumer("shown", reads=[PAYMENTS_EVENTS])

    @consumer.on(PaymentUpdated)
    async def note_payment(tx: Transaction, event: Event[PaymentUpdated]) -> None:
        await note(tx, event.id, event.data.body.payment.id)

    await ground.create(PAYMENTS_EVENTS)
    await ground.write(PAYMENTS_EVENTS, *[an_event(f"pay_{number}") for number in range(3)])
    async with ground.running(consumer):
        await eventually(lambda: shown("shown"), lambda lag: lag == {0: 0})
        assert len(await ground.rows(f"SELECT id FROM {SCHEMA}.effects")) == 3

    assert shown("shown") == {}


def test_a_consumer_that_keeps_up_is_not_late_although_its_lag_is_never_zero() -> None:
    now = 0.0
    backlog = Backlog(lambda: now)
    for look in range(1, 100):
        now = 5.0 * look
        assert backlog.look({FIRST: 100 * look}, {FIRST: 100 * look - 1}) <= 5.0


def test_a_consumer_is_as_late_as_the_oldest_record_that_it_has_not_read() -> None:
    now = 0.0
    backlog = Backlog(lambda: now)
    for look in range(1_000):
        now = 5.0 * look
        late = backlog.look({FIRST: 10 + look, SECOND: 5}, {FIRST: 9, SECOND: 5})
    assert late == 5.0 * 999

    assert backlog.look({FIRST: 1_009}, {FIRST: 1_009, SECOND: 5}) == 0.0


def test_a_partition_of_another_member_makes_nobody_late() -> None:
    now = 0.0
    backlog = Backlog(lambda: now)
    backlog.look({FIRST: 10}, {FIRST: 4})
    now = 60.0
    assert backlog.look({}, {}) == 0.0
