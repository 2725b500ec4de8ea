"""Services behind the door: which process is asked, how long one waits, and what is said when nobody answers."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
from chassis.tokens import Minter
from chassis.web import RequestContext
from gateway.upstream import Answer, Limits, Unavailable, Upstream, Upstreams, as_itself

from tests.gateway.behind import NOBODY_LISTENS, Standing, listening, replying
from tests.support.services import PRIVATE_KEY

LIMITS = Limits(timeout_seconds=0.6, connect_timeout_seconds=0.3, max_connections=8, body_max_bytes=10_000)
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def asked(*urls: str, limits: Limits = LIMITS) -> AsyncIterator[Upstream]:
    upstream = Upstream("tasks", urls, limits)
    try:
        yield upstream
    finally:
        await upstream.close()


@asynccontextmanager
async def wire(serve: Serve) -> AsyncIterator[str]:
    """A server that speaks below HTTP."""
    writers: list[asyncio.StreamWriter] = []

    async def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        await serve(reader, writer)

    server = await asyncio.start_server(accepted, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        for writer in writers:
            writer.close()
        server.close()
        await server.wait_closed()


async def says_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


async def breaks_off(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
    await writer.drain()
    writer.close()


async def drips(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Sends a byte whenever it is asked for one more, and never ends."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9000\r\n\r\n")
    await writer.drain()
    await reader.read()


async def speaks_nonsense(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"SSH-2.0-OpenSSH_9.2p1\r\n")
    await writer.drain()
    writer.close()


@pytest.mark.parametrize("serve", [says_nothing, breaks_off, drips, speaks_nonsense])
async def test_a_service_that_does_not_answer_properly_is_unavailable_in_time(serve: Serve) -> None:
    async with wire(serve) as url, asked(url) as tasks, asyncio.timeout(5):
        outcome = await tasks.ask("GET", "/tasks", {})

    assert isinstance(outcome, Unavailable)
    assert outcome.service == "tasks"


async def test_a_service_that_is_not_there_is_unavailable_at_once() -> None:
    async with asked(NOBODY_LISTENS) as tasks:
        assert await tasks.ask("POST", "/tasks", {}, b"{}") == Unavailable("tasks", "cannot be reached")


async def test_an_answer_beyond_the_limit_is_none() -> None:
    async with listening(replying(200, b"x" * 20_000)) as url, asked(url) as tasks:
        outcome = await tasks.ask("GET", "/tasks", {})

    assert outcome == Unavailable("tasks", "answers with more than 10000 bytes", sent=True)


@pytest.mark.parametrize("first", ["nobody", says_nothing, breaks_off, "unready"])
async def test_a_read_is_asked_of_the_next_process(first: Any) -> None:
    good = replying(200, b'{"good":true}')
    async with AsyncExitStack() as stack:
        url = NOBODY_LISTENS
        if first == "unready":
            url = await stack.enter_async_context(listening(replying(503)))
        elif first != "nobody":
            url = await stack.enter_async_context(wire(first))
        other = await stack.enter_async_context(listening(good))
        tasks = await stack.enter_async_context(asked(url, other))
        for _ in range(4):
            outcome = await tasks.ask("GET", "/tasks", {})
            assert isinstance(outcome, Answer)
            assert outcome.json() == {"good": True}


async def test_a_write_goes_on_to_the_next_process_only_while_it_was_not_sent() -> None:
    good = replying(200)
    async with listening(good) as url, asked(NOBODY_LISTENS, url) as tasks:
        for _ in range(2):
            assert isinstance(await tasks.ask("POST", "/tasks", {}, b"{}"), Answer)
    assert len(good.seen) == 2

    async with listening(good) as url, wire(breaks_off) as broken, asked(url, broken) as tasks:
        outcome = await tasks.ask("POST", "/tasks", {}, b"{}")
    assert outcome == Unavailable("tasks", "broke off its answer", sent=True)
    assert len(good.seen) == 2, "nobody knows whether it was done: it is not done again"


async def test_a_process_that_has_just_failed_is_asked_last() -> None:
    good, unready = replying(200), replying(503)
    async with listening(good) as one, listening(unready) as other, asked(one, other) as tasks:
        for _ in range(6):
            assert isinstance(await tasks.ask("GET", "/tasks", {}), Answer)

    assert (len(good.seen), len(unready.seen)) == (6, 1)


async def test_processes_that_are_well_take_turns() -> None:
    one, other = replying(200), replying(200)
    async with listening(one) as a, listening(other) as b, asked(a, b) as tasks:
        for _ in range(6):
            await tasks.ask("GET", "/tasks", {})

    assert (len(one.seen), len(other.seen)) == (3, 3)


@pytest.mark.parametrize("status", [200, 404, 409, 412, 422, 500])
async def test_what_a_service_answers_is_an_answer(status: int) -> None:
    async with listening(replying(status, b'{"a":1}', etag='"4"')) as url, asked(url) as tasks:
        outcome = await tasks.ask("GET", "/tasks", {})

    assert isinstance(outcome, Answer)
    assert (outcome.status, outcome.headers["etag"], outcome.json()) == (status, '"4"', {"a": 1})


async def test_a_process_that_was_started_again_is_asked_over_a_new_connection() -> None:
    good = replying(200)
    async with AsyncExitStack() as stack:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            url = f"http://127.0.0.1:{free.getsockname()[1]}"
        tasks = await stack.enter_async_context(asked(url))
        for _ in range(2):
            async with listening(good, port=int(url.rpartition(":")[2])):
                assert isinstance(await tasks.ask("POST", "/tasks", {}, b"{}"), Answer)


async def test_the_gateway_may_ask_in_its_own_name() -> None:
    standing: Standing = replying(200)
    context = RequestContext("request-0001", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
    async with (
        listening(standing) as url,
        Upstreams({"tasks": [url]}, LIMITS, Minter(PRIVATE_KEY), {}) as upstreams,
    ):
        await upstreams.get("tasks", "/tasks", as_itself("tasks:read"), context, params={"text": "Mark & Isla"})

    assert standing.seen[0]["query"] == "text=Mark+%26+Isla"
    assert standing.seen[0]["headers"]["traceparent"] == context.traceparent
