"""Order and completeness while everything around the relay dies.

What is promised of a key's records in its topic, duplicates and all: no event appears before each of its predecessors
has appeared. So the first occurrences, which are all that an inbox lets through, are every event once, as written.
A relay that died may have left a batch on the wire; it repeats what comes next anyway, and can bring nothing forward.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import psutil
import pytest
from backbone.kafka import Broker
from chassis import outbox
from chassis.relay import Relay
from sqlalchemy import text

from tests.chassis.relay_process import Death, Life, Tally, start, warm_up
from tests.chassis.relaying import SCHEMA, Ground, a_ground, an_event
from tests.support.eventually import eventually
from tests.support.infrastructure import TemporaryDatabase

WRITERS, RELAYS, KEYS, ROWS = 8, 3, 48, 24_000
ROWS_PER_TRANSACTION = 20
STUCK, TOPIC_MAX_BYTES = "pay_stuck", 150_000


@pytest.fixture
async def ground(fresh_database: TemporaryDatabase, kafka: str, topic_prefix: str) -> AsyncIterator[Ground]:
    async with a_ground(fresh_database, kafka, topic_prefix) as made:
        yield made


def a_life(ground: Ground, tally: Path, death: Death) -> Life:
    return Life(ground.urls.url_for(SCHEMA), ground.kafka, tally, death)


@dataclass(slots=True)
class Pack:
    """Relays that die and are started again, so that there are always as many."""

    ground: Ground
    tally: Path
    running: set[ForkServerProcess] = field(default_factory=set)
    kills: int = 0

    async def keep_one(self) -> None:
        while True:
            death: Death = "acknowledged" if self.kills % 2 else "on the wire"
            process = start(a_life(self.ground, self.tally, death))
            self.running.add(process)
            await asyncio.to_thread(process.join)
            self.running.discard(process)
            assert process.exitcode == -signal.SIGKILL, process.exitcode
            self.kills += 1


@asynccontextmanager
async def a_pack(ground: Ground, tally: Path) -> AsyncIterator[Pack]:
    pack = Pack(ground, tally)
    await asyncio.to_thread(warm_up)
    keepers = [asyncio.create_task(pack.keep_one()) for _ in range(RELAYS)]
    try:
        yield pack
        for keeper in keepers:
            assert not keeper.done(), keeper
    finally:
        for keeper in keepers:
            keeper.cancel()
        for process in pack.running:
            process.kill()
            process.join()
        await asyncio.wait(keepers)


class Ledger:
    """Writes events as services do, and remembers for each key what it has committed, in order."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self.written: dict[str, list[bytes]] = {}

    async def lay(self, keys: Sequence[str]) -> None:
        await self._ground.query(f"CREATE TABLE {SCHEMA}.aggregates (key text PRIMARY KEY, number int NOT NULL)")
        await self._ground.query(f"GRANT SELECT, UPDATE ON {SCHEMA}.aggregates TO {SCHEMA}")
        names = ", ".join(f"('{key}', 0)" for key in keys)
        await self._ground.query(f"INSERT INTO {SCHEMA}.aggregates VALUES {names}")

    async def commit(self, key: str, rows: int, padding: bytes = b"." * 150) -> None:
        """One transaction: lock the aggregate, count on, emit."""
        statement = text(f"UPDATE {SCHEMA}.aggregates SET number = number + :rows WHERE key = :key RETURNING number")
        async with self._ground.database.engine.begin() as connection:
            last = (await connection.execute(statement, {"rows": rows, "key": key})).scalar_one()
            values = [b"%d %b" % (number, padding) for number in range(last - rows + 1, last + 1)]
            await outbox.insert(connection, SCHEMA, [an_event(key, value) for value in values])
            # The row is still locked: what is noted here is in the order of the commits.
            self.written.setdefault(key, []).extend(values)


