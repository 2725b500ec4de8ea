"""Wiring of the provider-health service."""

from __future__ import annotations

from datetime import timedelta

from chassis import cli
from chassis.consumer import Consumer
from chassis.schedule import ScheduleLimits
from chassis.service import Part, Runtime, Service

from provider_health import handlers, measures, tables
from provider_health.checks import http as checks_http
from provider_health.checks import maintenance_http
from provider_health.checks.jobs import Checks, registered
from provider_health.checks.providers import HttpProbes
from provider_health.incidents import http as incidents_http
from provider_health.incidents.reactions import Policy
from provider_health.incidents.use_cases import Prevention
from provider_health.pauses import http as pauses_http
from provider_health.pauses.jobs import Expiries, Heartbeat, OldStops
from provider_health.settings import ProviderHealthSettings

_POLL_SECONDS = 0.5
_RECORDING_SECONDS = 5.0
_LEASE_MARGIN_SECONDS = 5.0


def policy(settings: ProviderHealthSettings) -> Policy:
    """What is done without asking, by the settings."""
    return Policy(
        pauses=settings.pause_on_outage,
        pause_lasts=timedelta(hours=settings.outage_pause_hours),
        prevention=Prevention.of(settings),
    )


def _consumer(runtime: Runtime[ProviderHealthSettings]) -> Consumer:
    return handlers.consumer(policy(runtime.settings))


def _checks(runtime: Runtime[ProviderHealthSettings]) -> Part:
    settings = runtime.settings
    return Checks(
        runtime.database,
        HttpProbes.of(settings),
        registered(settings),
        policy(settings),
        dwell_seconds=settings.check_dwell_seconds,
        grace_seconds=settings.door_grace_seconds,
        limits=ScheduleLimits(
            execution_max_seconds=settings.check_timeout_seconds + _RECORDING_SECONDS,
            lease_margin_seconds=_LEASE_MARGIN_SECONDS,
            poll_seconds=_POLL_SECONDS,
        ),
    )


def _expiries(runtime: Runtime[ProviderHealthSettings]) -> Part:
    limits = ScheduleLimits(poll_seconds=_POLL_SECONDS)
    return Expiries(runtime.database, policy(runtime.settings), limits=limits)


def _heartbeat(runtime: Runtime[ProviderHealthSettings]) -> Part:
    return Heartbeat(runtime.database, every_seconds=runtime.settings.heartbeat_seconds)


def _old_stops(runtime: Runtime[ProviderHealthSettings]) -> Part:
    return OldStops(runtime.database)


service = Service(
    "provider-health",
    ProviderHealthSettings,
    metadata=tables.metadata,
    routers=[checks_http.router, maintenance_http.router, incidents_http.router, pauses_http.router],
    consumers=[_consumer],
    workers=[_checks, _expiries, _heartbeat, _old_stops],
    retriers=lambda runtime: {handlers.NAME: _consumer(runtime).retrier(tables.SCHEMA)},
    measures=lambda _: [measures.provider_states, measures.severe_incidents],
)


def run() -> int:
    """The command line of this service."""
    return cli.main(service)
