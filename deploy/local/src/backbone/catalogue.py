"""What the stack consists of: the services, and everything each of their processes is told.

A new service is a line in SERVICES and what its settings need beyond those that every service has.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit, urlunsplit

from chassis.provisioning import owner_of

from backbone.credentials import Credentials
from backbone.faults import LocalError
from backbone.identity import staff
from backbone.places import Places

# What a process needs of its surroundings; nothing else of a developer's shell reaches it.
INHERITED: Final = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR", "VIRTUAL_ENV")


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What processes are told about the rest of the stack. `services` holds where each process of each listens."""

    admin_url: str
    bootstrap_servers: str
    clock: Path
    credentials: Credentials
    simulator_ports: Mapping[str, int]
    services: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def origin(self, name: str) -> str:
        """One of the simulator's origins: control, stripe or gocardless."""
        return f"http://127.0.0.1:{self.simulator_ports[name]}"

    def url(self, service: str) -> str:
        """The first process of a service."""
        return self.services[service][0]

    def urls(self, service: str) -> str:
        """All processes of a service, separated by commas."""
        return ",".join(self.services[service])


def _payments(around: Surroundings) -> dict[str, str]:
    return {
        "stripe_webhook_secrets": around.credentials.stripe_webhook,
        "stripe_api_url": around.origin("stripe"),
        "stripe_api_key": around.credentials.stripe_api_key,
        "gocardless_webhook_secrets": around.credentials.gocardless_webhook,
        "gocardless_api_url": around.origin("gocardless"),
        "gocardless_access_token": around.credentials.gocardless_access_token,
    }


def _provider_health(around: Surroundings) -> dict[str, str]:
    return {
        "stripe_api_url": around.origin("stripe"),
        "stripe_api_key": around.credentials.stripe_api_key,
        "gocardless_api_url": around.origin("gocardless"),
        "gocardless_access_token": around.credentials.gocardless_access_token,
        "gateway_url": around.urls("gateway"),
        "payments_url": around.urls("payments"),
        # An outage of the simulator is to be seen while somebody watches. Our own doors may start again in between.
        "check_cadence_seconds": "2",
        "check_dwell_seconds": "5",
        "door_cadence_seconds": "20",
    }


def _tasks(_: Surroundings) -> dict[str, str]:
    rota = {"Billing": staff("billing"), "Coaches": staff("coach")}
    return {"queue_owners": json.dumps({queue: {"id": one.id, "name": one.name} for queue, one in rota.items()})}


def _gateway(around: Surroundings) -> dict[str, str]:
    return {
        "payments_url": around.urls("payments"),
        "provider_health_url": around.urls("provider-health"),
        "tasks_url": around.urls("tasks"),
        "audit_url": around.urls("audit"),
        "token_private_key": around.credentials.token_private_key,
        "local_issuer_private_key": around.credentials.issuer_private_key,
        "session_secret": around.credentials.session_secret,
        **_test_results(),
    }


def _test_results() -> dict[str, str]:
    """What `make test` has left in this clone; its own key is believed here and nowhere else."""
    build = Places.of_clone().clone / "build"
    key = build / "test-signing-key.pub.pem"
    if not key.is_file():
        return {}
    return {"test_results_file": str(build / "test-results.json"), "test_results_public_keys": key.read_text()}


def _nothing(_: Surroundings) -> dict[str, str]:
    return {}


@dataclass(frozen=True, slots=True)
class Service:
    """One service of the stack; package, schema and settings prefix follow from its name."""

    name: str
    settings: Callable[[Surroundings], dict[str, str]] = _nothing

    @property
    def package(self) -> str:
        return self.name.replace("-", "_")

    @property
    def roles(self) -> tuple[str, str]:
        """The owner of the schema and the role that the service runs as."""
        return owner_of(self.package), self.package

    def database_url(self, around: Surroundings, role: str | None = None) -> str:
        """PostgreSQL as the service's own role, or as `role`."""
        who = role or self.package
        parts = urlsplit(around.admin_url)
        where = parts.netloc.rpartition("@")[2]
        return urlunsplit(parts._replace(netloc=f"{who}:{around.credentials.roles[who]}@{where}"))

    def serving(self, around: Surroundings, instance: str, port: int) -> dict[str, str]:
        """The environment of one process that serves."""
        settings = self._common(around) | {"instance": instance, "http_host": "127.0.0.1", "http_port": str(port)}
        return _environment(self.package, settings | self.settings(around))

    def migrating(self, around: Surroundings) -> dict[str, str]:
        """The environment of `migrate`: the one process that learns the owner's password."""
        owner_url = self.database_url(around, owner_of(self.package))
        return _environment(self.package, self._common(around) | {"owner_database_url": owner_url})

    def command(self, verb: str) -> list[str]:
        return [sys.executable, "-m", self.package, verb]

    def insisted_port(self) -> int | None:
        """The port that the caller's environment insists on. Raises LocalError where it is none."""
        name = f"{self.package.upper()}_HTTP_PORT"
        port = os.environ.get(name)
        if port is not None and not (port.isdecimal() and 0 < int(port) < 65_536):
            raise LocalError(f"{name} must be a port from 1 to 65535, not {port}")
        return None if port is None else int(port)

    def _common(self, around: Surroundings) -> dict[str, str]:
        return {
            "database_url": self.database_url(around),
            "kafka_bootstrap_servers": around.bootstrap_servers,
            "clock_file": str(around.clock),
            "token_public_keys": around.credentials.token_public_key,
        }


SIMULATOR: Final = "simulator"
SIMULATOR_PORTS: Final = {"control": "simulator", "stripe": "stripe", "gocardless": "gocardless"}


def simulating(around: Surroundings, kept_in: Path) -> dict[str, str]:
    """The environment of the simulator, whose webhooks go to the first process of payments."""
    payments_url = around.url("payments")
    settings = {
        "host": "127.0.0.1",
        **{f"{origin}_port": str(port) for origin, port in around.simulator_ports.items()},
        "clock_file": str(around.clock),
        "state_file": str(kept_in),
        "stripe_webhook_urls": f"{payments_url}/webhooks/stripe",
        "stripe_webhook_secrets": around.credentials.stripe_webhook,
        "gocardless_webhook_urls": f"{payments_url}/webhooks/gocardless",
        "gocardless_webhook_secret": around.credentials.gocardless_webhook,
    }
    return _environment(SIMULATOR, settings)


SERVICES: Final = (
    Service("payments", _payments),
    Service("provider-health", _provider_health),
    Service("tasks", _tasks),
    Service("audit"),
    Service("gateway", _gateway),
)
BY_NAME: Final = {service.name: service for service in SERVICES}
ROLES: Final = [role for service in SERVICES for role in service.roles]


def _environment(package: str, settings: Mapping[str, str]) -> dict[str, str]:
    """What is set in the caller's environment for this package wins over what local mode would say."""
    prefix = f"{package.upper()}_"
    ours = {f"{prefix}{name.upper()}": value for name, value in settings.items()}
    return inherited() | ours | {name: value for name, value in os.environ.items() if name.startswith(prefix)}


def inherited() -> dict[str, str]:
    """The part of the caller's environment that every process gets."""
    own = {"PYTHONUNBUFFERED": "1", "MALLOC_ARENA_MAX": "2"}
    return {name: os.environ[name] for name in INHERITED if name in os.environ} | own


def fingerprint(environment: Mapping[str, str]) -> str:
    """A hash of what we told a process: where it differs, the process has to start anew.

    What it has from the caller's shell differs from one terminal to the next, and is no reason.
    """
    told = {name: value for name, value in environment.items() if name not in INHERITED}
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]
