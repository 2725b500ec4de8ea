"""Wait on state, never for time."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, overload

T = TypeVar("T")


@overload
async def eventually(
    look: Callable[[], Awaitable[T]], holds: Callable[[T], bool] = bool, *, timeout_seconds: float = 90.0
) -> T: ...


@overload
async def eventually(
    look: Callable[[], T], holds: Callable[[T], bool] = bool, *, timeout_seconds: float = 90.0
) -> T: ...


async def eventually(
    look: Callable[[], Any], holds: Callable[[Any], bool] = bool, *, timeout_seconds: float = 90.0
) -> Any:
    """Look again and again until what is seen holds; returns it. Fails with the last state that was seen."""
    deadline = time.monotonic() + timeout_seconds
    while True:
        seen = look()
        state = await seen if inspect.isawaitable(seen) else seen
        if holds(state):
            return state
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout_seconds:g} s; last seen: {state!r}")
        await asyncio.sleep(0.02)
