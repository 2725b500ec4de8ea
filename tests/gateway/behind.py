"""What stands behind the gateway in its tests: services over real sockets, and a gateway told where they are."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import httpx
import uvicorn
from chassis.service import Runtime
from contracts.envelope import RawEvent
from contracts.registry import decode
from contracts.roles import Role
from gateway.door import Door
from gateway.local_issuer import STAFF, LocalIssuer
from gateway.main import service
from gateway.settings import UPSTREAMS, GatewaySettings
from sqlalchemy import text
from starlette.types import ASGIApp

from tests.support.infrastructure import TemporaryDatabase
from tests.support.services import PRIVATE_KEY, PUBLIC_KEY
from tests.support.specimen import key_pair

ISSUER_KEY, _ = key_pair()
SECRET: Final = "a secret for the sessions of tests only"
NOBODY_LISTENS: Final = "http://127.0.0.1:9"


@asynccontextmanager
async def listening(app: ASGIApp, port: int = 0) -> AsyncIterator[str]:
    """Serve `app` on a socket of its own; yields its address."""
    # The protocol has to be named: without it asyncio leaves Nagle on, and every answer takes 40 ms longer.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        server = uvicorn.Server(
            uvicorn.Config(app, lifespan="off", log_config=None, access_log=False, timeout_graceful_shutdown=1)
        )
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            await serving


@dataclass(slots=True)
class Standing:
    """A service that answers as it is told: what a door passes on is looked at here, not what services do with it."""

    reply: Callable[[str, str], tuple[int, Mapping[str, str], bytes]]
    seen: list[dict[str, Any]] = field(default_factory=list)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        self.seen.append(
            {
                "method": scope["method"],
                "path": scope["raw_path"].decode(),
                "query": scope["query_string"].decode(),
                "headers": headers,
                "body": body,
            }
        )
        status, given, answer = self.reply(scope["method"], scope["path"])
        sent = [(name.encode(), value.encode()) for name, value in given.items()]
        await send({"type": "http.response.start", "status": status, "headers": sent})
        await send({"type": "http.response.body", "body": answer})


@dataclass(frozen=True, slots=True)
class Gateway:
    """A gateway that runs, and whoever calls it."""

    runtime: Runtime[GatewaySettings]
    http: httpx.AsyncClient
    app: ASGIApp

    @property
    def door(self) -> Door:
        assert isinstance(self.runtime.resources, Door)
        return self.runtime.resources

    def token(self, role: Role = "owner") -> str:
        return LocalIssuer(ISSUER_KEY).token(STAFF[role], [role])

    async def told(self) -> list[RawEvent]:
        """The events that wait in the outbox, in their order."""
        async with self.runtime.database.reading() as tx:
            rows = await tx.connection.execute(text("SELECT value FROM gateway.outbox ORDER BY id"))
            return [decode(row.value) for row in rows]

    async def call(self, method: str, path: str, *, role: Role | None = "owner", **given: Any) -> httpx.Response:
        """A request by somebody who holds `role`; by nobody where that is None."""
        named = {} if role is None else {"Authorization": f"Bearer {self.token(role)}"}
        return await self.http.request(method, path, headers=named | given.pop("headers", {}), **given)


@asynccontextmanager
async def a_gateway(database: TemporaryDatabase, **settings: Any) -> AsyncIterator[Gateway]:
    """Run the gateway without its relay; services that are not named are away."""
    given: dict[str, Any] = {
        **{f"{name.replace('-', '_')}_url": NOBODY_LISTENS for name in UPSTREAMS},
        "database_url": database.url_for("gateway"),
        "kafka_bootstrap_servers": "127.0.0.1:9",
        "relay": False,
        # A machine may stand still for longer than staff would wait; where the limit is tested it is given.
        "upstream_timeout_seconds": 30,
        "upstream_connect_timeout_seconds": 30,
        "token_private_key": PRIVATE_KEY,
        "token_public_keys": PUBLIC_KEY,
        "session_secret": SECRET,
        "local_issuer_private_key": ISSUER_KEY,
        **settings,
    }
    given = {name: value for name, value in given.items() if value is not None}
    async with Runtime(service, GatewaySettings.model_validate(given)) as runtime:
        application = runtime.application()
        async with (
            runtime.running(),
            httpx.AsyncClient(transport=httpx.ASGITransport(application), base_url="http://gateway") as http,
        ):
            yield Gateway(runtime, http, application)


def replying(status: int = 200, body: bytes = b"{}", **headers: str) -> Standing:
    """A service that always answers the same."""
    said = {"content-type": "application/json", **{name.replace("_", "-"): value for name, value in headers.items()}}
    return Standing(lambda method, path: (status, said, body))


def urls(addresses: Sequence[str]) -> str:
    return ",".join(addresses)
