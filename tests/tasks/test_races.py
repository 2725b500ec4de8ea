"""Two people at once, 200 times: one of them does it, the other hears who did, when and how."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from typing import Any

import httpx
from contracts.envelope import Actor

from tests.tasks.desk import DESK, MARIA, Desk

RACES = 200
AT_ONCE = 4


async def race(*tries: Awaitable[httpx.Response]) -> list[httpx.Response]:
    """Start all of them at one barrier."""
    barrier = asyncio.Barrier(len(tries))

    async def run(one: Awaitable[httpx.Response]) -> httpx.Response:
        await barrier.wait()
        return await one

    return await asyncio.gather(*(run(each) for each in tries))


def won_and_lost(answers: Sequence[httpx.Response], runners: Sequence[Actor], slug: str) -> tuple[Any, Any, Actor]:
    """The winner's answer, the loser's and who won; the loser was told so."""
    codes = [answer.status_code for answer in answers]
    assert sorted(codes) == [200, 409], [answer.text for answer in answers]
    first = codes.index(200)
    won, lost = answers[first].json(), answers[1 - first].json()
    assert lost["type"] == f"/problems/{slug}"
    assert lost["winner"] == {"id": runners[first].id, "name": runners[first].name}
    return won, lost, runners[first]


async def one_race(desk: Desk, number: int) -> None:
    """A claim, then a completion, each by both, each with the version that both have read."""
    task, runners = await desk.opened(fields={"member": f"Isla Morgan {number}"}), (MARIA, DESK)

    answers = await race(*(desk.tries(task, "claim", by=each) for each in runners))
    claimed, lost, winner = won_and_lost(answers, runners, "already-claimed")
    assert claimed["owner"]["id"] == winner.id
    assert (lost["state"], lost["outcome"]) == ("claimed", None)

    outcomes = {MARIA.id: "arrived", DESK.id: "no_show"}
    answers = await race(*(desk.tries(claimed, "complete", {"code": outcomes[each.id]}, by=each) for each in runners))
    completed, lost, winner = won_and_lost(answers, runners, "already-ended")
    assert completed["outcome"]["code"] == lost["outcome"] == outcomes[winner.id]
    assert completed["ended"]["by"]["id"] == winner.id
    assert lost["at"][:19] == completed["ended"]["at"][:19]
    assert completed["version"] == 3


async def test_of_two_at_one_barrier_one_does_it_and_the_other_hears_who(desk: Desk) -> None:
    for first in range(0, RACES, AT_ONCE):
        await asyncio.gather(*(one_race(desk, number) for number in range(first, first + AT_ONCE)))

    changes = await desk.service.rows("SELECT change, count(*) FROM tasks.task_history GROUP BY 1 ORDER BY 1")
    assert changes == [("claimed", RACES), ("completed", RACES), ("opened", RACES)]
    told = await desk.told()
    assert len(told) == 3 * RACES, "each change is told once: whoever follows it up does so once"


async def test_the_loser_is_told_so_although_its_version_is_stale_by_then(desk: Desk) -> None:
    task = await desk.opened()
    claimed = await desk.does(task, "claim", by=DESK)

    late = await desk.tries(task, "claim", version=task["version"])
    assert (late.status_code, late.json()["winner"]["name"]) == (409, "Front desk")

    again = await desk.tries(task, "claim", by=DESK, version=task["version"])
    assert (again.status_code, again.json()["version"]) == (200, claimed["version"]), "it is so already"

    stale = await desk.tries(task, "set-priority", {"priority": "high"}, version=task["version"])
    assert (stale.status_code, stale.json()["version"]) == (412, 2)
