"""What an exception means for whoever has to go on after it.

A *conflict* is another writer's doing: the same work, run again, may well succeed. An *infrastructure* fault says
nothing about the work at all: wait, then try again, for ever. Everything else is *poison*: the same input fails the
same way, so it must be set aside or it stops all that stands behind it.

The rules look at SQLSTATE first, wherever in the chain of causes it stands, because drivers and SQLAlchemy wrap one
error in another. Tested in tests/chassis/test_faults.py, against errors that a real PostgreSQL raised.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from enum import Enum
from typing import Final

import asyncpg
import sqlalchemy.exc
from aiokafka.errors import ConsumerStoppedError, KafkaError


class Fault(Enum):
    """What to do about an exception: run again, wait and run again, or set its input aside."""

    CONFLICT = "conflict"
    INFRASTRUCTURE = "infrastructure"
    POISON = "poison"


_CONFLICTS: Final = frozenset(
    {
        "23505",  # unique_violation: another writer was first
        "40000",  # transaction_rollback
        "40001",  # serialization_failure
        "40P01",  # deadlock_detected
        "55P03",  # lock_not_available: lock_timeout
    }
)
_INFRASTRUCTURE: Final = frozenset(
    {
        "25006",  # read_only_sql_transaction: the server has become a standby
        "25P03",  # idle_in_transaction_session_timeout
        "25P04",  # transaction_timeout
        "3D000",  # invalid_catalog_name: the database is not there, yet or any more
        "3F000",  # invalid_schema_name, and the four below: this service's migration has not run yet
        "42P01",  # undefined_table
        "42703",  # undefined_column
        "42883",  # undefined_function
        "42501",  # insufficient_privilege
        "40003",  # statement_completion_unknown
    }
)
# Connection, authorisation at connect, resources, operator intervention, system error, damaged files.
_INFRASTRUCTURE_CLASSES: Final = ("08", "28", "53", "57", "58", "XX001", "XX002")
_INFRASTRUCTURE_ERRORS: Final = (
    OSError,  # TimeoutError and every ConnectionError are OSErrors
    asyncio.IncompleteReadError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    KafkaError,
    ConsumerStoppedError,
    sqlalchemy.exc.TimeoutError,
    sqlalchemy.exc.DisconnectionError,
)


def classify(error: BaseException) -> Fault:
    """What `error` means: conflict, infrastructure or poison."""
    for link in _chain(error):
        sqlstate = getattr(link, "sqlstate", None)
        if isinstance(sqlstate, str):
            return _by_sqlstate(sqlstate)
        if isinstance(link, asyncpg.InterfaceError) and isinstance(link, ValueError):
            return Fault.POISON  # a complaint about the arguments of a statement, not about the connection
        if isinstance(link, _INFRASTRUCTURE_ERRORS) or getattr(link, "connection_invalidated", False):
            return Fault.INFRASTRUCTURE
    return Fault.POISON


def _by_sqlstate(sqlstate: str) -> Fault:
    if sqlstate in _CONFLICTS:
        return Fault.CONFLICT
    if sqlstate in _INFRASTRUCTURE or sqlstate.startswith(_INFRASTRUCTURE_CLASSES):
        return Fault.INFRASTRUCTURE
    return Fault.POISON


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error and what it was explicitly raised from; not what was merely being handled when it was raised."""
    seen: set[int] = set()
    pending: list[BaseException | None] = [error]
    while pending:
        link = pending.pop(0)
        if link is None or id(link) in seen:
            continue
        seen.add(id(link))
        yield link
        original = getattr(link, "orig", None)
        pending.append(original if isinstance(original, BaseException) else None)
        pending.append(link.__cause__)
