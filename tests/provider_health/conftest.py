"""The provider-health service as its tests run it, and stand-ins for everybody whom it looks at."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from tests.provider_health.looking import Health, StandIn, health_of, standing_in
from tests.support.infrastructure import TemporaryDatabase


@pytest.fixture
async def stands() -> AsyncIterator[tuple[StandIn, StandIn, StandIn]]:
    """Stripe, GoCardless and a door of ours."""
    async with standing_in() as stripe, standing_in() as gocardless, standing_in() as door:
        yield stripe, gocardless, door


@pytest.fixture
async def health(
    database_for: Callable[..., Awaitable[TemporaryDatabase]],
    kafka: str,
    topic_prefix: str,
    tmp_path: Path,
    stands: tuple[StandIn, StandIn, StandIn],
) -> AsyncIterator[Health]:
    """The whole service in this process."""
    database = await database_for("provider-health")
    async with health_of(database, kafka, topic_prefix, tmp_path / "clock.json", stands) as started:
        yield started
