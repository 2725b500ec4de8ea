"""The tasks service as its tests run it, with Maria Rossi on the rota of Billing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from tasks.main import service

from tests.support.infrastructure import TemporaryDatabase
from tests.support.services import running
from tests.tasks.desk import ROTA, Desk


@pytest.fixture
async def desk(
    database_for: Callable[..., Awaitable[TemporaryDatabase]], kafka: str, topic_prefix: str, tmp_path: Path
) -> AsyncIterator[Desk]:
    """The whole service in this process, and somebody who calls it; `clock_file` moves its business time."""
    clock_file = tmp_path / "clock.json"
    async with running(
        service, await database_for("tasks"), kafka, topic_prefix, queue_owners=ROTA, clock_file=clock_file
    ) as started:
        yield Desk(started, clock_file)
