"""How a provider's API answers while the dial says that it is out, or as it should; every call is noted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import Response

from simulator.faults import Faults
from simulator.http import BodyTooLargeError, read_body
from simulator.settings import Provider
from simulator.world import World

_OUT = "This service is temporarily unavailable."


async def answered(
    world: World,
    provider: Provider,
    request: Request,
    answer: Callable[[bytes], Response],
    refuse: Callable[[str, int], Response],
) -> Response:
    """Answer one call to a provider's API. `refuse` gives the provider's own form to a sentence and a status."""
    call, faults = world.calls.begin(provider, request), world.faults[provider]
    try:
        body = await read_body(request, world.settings.body_max_bytes)
    except BodyTooLargeError as error:
        return call.ended("answered", refuse(str(error), 413))
    outage = faults.dial.outage
    if not outage.api:
        return call.ended("answered", answer(body))
    if outage.how == "refuse":
        return call.ended("refused", refuse(_OUT, 503))
    if outage.how == "lose":
        answer(body)
    await _withheld(faults, request)
    return call.ended("lost" if outage.how == "lose" else "hung", refuse(_OUT, 503))


async def _withheld(faults: Faults, request: Request) -> None:
    """Wait until the outage is over or the caller has hung up."""
    waits = {asyncio.create_task(faults.api_back()), asyncio.create_task(_hung_up(request))}
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()


async def _hung_up(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
