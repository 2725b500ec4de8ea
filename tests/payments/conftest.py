"""The payments service as its tests run it, and providers that sign what they send."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from payments.main import service

from tests.payments.providers import NO_API, SECRETS, Payments
from tests.support.infrastructure import TemporaryDatabase
from tests.support.services import running


@pytest.fixture
async def payments(
    database_for: Callable[..., Awaitable[TemporaryDatabase]], kafka: str, topic_prefix: str
) -> AsyncIterator[Payments]:
    """The whole service in this process; its worker runs beside the test, `works` waits for it."""
    async with running(service, await database_for("payments"), kafka, topic_prefix, **SECRETS, **NO_API) as started:
        yield started
