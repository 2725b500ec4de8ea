"""The audit service for its tests: a whole process' worth with Kafka, or its log alone."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from audit.main import service
from audit.settings import AuditSettings

from tests.audit.logs import Log, a_log
from tests.support.infrastructure import TemporaryDatabase
from tests.support.services import RunningService, running


@pytest.fixture
async def audit_database(database_for: Callable[..., Awaitable[TemporaryDatabase]]) -> TemporaryDatabase:
    return await database_for("audit")


@pytest.fixture
async def audit(
    audit_database: TemporaryDatabase, kafka: str, topic_prefix: str
) -> AsyncIterator[RunningService[AuditSettings]]:
    async with running(service, audit_database, kafka, topic_prefix) as started:
        yield started


@pytest.fixture
async def log(audit_database: TemporaryDatabase) -> AsyncIterator[Log]:
    """The log without Kafka: batches are given to the consumer as its reader gives them."""
    async with a_log(audit_database) as opened:
        yield opened
