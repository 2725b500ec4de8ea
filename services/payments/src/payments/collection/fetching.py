"""Fetching: objects that facts name and nobody has described yet are read from their provider.

A GoCardless delivery carries neither amount nor customer, so every direct debit needs this. Two transactions with the
call between them: the first says that this process tries now, the second keeps the answer as an input for the
worker. A process that dies in between leaves a row that is due again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Final

import structlog
from chassis.clock import real_now
from chassis.database import Database, Wake
from chassis.ids import new_id
from chassis.poller import Poller
from chassis.sql import Part, Write
from chassis.transaction import Transaction
from sqlalchemy import text

from payments.collection.domain import Fetch
from payments.collection.objects import Key
from payments.providers.clients import ObjectNotReadError, ReadsObjects

log = structlog.get_logger()
_AT_ONCE: Final = 10
_TRYING_SECONDS: Final = 60
_BACK_OFF_SECONDS: Final = (2, 10, 60, 300, 1_800, 3_600)

_WANT = Part(
    """
    wanted_fetches AS (
        INSERT INTO payments.fetches AS held (key, why, due_at, attempts)
        SELECT key, why, CAST(:now AS timestamptz) + make_interval(secs => seconds), 0
        FROM unnest(CAST(:keys AS text[]), CAST(:whys AS text[]), CAST(:seconds AS integer[]))
            AS f (key, why, seconds)
        ORDER BY key
        ON CONFLICT (key) DO NOTHING
    )
    """
)
_WITHDRAW = Part(
    """
    withdrawn_fetches AS (DELETE FROM payments.fetches WHERE key = ANY(CAST(:keys AS text[])))
    """
)
_FORGET = text("DELETE FROM payments.fetches WHERE key = ANY(:keys)")
_CLAIM = text(
    """
    UPDATE payments.fetches
    SET attempts = attempts + 1, due_at = CAST(:now AS timestamptz) + make_interval(secs => :trying)
    WHERE key IN (
        SELECT key FROM payments.fetches WHERE due_at <= :now ORDER BY due_at LIMIT :limit FOR UPDATE SKIP LOCKED
    )
    RETURNING key, attempts
    """
)
_FAILED = text(
    """
    UPDATE payments.fetches SET last_error = :told, due_at = CAST(:now AS timestamptz) + make_interval(secs => :wait)
    WHERE key = :key
    """
)
_KEEP = text("INSERT INTO payments.fetched_objects (id, key, read_at, body) VALUES (:id, :key, :now, :body)")
_QUEUE = text("INSERT INTO payments.pending_events (kind, fetched_id, received_at) VALUES ('fetched', :id, :now)")


@dataclass(frozen=True, slots=True)
class Due:
    """An object whose turn it is, for the how-manieth time."""

    key: Key
    attempts: int


def want(fetches: Sequence[Fetch]) -> Iterator[Write]:
    """Ask for objects; one that is asked for already keeps its turn."""
    if fetches:
        given = {"keys": [f.key.text for f in fetches], "whys": [f.why for f in fetches]}
        yield _WANT, {**given, "seconds": [f.after_seconds for f in fetches], "now": real_now()}


def withdraw(keys: Collection[Key]) -> Iterator[Write]:
    """Ask no longer for objects: what they would have told arrived by itself."""
    if keys:
        yield _WITHDRAW, {"keys": sorted(key.text for key in keys)}


async def keep(tx: Transaction, key: Key, body: bytes, *, at: datetime) -> None:
    """Keep what a provider answered about an object, read `at`, as an input for the worker."""
    fetched_id = new_id()
    await tx.connection.execute(_KEEP, {"id": fetched_id, "key": key.text, "now": at, "body": body})
    await tx.connection.execute(_QUEUE, {"id": fetched_id, "now": at})
    await tx.connection.execute(_FORGET, {"keys": [key.text]})


class Fetcher(Poller):
    """Reads what is due, for as long as the process lives."""

    name: ClassVar[str] = "payments.fetcher"

    def __init__(self, database: Database, clients: ReadsObjects, *, poll_seconds: float, fetched: Wake) -> None:
        """`fetched` is set whenever there is something new for the worker; the clients are closed with this part."""
        super().__init__()
        self.idle_seconds = poll_seconds
        self._database = database
        self._clients = clients
        self._fetched = fetched

    async def close(self) -> None:
        """Close the clients."""
        await self._clients.aclose()

    async def step(self) -> int:
        """Read everything that is due now, side by side; returns how many objects that were.

        Ends when the last of them has ended. Raises the first error of one whose outcome could not be kept.
        """
        async with self._database.transaction() as tx:
            given = {"now": real_now(), "trying": _TRYING_SECONDS, "limit": _AT_ONCE}
            rows = await tx.connection.execute(_CLAIM, given)
            due = [Due(Key.parse(row.key), row.attempts) for row in rows]
        for ended in await asyncio.gather(*(self._fetch(each) for each in due), return_exceptions=True):
            if ended is not None:
                raise ended
        return len(due)

    async def _fetch(self, due: Due) -> None:
        try:
            body = await self._clients.read(due.key)
        except ObjectNotReadError as error:
            await self._failed(due, error.told)
            return
        except Exception as error:
            # Something about this one object: it is tried again ever more seldom, and the others go on.
            log.exception("fetcher.broke", key=due.key.text)
            await self._failed(due, type(error).__name__)
            return
        async with self._database.transaction() as tx:
            await keep(tx, due.key, body, at=real_now())
        self._fetched.set()

    async def _failed(self, due: Due, told: str) -> None:
        wait = _BACK_OFF_SECONDS[min(due.attempts, len(_BACK_OFF_SECONDS)) - 1]
        log.warning("fetcher.not_read", key=due.key.text, attempts=due.attempts, told=told, wait_seconds=wait)
        async with self._database.transaction() as tx:
            given = {"told": told, "wait": wait, "key": due.key.text, "now": real_now()}
            await tx.connection.execute(_FAILED, given)
