"""The ground on which batches and consumers are tested."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.support.consuming import Ground, a_ground, lay_tables
from tests.support.infrastructure import Databases, TemporaryDatabase


@pytest.fixture
async def laid_template(databases: Databases) -> str:
    """The name of a database that holds the tables, to be copied."""
    return await databases.template("laid", lay_tables)


@pytest.fixture
async def laid_database(databases: Databases, laid_template: str) -> AsyncIterator[TemporaryDatabase]:
    """A database of the test's own that holds the tables."""
    database = await databases.create(laid_template)
    yield database
    await databases.drop(database)


@pytest.fixture
async def ground(laid_database: TemporaryDatabase, kafka: str, topic_prefix: str) -> AsyncIterator[Ground]:
    """One database and one prefix of topics, in which a test's consumers run."""
    async with a_ground(laid_database, kafka, topic_prefix) as made:
        yield made
