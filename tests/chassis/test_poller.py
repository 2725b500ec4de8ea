"""A poller waits out what passes by itself, ends on what does not, and stops after the step in flight."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import ClassVar

import pytest
from chassis.poller import Poller

from tests.support.eventually import eventually

FOR_EVER_SECONDS = 3_600.0


class Following(Poller):
    """Does as its script says, step after step, and then finds nothing more."""

    name: ClassVar[str] = "following"
    idle_seconds = FOR_EVER_SECONDS

    def __init__(self, script: Sequence[bool | Exception] = (), *, unready: str | None = None) -> None:
        super().__init__(unready=unready)
        self.script = list(script)
        self.steps = 0
        self.closed = False

    async def step(self) -> bool:
        self.steps += 1
        outcome = self.script.pop(0) if self.script else False
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def close(self) -> None:
        self.closed = True


class Held(Following):
    """Its step lasts until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.entered, self.let_go = asyncio.Event(), asyncio.Event()

    async def step(self) -> bool:
        self.entered.set()
        await self.let_go.wait()
        return await super().step()


async def test_while_there_is_more_steps_follow_each_other_at_once_and_then_wait_to_be_woken() -> None:
    poller = Following([True, True, True, False])
    task = asyncio.create_task(poller.run())
    await eventually(lambda: poller.steps, lambda steps: steps == 4)

    poller.wake.set()
    await eventually(lambda: poller.steps, lambda steps: steps == 5)

    await poller.stop()
    await task
    assert poller.closed


async def test_trouble_is_told_and_waited_out() -> None:
    poller = Following([ConnectionResetError("cut"), ConnectionResetError("cut"), False], unready="not looked yet")
    assert (poller.check().ok, poller.check().detail) == (False, "not looked yet")
    task = asyncio.create_task(poller.run())

    told = await eventually(poller.check, lambda check: check.detail == "ConnectionResetError: cut")
    assert not told.ok
    await eventually(poller.check, lambda check: check.ok)

    await poller.stop()
    await task
    assert poller.steps == 3


async def test_a_fault_of_our_own_ends_the_part_and_gives_back_what_it_holds() -> None:
    poller = Following([True, KeyError("ours")])

    with pytest.raises(KeyError):
        await poller.run()
    await poller.stop()

    assert poller.closed


async def test_stopping_waits_for_the_step_in_flight() -> None:
    poller = Held()
    task = asyncio.create_task(poller.run())
    await poller.entered.wait()

    stopping = asyncio.create_task(poller.stop())
    done, _ = await asyncio.wait({stopping}, timeout=0.05)
    assert not done, "stop returned while the step was in flight"

    poller.let_go.set()
    await stopping
    await task
    assert (poller.steps, poller.closed) == (1, True)


async def test_stopping_cuts_a_back_off_short() -> None:
    poller = Following([ConnectionResetError("cut")] * 1_000)
    task = asyncio.create_task(poller.run())
    await eventually(lambda: poller.steps, lambda steps: steps >= 5)

    async with asyncio.timeout(0.75):
        await poller.stop()
        await task


async def test_one_that_never_ran_is_stopped_at_once() -> None:
    await Following().stop()
