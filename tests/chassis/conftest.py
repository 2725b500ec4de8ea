"""The ground on which consumers are tested."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.support.consuming import Ground, a_ground
from tests.support.infrastructure import TemporaryDatabase


@pytest.fixture
async def ground(fresh_database: TemporaryDatabase, kafka: str, topic_prefix: str) -> AsyncIterator[Ground]:
    async with a_ground(fresh_database, kafka, topic_prefix) as made:
        yield made
