"""A small web service that counts, for the tests of keys and versions: what is done twice is seen at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta

import httpx
from chassis import versions
from chassis.database import Database
from chassis.web import CONFLICT, IfMatch, Listed, Page, Problem, ReadTx, Tx, WebState, application, documents
from contracts.envelope import Actor
from contracts.events import MemberUpdated
from fastapi import APIRouter
from pydantic import BaseModel
from sqlalchemy import text

from tests.chassis.notes_service import settings_for
from tests.support import specimen
from tests.support.infrastructure import TemporaryDatabase

READ, WRITE = "counters:read", "counters:write"


class Add(BaseModel):
    amount: int = 1


class CounterView(BaseModel):
    name: str
    amount: int
    version: int


@dataclass
class Behaviour:
    """What happens in the middle of an addition: it may wait for `go`, or lose its connection once."""

    entered: asyncio.Event = field(default_factory=asyncio.Event)
    go: asyncio.Event = field(default_factory=asyncio.Event)
    waits: bool = False
    crashes: int = 0
    answer_bytes: int = 0


def counters(behaviour: Behaviour) -> APIRouter:
    """Counters are notes with an amount; an amount of more than 99 is refused after it was written."""
    router = APIRouter(tags=["counters"])

    @router.post(
        "/counters/{name}/add",
        **documents(
            scope=WRITE,
            audit=MemberUpdated,
            limit="write",
            request=Add(amount=2),
            example=CounterView(name="Emma", amount=2, version=2),
            problems=[(CONFLICT, "Too much."), Problem.not_found("counter", "Emma")],
            status=201,
        ),
    )
    async def add(name: str, given: Add, tx: Tx) -> CounterView:
        row = await tx.connection.execute(
            text("INSERT INTO specimen.notes (name, amount) VALUES (:name || gen_random_uuid(), :amount) RETURNING id"),
            {"name": name, "amount": given.amount},
        )
        tx.emit(specimen.a_change())
        if behaviour.waits:
            behaviour.entered.set()
            await behaviour.go.wait()
        if behaviour.crashes:
            behaviour.crashes -= 1
            await tx.connection.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))
        if given.amount > 99:
            raise Problem(CONFLICT, "Too much.")
        return CounterView(name=name + "x" * behaviour.answer_bytes, amount=given.amount, version=row.scalar_one())

    @router.post("/counters/{name}/set", **documents(scope=WRITE, audit=MemberUpdated, limit="write"))
    async def set_amount(name: str, given: Add, expected: IfMatch, tx: Tx) -> CounterView:
        versions.require("counter", name, expected=expected, version=3)
        return CounterView(name=name, amount=given.amount, version=4)

    @router.get("/counters", **documents(scope=READ))
    async def list_counters(tx: ReadTx, page: Page) -> Listed[CounterView]:
        rows = await tx.connection.execute(text("SELECT id, amount FROM specimen.notes ORDER BY id"))
        return page.listed(
            [CounterView(name="", amount=row.amount, version=row.id) for row in rows], key=lambda counter: 1
        )

    return router


@dataclass
class Counting:
    """The service, somebody who calls it, and a look at what was committed."""

    http: httpx.AsyncClient
    signer: specimen.Signer
    database: Database
    behaviour: Behaviour

    async def add(
        self,
        amount: int = 1,
        *,
        key: str | None = None,
        name: str = "Emma",
        by: Actor = specimen.MARIA,
        query: str = "",
    ) -> httpx.Response:
        headers = self.signer.headers(READ, WRITE, actor=by) | ({} if key is None else {"Idempotency-Key": key})
        return await self.http.post(f"/counters/{name}/add", json={"amount": amount}, headers=headers)

    async def set(self, if_match: str | None) -> httpx.Response:
        headers = self.signer.headers(WRITE) | ({} if if_match is None else {"If-Match": if_match})
        return await self.http.post("/counters/Emma/set", json={"amount": 5}, headers=headers)

    async def amounts(self) -> list[int]:
        async with self.database.reading() as tx:
            return list((await tx.connection.execute(text("SELECT amount FROM specimen.notes ORDER BY id"))).scalars())

    async def events(self) -> int:
        return await self.count("specimen.outbox")

    async def count(self, table: str) -> int:
        async with self.database.reading() as tx:
            return int((await tx.connection.execute(text(f"SELECT count(*) FROM {table}"))).scalar_one())

    async def age_keys(self, age: timedelta) -> None:
        """Make every key older; the role may insert and delete, never change."""
        moved = text(
            """
            WITH old AS (DELETE FROM specimen.idempotency_keys RETURNING *)
            INSERT INTO specimen.idempotency_keys
            SELECT caller, operation, key || '/old', fingerprint, status, headers, answer,
                created_at - CAST(:age AS interval)
            FROM old
            """
        )
        async with self.database.transaction() as tx:
            await tx.connection.execute(moved, {"age": age})


@asynccontextmanager
async def counting(given: TemporaryDatabase) -> AsyncIterator[Counting]:
    """The service with keys, over a fresh schema."""
    await specimen.make(given)
    url, signer, behaviour = given.url_for("specimen"), specimen.Signer(), Behaviour()
    database = specimen.opened(url)
    state = WebState(database, signer.verifier, settings_for(url), keeps_keys=True)
    app = application("specimen", routers=[counters(behaviour)], state=state)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://specimen") as http:
        yield Counting(http, signer, database, behaviour)
    await database.close()
