"""Wiring of the provider-health service."""

from __future__ import annotations

from chassis import cli
from chassis.service import Service

from provider_health import tables
from provider_health.settings import ProviderHealthSettings

service = Service("provider-health", ProviderHealthSettings, metadata=tables.metadata)


def run() -> int:
    """The command line of this service."""
    return cli.main(service)
