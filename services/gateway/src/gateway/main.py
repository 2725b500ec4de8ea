"""Wiring of the gateway service."""

from __future__ import annotations

from typing import cast

from chassis import cli
from chassis.service import Part, Runtime, Service
from chassis.web import Identify, Refused

from gateway import documenting, door, doorstep, http, proxy, tables
from gateway.board import http as board_http
from gateway.board import measures
from gateway.console import pages
from gateway.door import Door
from gateway.limiting import LimiterWatch
from gateway.settings import GatewaySettings


def _door(runtime: Runtime[GatewaySettings]) -> Door:
    return cast(Door, runtime.resources)


def _identify(runtime: Runtime[GatewaySettings]) -> Identify:
    return _door(runtime).identify


def _refused(runtime: Runtime[GatewaySettings]) -> Refused:
    return _door(runtime).refused


def _teller(runtime: Runtime[GatewaySettings]) -> Part:
    return _door(runtime).teller


def _limits(runtime: Runtime[GatewaySettings]) -> Part:
    return LimiterWatch(_door(runtime).limiter)


service = Service(
    "gateway",
    GatewaySettings,
    metadata=tables.metadata,
    routers=[http.router, board_http.router],
    resources=door.opened,
    identify=_identify,
    refused=_refused,
    # Reading needs no database: what the gateway has to tell waits until it is back.
    spared=frozenset({"postgres", "relay", "outbox", "access events", "rate limits"}),
    routes=lambda _: [*doorstep.routes(), *pages.routes(), *proxy.routes()],
    describe=documenting.describe,
    workers=[_teller, _limits],
    measures=measures.measures,
)


def run() -> int:
    """The command line of this service."""
    return cli.main(service)
