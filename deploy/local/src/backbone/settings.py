"""What local mode can be told, by the environment alone; a misspelt variable is an error, never ignored."""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from backbone.faults import LocalError

PREFIX: Final = "BACKBONE_"
TEST_PREFIX: Final = "BACKBONE_TEST_"
DESCRIBED: Final[Mapping[str, str]] = {
    "BACKBONE_HOME": "the directory that local mode keeps everything in; .backbone in the clone otherwise",
    "BACKBONE_POSTGRES_URL": "a PostgreSQL to use instead of starting one: the URL of a role that may create roles",
    "BACKBONE_KAFKA": "an Apache Kafka to use instead of starting one: host:port, several separated by commas",
    "BACKBONE_PORTS": "ports that must not move, such as postgres=5432,payments=8081",
}

# Below the ports that the system hands out by itself, and beside those that such servers take by default.
DEFAULT_PORTS: Final[Mapping[str, int]] = {
    "postgres": 15432,
    "kafka": 19092,
    "kafka-controller": 19093,
    "simulator": 8310,
    "stripe": 8311,
    "gocardless": 8312,
    "gateway": 8400,
    "payments": 8410,
    "audit": 8420,
    "provider-health": 8430,
    "tasks": 8440,
}


@dataclass(frozen=True, slots=True)
class LocalSettings:
    """The settings, checked."""

    postgres_url: str | None = None
    kafka: str | None = None
    ports: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def load(cls, environment: Mapping[str, str] | None = None) -> LocalSettings:
        """Read the environment. Raises LocalError with one sentence about the first thing that is wrong."""
        given = os.environ if environment is None else environment
        for name in sorted(given):
            if name.startswith(PREFIX) and not name.startswith(TEST_PREFIX) and name not in DESCRIBED:
                near = difflib.get_close_matches(name, DESCRIBED, n=1)
                raise LocalError(f"{name} is not a setting" + (f"; did you mean {near[0]}?" if near else ""))
        return cls(
            _postgres_url(given.get("BACKBONE_POSTGRES_URL")),
            _bootstrap_servers(given.get("BACKBONE_KAFKA")),
            _ports(given.get("BACKBONE_PORTS", "")),
        )


def _postgres_url(value: str | None) -> str | None:
    if not value:
        return None
    try:
        parts = urlsplit(value)
        right = parts.scheme in {"postgresql", "postgres"} and bool(parts.hostname and parts.path.strip("/"))
        right = right and parts.port != 0
    except ValueError:
        right = False
    if not right:
        raise LocalError("BACKBONE_POSTGRES_URL must look like postgresql://user:password@host:port/database")
    return value


def _bootstrap_servers(value: str | None) -> str | None:
    for server in (value or "").split(",") if value else ():
        host, _, port = server.strip().rpartition(":")
        if not (host and port.isdecimal() and 0 < int(port) < 65_536):
            raise LocalError("BACKBONE_KAFKA must be host:port, several separated by commas")
    return value or None


def _ports(value: str) -> dict[str, int]:
    ports: dict[str, int] = {}
    for part in filter(None, (part.strip() for part in value.split(","))):
        name, _, port = part.partition("=")
        if name not in DEFAULT_PORTS:
            raise LocalError(f"BACKBONE_PORTS: {name} has no port; these have: {', '.join(DEFAULT_PORTS)}")
        if not (port.isdecimal() and 0 < int(port) < 65_536):
            raise LocalError(f"BACKBONE_PORTS: {part} must be name=port with a port from 1 to 65535")
        if int(port) in ports.values():
            raise LocalError(f"BACKBONE_PORTS: {port} is given twice")
        ports[name] = int(port)
    return ports
