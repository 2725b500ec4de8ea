"""The gate: shared by many, or held by one with nobody inside; whoever is cancelled leaves nothing locked."""

from __future__ import annotations

import asyncio

from chassis.gate import Gate


async def turns() -> None:
    """Let every task that can go on go on."""
    for _ in range(20):
        await asyncio.sleep(0)


class Visitor:
    """Somebody who goes in and stays until told to leave."""

    def __init__(self, gate: Gate, *, exclusive: bool = False) -> None:
        self._side = gate.exclusive if exclusive else gate.shared
        self._leave = asyncio.Event()
        self.inside = False
        self.task = asyncio.create_task(self._visit())

    async def _visit(self) -> None:
        async with self._side():
            self.inside = True
            await self._leave.wait()
            self.inside = False

    async def leaves(self) -> None:
        self._leave.set()
        await turns()


async def test_many_share_the_gate_and_whoever_wants_it_alone_waits_until_they_have_left() -> None:
    gate = Gate()
    first, second = Visitor(gate), Visitor(gate)
    await turns()
    assert first.inside
    assert second.inside
    assert gate.inside == 2

    alone = Visitor(gate, exclusive=True)
    await first.leaves()
    assert not alone.inside

    await second.leaves()
    assert alone.inside
    assert gate.inside == 0
    await alone.leaves()


async def test_nobody_enters_while_it_is_held_or_waited_for_so_that_the_wait_ends() -> None:
    gate = Gate()
    early = Visitor(gate)
    await turns()
    alone = Visitor(gate, exclusive=True)
    await turns()
    late = Visitor(gate)
    await turns()
    assert early.inside
    assert not alone.inside
    assert not late.inside

    await early.leaves()
    assert alone.inside
    assert not late.inside

    await alone.leaves()
    assert late.inside
    await late.leaves()


async def test_two_who_want_it_alone_hold_it_one_after_the_other() -> None:
    gate = Gate()
    both = [Visitor(gate, exclusive=True), Visitor(gate, exclusive=True)]
    await turns()
    (holder,) = [each for each in both if each.inside]
    (other,) = [each for each in both if not each.inside]

    await holder.leaves()
    assert other.inside
    await other.leaves()


async def test_whoever_is_cancelled_while_inside_or_waiting_leaves_the_gate_open() -> None:
    gate = Gate()
    inside = Visitor(gate)
    await turns()
    waiting = Visitor(gate, exclusive=True)
    late = Visitor(gate)
    await turns()

    waiting.task.cancel()
    await turns()
    assert late.inside, "nobody waits for the gate alone any more"
    inside.task.cancel()
    late.task.cancel()
    await turns()

    alone = Visitor(gate, exclusive=True)
    await turns()
    assert alone.inside
    alone.task.cancel()
    await turns()
    assert gate.inside == 0
    again = Visitor(gate)
    await turns()
    assert again.inside
    await again.leaves()
