"""One process, three origins: the Stripe API, the GoCardless API and the control origin, each on a port of its own."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from typing import Final

import uvicorn
from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.types import ASGIApp, Receive, Scope, Send

from simulator import control
from simulator.gocardless import api as gocardless_api
from simulator.settings import Settings, documentation, unknown_settings
from simulator.stripe import api as stripe_api
from simulator.world import World

_BACKLOG: Final = 512
_STOP_SECONDS: Final = 5
_SETTINGS_WRONG: Final = 2


class Origins:
    """One ASGI application that answers each listening port with the application of that origin."""

    def __init__(self, by_port: dict[int, ASGIApp], lifespan: ASGIApp) -> None:
        self._by_port, self._lifespan = by_port, lifespan

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = self._lifespan if scope["type"] == "lifespan" else self._by_port[scope["server"][1]]
        await app(scope, receive, send)


def main(arguments: list[str] | None = None) -> int:
    """Run the simulator until it is told to stop; the exit code is 2 for settings that mean nothing."""
    parser = argparse.ArgumentParser(
        prog="simulator",
        description=__doc__,
        epilog=f"settings, from the environment:\n\n{documentation()}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.parse_args(arguments)
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    try:
        unknown = unknown_settings()
        if unknown:
            raise ValueError(f"unknown settings: {', '.join(unknown)}")
        settings = Settings()
        sockets = listen(settings)
        world = World(settings)
    except ValidationError as error:
        first = error.errors()[0]
        place = "_".join(str(part) for part in first["loc"][:1]).upper()
        return _refuse(f"SIMULATOR_{place}: {first['msg']}" if place else first["msg"])
    except (ValueError, OSError) as error:
        return _refuse(str(error))
    serve(world, sockets)
    return 0


def listen(settings: Settings) -> dict[str, socket.socket]:
    """Bind the three ports. Raises OSError that names the port which is taken."""
    ports = {"control": settings.control_port, "stripe": settings.stripe_port, "gocardless": settings.gocardless_port}
    sockets = {}
    for origin, port in ports.items():
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((settings.host, port))
        except OSError as error:
            raise OSError(f"{origin}: cannot listen on {settings.host}:{port}: {error.strerror}") from None
        listener.listen(_BACKLOG)
        sockets[origin] = listener
    return sockets


def serve(world: World, sockets: dict[str, socket.socket]) -> None:
    """Answer on the three ports until SIGINT or SIGTERM. Prints the origins as one line of JSON once they answer."""
    origins = {name: f"http://{one.getsockname()[0]}:{one.getsockname()[1]}" for name, one in sockets.items()}

    def announce() -> None:
        sys.stdout.write(json.dumps(origins) + "\n")
        sys.stdout.flush()

    config = uvicorn.Config(
        application(world, sockets, announce),
        access_log=False,
        log_config=None,
        timeout_graceful_shutdown=_STOP_SECONDS,
        lifespan="on",
    )
    uvicorn.Server(config).run(sockets=list(sockets.values()))


def application(world: World, sockets: dict[str, socket.socket], announce: Callable[[], None]) -> Origins:
    """Return the application behind the three ports; `announce` is called when the simulator is ready."""

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with world.dispatcher.running():
            running = asyncio.create_task(world.run())
            running.add_done_callback(_complain)
            announce()
            try:
                yield
            finally:
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)
        world.save()

    apps: dict[str, ASGIApp] = {
        "control": Starlette(routes=control.routes(world), lifespan=lifespan),
        "stripe": Starlette(routes=stripe_api.routes(world)),
        "gocardless": Starlette(routes=gocardless_api.routes(world)),
    }
    return Origins({sockets[name].getsockname()[1]: app for name, app in apps.items()}, apps["control"])


def _complain(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and task.exception() is not None:
        logging.getLogger(__name__).error("the providers' clock has stopped, so this ends", exc_info=task.exception())
        signal.raise_signal(signal.SIGTERM)


def _refuse(sentence: str) -> int:
    sys.stderr.write(f"simulator: {sentence}\n")
    return _SETTINGS_WRONG
