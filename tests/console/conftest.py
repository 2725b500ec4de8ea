"""The console for its tests: a gateway over a real socket, before services that answer as the board's tests tell them.

Chromium is the one thing that a machine may lack: where it does, CI fails and anybody else's run says what was left
out.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from playwright.async_api import Browser

from tests.console.browsing import a_browser
from tests.console.staging import Stage, a_stage
from tests.support.infrastructure import TemporaryDatabase

SHOTS = Path(__file__).resolve().parents[2] / "build" / "screenshots"


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with a_browser() as started:
        yield started


@pytest.fixture
async def stage(database_for: Callable[..., Awaitable[TemporaryDatabase]]) -> AsyncIterator[Stage]:
    async with a_stage(await database_for("gateway")) as made:
        yield made


@pytest.fixture
def shots() -> Path:
    """Where pictures of the pages go."""
    return SHOTS
