"""The command line that every service has: `python -m payments serve|migrate|settings|openapi`, and its own."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import signal
import socket
import sys
from collections.abc import Sequence
from functools import partial
from typing import TypeVar

import asyncpg
import sqlalchemy.exc
import structlog
import uvicorn
import uvloop

from chassis import document_command, migrations
from chassis.service import Runtime, Service
from chassis.settings import Settings, SettingsError
from chassis.telemetry import traces

S = TypeVar("S", bound=Settings)
EXIT_FAILED = 1
EXIT_USAGE = 2
log = structlog.get_logger()


def main(service: Service[S], arguments: Sequence[str] | None = None) -> int:
    """Run one command of `service`; returns its exit code: 0 fine, 1 failed, 2 wrongly called or configured."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    parsed = _parser(service).parse_args(given[:1] or ["--help"])
    try:
        if parsed.command == "settings":
            return _describe(service)
        if parsed.command == "openapi":
            return document_command.run(service, given[1:])
        if parsed.command in service.commands:
            spare_the_collector()
            return service.commands[parsed.command](partial(service.settings.load, service.name), given[1:])
        migrates = parsed.command == "migrate"
        settings = None if migrates else service.settings.load(service.name)
        common = settings or service.settings.load_common(service.name)
        if given[1:]:
            raise SettingsError(f"{parsed.command} takes no arguments")
        return _migrate(service, common) if settings is None else _serve(service, settings)
    except SettingsError as error:
        return _refused(service, error, EXIT_USAGE)
    except (OSError, asyncpg.PostgresError, sqlalchemy.exc.SQLAlchemyError) as error:
        return _refused(service, error, EXIT_FAILED)


def _parser(service: Service[S]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"python -m {service.package}", description=f"The {service.name} service.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("serve", help="serve HTTP, consume, work and relay, as far as the settings say")
    commands.add_parser("migrate", help="bring this service's schema to the newest revision")
    commands.add_parser("settings", help="list every setting with its default")
    commands.add_parser("openapi", help="write the OpenAPI document; nothing has to run for it")
    for name, command in service.commands.items():
        commands.add_parser(name, help=(command.__doc__ or "").split("\n", 1)[0], add_help=False)
    return parser


def _describe(service: Service[S]) -> int:
    for name, default, description in service.settings.described(service.name):
        print(f"{name:42} {description} [{default or 'required'}]")  # noqa: T201 - this is what the command is for
    return 0


def _migrate(service: Service[S], settings: Settings) -> int:
    if settings.owner_database_url is None:
        raise SettingsError(f"{service.package.upper()}_OWNER_DATABASE_URL is not set: migrations run as the owner")
    url = settings.owner_database_url.get_secret_value()
    asyncio.run(migrations.upgrade(url, package=service.package, schema=service.schema))
    return 0


def _serve(service: Service[S], settings: S) -> int:
    family = socket.AF_INET6 if ":" in settings.http_host else socket.AF_INET
    # asyncio leaves Nagle on for a socket whose protocol is not named, which costs an answer up to 40 ms.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((settings.http_host, settings.http_port))
    except OSError as error:
        raise SettingsError(
            f"cannot listen on {settings.http_host}:{settings.http_port}: {error.strerror}; "
            f"set {service.package.upper()}_HTTP_PORT to a free port, or to 0 for any"
        ) from None
    with contextlib.closing(listening):
        return uvloop.run(_run(service, settings, listening))


async def _run(service: Service[S], settings: S, listening: socket.socket) -> int:
    async with Runtime(service, settings) as runtime:
        server = uvicorn.Server(
            uvicorn.Config(
                runtime.application(),
                http="httptools",
                loop="none",
                lifespan="on",
                access_log=False,
                log_config=None,
                backlog=2_048,
                server_header=False,
                proxy_headers=False,
                timeout_keep_alive=75,
                timeout_graceful_shutdown=int(settings.shutdown_timeout_seconds),
            )
        )
        host, port = listening.getsockname()[:2]
        log.info("serving", service=service.name, host=host, port=port)
        watch = asyncio.create_task(_stop_when_failed(runtime, server))
        # uvicorn raises the signal again when it has stopped; by then it must not end the process half closed.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: None)
        spare_the_collector()
        try:
            await server.serve(sockets=[listening])
        finally:
            watch.cancel()
            traces.stop()
        return EXIT_FAILED if runtime.failed.is_set() else 0


def spare_the_collector() -> None:
    """Keep what was imported out of every collection: of a busy ingress' CPU a third went into walking it."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 50)


async def _stop_when_failed(runtime: Runtime[S], server: uvicorn.Server) -> None:
    await runtime.failed.wait()
    server.should_exit = True


def _refused(service: Service[S], error: Exception, code: int) -> int:
    first_line = str(error).strip().split("\n", 1)[0] or type(error).__name__
    print(f"{service.name}: {first_line}", file=sys.stderr)  # noqa: T201 - the person who called reads this
    return code
