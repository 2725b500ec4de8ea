"""Preparations of the books' operations: a month long ago is closed, and none that is not over."""

from __future__ import annotations

from tests.gateway.replay.calls import Call, before, makes
from tests.gateway.replay.world import World

SPAN = {"from": "2026-10-01", "to": "2026-10-31"}


@makes("period")
async def a_closed_month(world: World, call: Call) -> None:
    await world.ask("POST", "/v1/periods/2023-12/close")
    call.names["period"] = "2023-12"


@before("POST /v1/periods/{period}/close", problem="conflict")
async def one_that_lies_ahead(world: World, call: Call) -> None:
    call.names["period"] = "2199-12"


@before("GET /v1/periods/{period}", problem="not-found")
async def one_that_is_open(world: World, call: Call) -> None:
    call.names["period"] = "2199-12"


@before("GET /v1/reports/activity-statement", "GET /v1/reports/entries")
async def of_a_month(world: World, call: Call) -> None:
    call.query.update(SPAN)
