"""A small web service for the chassis' own tests, as services write them, and somebody who calls it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import Annotated, Any

import httpx
from chassis.settings import Settings
from chassis.web import Listed, Page, Problem, ProblemType, ReadTx, Tx, WebState, documents
from contracts.events import MemberUpdated
from fastapi import APIRouter, FastAPI, Query
from pydantic import BaseModel, Field
from sqlalchemy import text

from tests.support import specimen

ALREADY_CLOSED = ProblemType("already-closed", "The note is closed already", 409)
READ, WRITE = "notes:read", "notes:write"


class Note(BaseModel):
    name: str = Field(min_length=1, max_length=100_000)
    amount: Annotated[int, Field(strict=True)] = 0
    reason: str | None = None


class NoteView(BaseModel):
    id: int
    name: str


class Filters(BaseModel):
    name: Annotated[str | None, Query(description="The whole name")] = None


def notes() -> APIRouter:
    """A router as services write them."""
    router = APIRouter(tags=["notes"])

    @router.put("/notes", **documents(scope=WRITE, audit=MemberUpdated, limit="write"))
    async def put_note(note: Note, tx: Tx) -> NoteView:
        row = await tx.connection.execute(
            text("INSERT INTO specimen.notes (name, amount) VALUES (:name, :amount) RETURNING id"),
            {"name": note.name, "amount": note.amount},
        )
        tx.emit(replace(specimen.a_change(), reason=note.reason))
        return NoteView(id=row.scalar_one(), name=note.name)

    @router.post("/notes/{name}/close", **documents(scope=WRITE, audit=MemberUpdated, limit="write"))
    async def close_note(name: str, tx: Tx) -> NoteView:
        await tx.connection.execute(text("INSERT INTO specimen.notes (name) VALUES (:name)"), {"name": name})
        raise Problem(ALREADY_CLOSED, f"The note {name} is closed already.", note=name)

    @router.post("/notes/{name}/break", **documents(scope=WRITE, audit=MemberUpdated, limit="write"))
    async def break_note(name: str, tx: Tx) -> NoteView:
        await tx.connection.execute(text("INSERT INTO specimen.notes (name) VALUES (:name)"), {"name": name})
        raise RuntimeError("the secret reason is hunter2")

    @router.post("/notes/{name}/lie", **documents(scope=WRITE, audit=MemberUpdated, limit="write"))
    async def answer_with_something_else(name: str, tx: Tx) -> NoteView:
        await tx.connection.execute(text("INSERT INTO specimen.notes (name) VALUES (:name)"), {"name": name})
        return {"id": "no number", "name": name}  # type: ignore[return-value]

    @router.get("/notes", **documents(scope=READ))
    async def list_notes(tx: ReadTx, filters: Annotated[Filters, Query()], page: Page) -> Listed[NoteView]:
        rows = await tx.connection.execute(
            text(
                "SELECT id, name FROM specimen.notes"
                " WHERE id > :after AND (CAST(:name AS text) IS NULL OR name = :name) ORDER BY id LIMIT :most"
            ),
            {"after": page.after_int() or 0, "name": filters.name, "most": page.limit + 1},
        )
        return page.listed([NoteView(id=row.id, name=row.name) for row in rows], key=lambda note: note.id)

    @router.get("/notes/{note_id}", **documents(scope=READ))
    async def get_note(note_id: int, tx: ReadTx) -> NoteView:
        row = (
            await tx.connection.execute(text("SELECT id, name FROM specimen.notes WHERE id = :id"), {"id": note_id})
        ).one_or_none()
        if row is None:
            raise Problem.not_found("note", str(note_id))
        return NoteView(id=row.id, name=row.name)

    @router.get("/members/{name}", **documents(scope=READ))
    async def get_member(name: str, tx: ReadTx) -> Listed[str]:
        rows = await tx.connection.execute(text("SELECT name FROM specimen.notes WHERE name = :name"), {"name": name})
        return Listed(items=list(rows.scalars()), next=None)

    @router.delete("/notes", **documents(scope=READ))
    async def write_while_reading(tx: ReadTx) -> None:
        await tx.connection.execute(text("DELETE FROM specimen.notes"))

    @router.post("/notes/wait", **documents(scope=WRITE, audit=MemberUpdated, limit="write"))
    async def wait_for_ever(tx: Tx) -> None:
        await tx.connection.execute(text("INSERT INTO specimen.notes (name) VALUES ('half done')"))
        await asyncio.Event().wait()

    return router


@dataclass
class World:
    """The application, somebody who calls it, and a look at what was committed."""

    app: FastAPI
    http: httpx.AsyncClient
    signer: specimen.Signer
    state: WebState

    async def call(self, method: str, path: str, *scopes: str, **more: Any) -> httpx.Response:
        headers = {**self.signer.headers(*(scopes or (READ, WRITE))), **more.pop("headers", {})}
        return await self.http.request(method, path, headers=headers, **more)

    async def names(self) -> list[str]:
        async with self.state.database.reading() as tx:
            return list((await tx.connection.execute(text("SELECT name FROM specimen.notes ORDER BY id"))).scalars())

    async def events(self) -> list[dict[str, Any]]:
        async with self.state.database.reading() as tx:
            rows = await tx.connection.execute(
                text("SELECT convert_from(value, 'UTF8')::jsonb FROM specimen.outbox ORDER BY id")
            )
            return list(rows.scalars())


def settings_for(url: str, **more: str) -> Settings:
    return Settings.load(
        "specimen",
        {
            "SPECIMEN_DATABASE_URL": url,
            "SPECIMEN_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9092",
            **{f"SPECIMEN_{name.upper()}": value for name, value in more.items()},
        },
    )


def is_problem(answer: httpx.Response, status: int, slug: str) -> dict[str, Any]:
    """Assert that `answer` is such a problem, whole and well-formed; returns its members."""
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), answer.text
    content: dict[str, Any] = answer.json()
    assert content["type"] == f"/problems/{slug}"
    assert content["status"] == status
    assert content["title"]
    assert content["detail"].endswith(".")
    assert content["request_id"] == answer.headers["x-request-id"]
    return content
