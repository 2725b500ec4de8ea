"""An operator looks through what was set aside, mends the cause, and brings it back."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from uuid import UUID

import pytest

from tests.chassis.notes_service import is_problem
from tests.chassis.operating import READ, WORKER, WRITE, Operated, operated
from tests.support.consuming import SCHEMA
from tests.support.infrastructure import TemporaryDatabase

NOBODY = UUID(int=0)


@pytest.fixture
async def service(laid_database: TemporaryDatabase) -> AsyncIterator[Operated]:
    async with operated(laid_database) as made:
        yield made


async def test_pages_run_from_the_newest_to_the_oldest_without_gaps(service: Operated) -> None:
    ids = [await service.set_aside(b"%d" % number) for number in range(7)]

    pages = await service.pages("/dead-letters", limit=3)

    assert [len(page) for page in pages] == [3, 3, 1]
    assert [item["id"] for page in pages for item in page] == ids[::-1]
    assert "message_base64" not in pages[0][0]


async def test_letters_are_found_by_state_and_consumer(service: Operated) -> None:
    ours, other = await service.set_aside(b"1"), await service.set_aside(b"2", consumer="another")
    assert (await service.call("POST", f"/dead-letters/{ours}/retry")).status_code == 200

    async def found(**filters: str) -> list[str]:
        return [item["id"] for item in (await service.get("/dead-letters", **filters))["items"]]

    assert await found(state="open") == [other]
    assert await found(state="retried") == [ours]
    assert await found(consumer=WORKER) == [ours]
    assert await found() == [other, ours]


async def test_one_letter_is_shown_with_its_exact_bytes(service: Operated) -> None:
    readable, binary = await service.set_aside("Zahlung ü".encode()), await service.set_aside(bytes(range(256)))

    first, second = await service.get(f"/dead-letters/{readable}"), await service.get(f"/dead-letters/{binary}")

    assert (first["text"], second["text"]) == ("Zahlung ü", None)
    assert base64.b64decode(second["message_base64"]) == bytes(range(256))
    assert base64.b64decode(second["key_base64"]) == b"\xff"
    assert second["headers_base64"] == [["trace", "AA=="], ["null", None]]


async def test_a_letter_is_brought_back_once_and_it_is_told_who_did_it(service: Operated) -> None:
    letter = await service.set_aside(b"pay_1")

    answers = [(await service.call("POST", f"/dead-letters/{letter}/retry")).json() for _ in range(2)]

    assert answers == [{"id": letter, "state": "retried", "attempts": 1, "reason": None}] * 2
    assert await service.rows(f"SELECT note FROM {SCHEMA}.effects") == [("pay_1",)]
    (told,) = await service.events("message.retried")
    assert told["data"]["actor"]["name"] == "Maria Rossi"
    assert (told["data"]["before"], told["data"]["after"]) == (
        {"state": "open", "attempts": 0},
        {"state": "retried", "attempts": 1},
    )


async def test_what_is_still_wrong_stays_open_with_the_newest_reason(service: Operated) -> None:
    letter = await service.set_aside(b"pay_1")
    service.broken.append(KeyError("still wrong"))

    answer = await service.call("POST", f"/dead-letters/{letter}/retry")

    assert answer.json() == {"id": letter, "state": "open", "attempts": 1, "reason": "KeyError: 'still wrong'"}
    assert await service.rows(f"SELECT note FROM {SCHEMA}.effects") == []
    assert (await service.get(f"/dead-letters/{letter}"))["reason"] == "KeyError: 'still wrong'"
    (told,) = await service.events("message.retried")
    assert told["data"]["reason"] == "KeyError: 'still wrong'"


async def test_what_nobody_handles_any_more_is_a_conflict_and_stays_as_it_was(service: Operated) -> None:
    letter = await service.set_aside(b"pay_1", consumer="another")

    problem = is_problem(await service.call("POST", f"/dead-letters/{letter}/retry"), 409, "nobody-retries")

    assert problem["consumer"] == "another"
    assert (await service.get(f"/dead-letters/{letter}"))["attempts"] == 0
    assert await service.events("message.retried") == []


async def test_what_is_not_there_is_not_found(service: Operated) -> None:
    is_problem(await service.call("GET", f"/dead-letters/{NOBODY}"), 404, "not-found")
    is_problem(await service.call("POST", f"/dead-letters/{NOBODY}/retry"), 404, "not-found")
    is_problem(await service.call("GET", "/dead-letters/first"), 422, "invalid")


async def test_looking_and_bringing_back_are_two_scopes(service: Operated) -> None:
    letter = await service.set_aside(b"pay_1")

    is_problem(await service.call("POST", f"/dead-letters/{letter}/retry", READ), 403, "missing-scope")
    is_problem(await service.call("GET", "/dead-letters", WRITE), 403, "missing-scope")
    assert (await service.call("GET", "/dead-letters", READ)).status_code == 200
