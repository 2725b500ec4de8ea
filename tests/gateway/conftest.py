"""The gateway for its tests: the real thing, in front of services that are real where it matters."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from tests.support.infrastructure import TemporaryDatabase


@pytest.fixture
def no_database() -> TemporaryDatabase:
    """A database that is away: the door needs none to let somebody in."""
    return TemporaryDatabase("postgresql://nobody@127.0.0.1:9/nowhere", "x")


@pytest.fixture
async def gateway_database(database_for: Callable[..., Awaitable[TemporaryDatabase]]) -> TemporaryDatabase:
    return await database_for("gateway")
