"""Evidence over HTTP: what a service measures about itself, for the readiness board.

`GET /evidence` takes every measure side by side, each on a connection of its own and all within one limit of time:
one that fails or is slow is absent from the answer, never zero and never the reason why another is. What every service
measures alike (its outbox, dead letters, lag, server errors, and what its process is) is here; the rest are functions
that the service names. Tested in tests/chassis/test_evidence.py.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import socket
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import orjson
import structlog
from contracts.evidence import Measurement
from fastapi import APIRouter, Request
from pydantic import SecretStr
from sqlalchemy import text

from chassis import outbox
from chassis.batch import describe
from chassis.clock import real_now
from chassis.database import Database
from chassis.runner import Runner
from chassis.settings import Settings
from chassis.transaction import Transaction
from chassis.version import source_version
from chassis.web import MISSING_SCOPE, UNAUTHENTICATED, CallerIdentity, documents, web_state
from chassis.web.recent import RecentAnswers
from contracts import evidence as measures

Measuring = Callable[[Transaction], Awaitable[Sequence[Measurement]]]
"""Measures something in a transaction that cannot write; raises where it cannot be measured."""

log = structlog.get_logger()
LIMIT_SECONDS: Final = 1.2
_CONNECTIONS_MAX: Final = 3
_ROUTES_MAX: Final = 20
_SHOWN_AT: Final = datetime(2026, 3, 2, 22, 15, tzinfo=UTC)
# Processes of one service differ in these and are told the same all the same.
_OF_ONE_PROCESS: Final = frozenset({"instance", "http_host", "http_port"})


@dataclass(frozen=True, slots=True)
class Process:
    """One process: its name among those of its service, what it runs, since when, and what it was told."""

    instance: str
    version: str
    started_at: datetime
    settings_digest: str

    @classmethod
    def of(cls, package: str, settings: Settings) -> Process:
        """This process, as it starts."""
        instance = settings.instance or f"{socket.gethostname()}-{os.getpid()}"
        return cls(instance, source_version(package), real_now(), settings_digest(settings))


def settings_digest(settings: Settings) -> str:
    """Twelve hexadecimal digits that differ where two processes were told something different; secrets left out."""
    told = {
        name: value
        for name, value in settings
        if not isinstance(value, SecretStr) and name not in _OF_ONE_PROCESS and value is not None
    }
    return hashlib.sha256(orjson.dumps(told, option=orjson.OPT_SORT_KEYS, default=str)).hexdigest()[:12]


class Evidence:
    """Everything that one process can measure of its service and of itself."""

    def __init__(
        self,
        database: Database,
        process: Process,
        recent: RecentAnswers,
        *,
        runners: Callable[[], Sequence[Runner]],
        sets_aside: bool = True,
        own: Sequence[Measuring] = (),
        limit_seconds: float = LIMIT_SECONDS,
    ) -> None:
        self._database = database
        self._process = process
        self._recent = recent
        self._runners = runners
        self._measurings = (*([self._dead_letters] if sets_aside else []), self._outbox, *own)
        self._limit_seconds = limit_seconds
        self._connections = asyncio.Semaphore(_CONNECTIONS_MAX)

    async def taken(self) -> list[Measurement]:
        """Everything that could be measured within the limit, sorted by name."""
        deadline = asyncio.get_running_loop().time() + self._limit_seconds
        found = await asyncio.gather(*(self._measured(each, deadline) for each in self._measurings))
        told = [*self._of_this_process(), *self._lags()]
        return sorted([*told, *(one for several in found for one in several)], key=lambda each: each.name)

    async def _measured(self, measuring: Measuring, deadline: float) -> Sequence[Measurement]:
        try:
            async with asyncio.timeout_at(deadline), self._connections, self._database.reading() as tx:
                return await measuring(tx)
        except Exception as error:  # whatever it is, this evidence is missing and the rest is not
            name = getattr(measuring, "__name__", type(measuring).__name__)
            log.warning("evidence.missing", measure=name, error=describe(error))
            return ()

    async def _dead_letters(self, tx: Transaction) -> Sequence[Measurement]:
        statement = text(f"SELECT count(*) FROM {self._database.schema}.dead_letters WHERE state = 'open'")
        count = (await tx.connection.execute(statement)).scalar_one()
        return [measures.DEAD_LETTERS_OPEN.reading(count, real_now(), detail_url="/dead-letters?state=open")]

    async def _outbox(self, tx: Transaction) -> Sequence[Measurement]:
        state, now = await outbox.measure(tx.connection, self._database.schema), real_now()
        return [
            measures.OUTBOX_DEPTH.reading(state.depth, now),
            measures.OUTBOX_OLDEST_AGE.reading(round(state.oldest_age_seconds, 1), now),
            measures.OUTBOX_PARKED_KEYS.reading(state.parked_keys, now, detail_url="/outbox/parked"),
        ]

    def _of_this_process(self) -> Iterator[Measurement]:
        now, process, answered = real_now(), self._process, self._recent.answered()
        yield measures.PROCESS_VERSION.reading(process.version, now, of=process.instance)
        yield measures.PROCESS_STARTED.reading(process.started_at.isoformat(), now, of=process.instance)
        yield measures.PROCESS_SETTINGS.reading(process.settings_digest, now, of=process.instance)
        yield measures.ANSWERS.reading(answered.answers, now, of=process.instance)
        yield measures.SERVER_ERRORS.reading(answered.server_errors, now, of=process.instance)
        worst = sorted(answered.by_route.items(), key=lambda each: (-each[1], each[0]))[:_ROUTES_MAX]
        for route, count in worst:
            yield measures.ROUTE_SERVER_ERRORS.reading(count, now, of=f"{process.instance} {route}")

    def _lags(self) -> Iterator[Measurement]:
        for runner in self._runners():
            state, subject = runner.state, f"{self._process.instance}/{runner.name}"
            if state.probed_at is not None:
                yield measures.CONSUMER_LAG_RECORDS.reading(state.lag_records, state.probed_at, of=subject)
                yield measures.CONSUMER_LAG.reading(round(state.lag_seconds, 1), state.probed_at, of=subject)


def evidence_router() -> APIRouter:
    """The endpoint `/evidence`."""
    router = APIRouter(tags=["evidence"])

    @router.get(
        "/evidence",
        **documents(
            scope="board:read",
            limit="read",
            example=[measures.OUTBOX_DEPTH.reading(0, _SHOWN_AT), measures.DEAD_LETTERS_OPEN.reading(0, _SHOWN_AT)],
            problems=[
                (UNAUTHENTICATED, "Send an internal token as `Authorization: Bearer`."),
                (MISSING_SCOPE, "This needs the scope board:read."),
            ],
        ),
    )
    async def list_evidence(request: Request, _: CallerIdentity) -> list[Measurement]:
        """What this process measures of its service and of itself; what could not be measured is absent."""
        return await web_state(request).evidence()

    return router
