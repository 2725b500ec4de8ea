"""A service whose messages were set aside and whose keys are parked, for the operator who brings them back."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import orjson
from chassis import dead_letters
from chassis.database import Database
from chassis.dead_letters import DeadLetter, Letter, Retrier
from chassis.letters_http import dead_letters_router
from chassis.outbox_http import outbox_router
from chassis.telemetry import logs
from chassis.transaction import Transaction
from chassis.web import WebState, application
from sqlalchemy import text

from tests.support import specimen
from tests.support.consuming import SCHEMA, note, open_database, settings_for
from tests.support.infrastructure import TemporaryDatabase

READ, WRITE = "dead-letters:read", "dead-letters:write"
WORKER = "payments.worker"


@dataclass
class Operated:
    """The service, somebody who calls it, and a look at what was committed. `broken` says what fails in its worker."""

    database: Database
    http: httpx.AsyncClient
    signer: specimen.Signer
    broken: list[Exception] = field(default_factory=list)

    async def call(self, method: str, path: str, *scopes: str, **more: Any) -> httpx.Response:
        return await self.http.request(method, path, headers=self.signer.headers(*(scopes or (READ, WRITE))), **more)

    async def get(self, path: str, **parameters: Any) -> Any:
        answer = await self.call("GET", path, params=parameters)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def pages(self, path: str, **parameters: Any) -> list[list[Any]]:
        """Every page of a list, by its cursors."""
        found: list[list[Any]] = []
        cursor: dict[str, str] = {}
        while not found or cursor:
            page = await self.get(path, **parameters, **cursor)
            found.append(page["items"])
            cursor = {} if page["next"] is None else {"cursor": page["next"]}
        return found

    async def set_aside(self, message: bytes, *, consumer: str = WORKER) -> str:
        letter = Letter(
            consumer=consumer,
            pointer="pending/1",
            message=message,
            error=ValueError("wrong"),
            key=b"\xff",
            headers=[("trace", b"\x00"), ("null", None)],
        )
        async with self.database.transaction() as tx:
            return await dead_letters.add(tx, SCHEMA, letter)

    async def rows(self, query: str) -> list[tuple[Any, ...]]:
        async with self.database.reading() as tx:
            return [tuple(row) for row in await tx.connection.execute(text(query))]

    async def events(self, event_type: str) -> list[dict[str, Any]]:
        """The events of a type in the outbox, oldest first."""
        values = [orjson.loads(value) for (value,) in await self.rows(f"SELECT value FROM {SCHEMA}.outbox ORDER BY id")]
        return [value for value in values if value["type"] == event_type]


@asynccontextmanager
async def operated(given: TemporaryDatabase) -> AsyncIterator[Operated]:
    logs.configure("payments", None, "info", io.StringIO())
    database, signer, broken = open_database(given.url_for(SCHEMA)), specimen.Signer(), list[Exception]()

    async def again(tx: Transaction, letter: DeadLetter) -> None:
        await note(tx, letter.id, letter.message.decode(errors="replace"))
        if broken:
            raise broken[0]

    retriers: dict[str, Retrier] = {WORKER: again}
    state = WebState(database, signer.verifier, settings_for(given.url_for(SCHEMA), "127.0.0.1:9092", ""))
    app = application("payments", routers=[dead_letters_router(SCHEMA, retriers), outbox_router(SCHEMA)], state=state)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://payments") as http:
        yield Operated(database, http, signer, broken)
    await database.close()
