"""Wiring of the gateway service."""

from __future__ import annotations

from chassis import cli
from chassis.service import Service

from gateway import tables
from gateway.settings import GatewaySettings

service = Service("gateway", GatewaySettings, metadata=tables.metadata)


def run() -> int:
    """The command line of this service."""
    return cli.main(service)