async def write_all(ledger: Ledger, keys: Sequence[str], writer: int) -> None:
    chance = random.Random(writer)
    for _ in range(ROWS // WRITERS // ROWS_PER_TRANSACTION):
        await ledger.commit(chance.choice(keys), ROWS_PER_TRANSACTION)


def assert_in_order(found: Sequence[bytes], written: Sequence[bytes]) -> None:
    """Each event appears, and none before each of its predecessors has."""
    place = {value: number for number, value in enumerate(written)}
    reached = -1
    for value in found:
        assert place[value] <= reached + 1, f"{value[:12]!r} came before its predecessor"
        reached = max(reached, place[value])
    assert reached == len(written) - 1
    assert list(dict.fromkeys(found)) == list(written)


async def test_order_survives_killed_relays_a_broker_restart_and_an_unsendable_row(
    fresh_database: TemporaryDatabase, private_kafka: Broker, topic_prefix: str, tmp_path: Path
) -> None:
    tally = Tally(tmp_path / "tally")
    keys = [f"pay_{number}" for number in range(KEYS)]
    async with a_ground(fresh_database, private_kafka.bootstrap_servers, topic_prefix) as ground:
        await ground.configure(max_message_bytes=str(TOPIC_MAX_BYTES))
        ledger = Ledger(ground)
        await ledger.lay([*keys, STUCK])
        async with a_pack(ground, tmp_path / "tally") as pack:
            async with asyncio.TaskGroup() as writing:
                for number in range(WRITERS):
                    writing.create_task(write_all(ledger, keys, number))
                await ledger.commit(STUCK, 3)
                await ledger.commit(STUCK, 1, os.urandom(2 * TOPIC_MAX_BYTES))
                await ledger.commit(STUCK, 3)
                await eventually(lambda: tally.rows, lambda rows: rows > ROWS // 2, timeout_seconds=120)
                await asyncio.to_thread(private_kafka.stop)
                await asyncio.to_thread(private_kafka.start)
                await ledger.commit(STUCK, 2)
            await eventually(ground.state, lambda state: state.depth == 0, timeout_seconds=120)

        assert pack.kills >= ROWS // 2_000 - 1
        stuck = ledger.written.pop(STUCK)
        found = await ground.keys()
        assert_in_order(found.pop(STUCK), stuck[:3])
        assert found.keys() == ledger.written.keys()
        for key, written in ledger.written.items():
            assert_in_order(found[key], written)
        await assert_parked_and_brought_back(ground, stuck)


async def assert_parked_and_brought_back(ground: Ground, stuck: Sequence[bytes]) -> None:
    waiting = await ground.waiting()
    assert len(waiting) == len(stuck) - 3
    (parked,) = await ground.parked()
    assert (parked.key, parked.event_id) == (STUCK, waiting[0])
    assert "MessageSizeTooLarge" in parked.reason

    await ground.configure(max_message_bytes="1048588")
    assert await ground.unpark(STUCK)
    relay = ground.relay()
    assert await relay.drain() == len(waiting)
    await relay.close()
    assert_in_order((await ground.keys())[STUCK], stuck)


@pytest.fixture
async def frozen(ground: Ground, tmp_path: Path) -> AsyncIterator[ForkServerProcess]:
    """A relay that has stopped in the middle of its round, with its first batch in hand."""
    await ground.write([an_event("pay_1", b"%d" % number) for number in range(3)])
    process = start(a_life(ground, tmp_path / "tally", "frozen"))
    assert process.pid is not None
    await eventually(psutil.Process(process.pid).status, lambda status: status == psutil.STATUS_STOPPED)
    yield process
    process.kill()
    process.join()


@pytest.fixture
async def standby(ground: Ground) -> AsyncIterator[Relay]:
    relay = ground.relay("standby")
    yield relay
    await relay.close()


async def test_a_standby_takes_over_at_once_when_the_working_relay_is_killed(
    ground: Ground, frozen: ForkServerProcess, standby: Relay
) -> None:
    assert (await standby.round()).outcome == "standby"

    frozen.kill()

    took = await eventually(standby.round, lambda result: result.outcome != "standby", timeout_seconds=8)
    assert (took.outcome, took.sent) == ("worked", 3)


async def test_a_relay_that_hangs_loses_the_lock_and_brings_nothing_out_of_order_when_it_wakes(
    ground: Ground, frozen: ForkServerProcess, standby: Relay
) -> None:
    """The server ends the transaction of a host that has vanished; this one comes back, with an old batch in hand."""
    await ground.write([an_event("pay_1", b"%d" % number) for number in range(3, 6)])

    await eventually(standby.round, lambda result: result.outcome == "worked", timeout_seconds=60)
    assert await ground.waiting() == []
    assert frozen.pid is not None
    os.kill(frozen.pid, signal.SIGCONT)

    written = [b"%d" % number for number in range(7)]
    late = await eventually(ground.keys, lambda keys: len(keys["pay_1"]) > 6)
    assert_in_order(late["pay_1"], written[:6])
    await ground.write([an_event("pay_1", written[6])])
    await eventually(ground.waiting, lambda waiting: waiting == [])
    assert_in_order((await ground.keys())["pay_1"], written)
