"""Settings: typed, described, read from the environment in one place.

A service subclasses `Settings`; its variables carry the service's name as prefix (`PAYMENTS_DATABASE_URL`). A variable
with that prefix that names no setting is an error, never ignored: a misspelt limit must not silently be the default.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Self
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from cryptography.exceptions import UnsupportedAlgorithm
from pydantic import AfterValidator, Field, SecretStr, ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, SettingsConfigDict

from chassis.tokens import Verifier


class SettingsError(Exception):
    """The environment does not make valid settings; the message is one sentence for the person who deploys."""


def _postgres_url(value: SecretStr) -> SecretStr:
    if not _names_a_database(value.get_secret_value()):
        raise ValueError("must look like postgresql://user:password@host:port/database")
    return value


def _names_a_database(url: str) -> bool:
    try:
        parts = urlsplit(url)
        # Reading the port is what checks it.
        return (
            parts.scheme in {"postgresql", "postgres"} and bool(parts.hostname and parts.path[1:]) and parts.port != 0
        )
    except ValueError:
        return False


def _bootstrap_servers(value: str) -> str:
    for server in value.split(","):
        host, colon, port = server.strip().rpartition(":")
        if not (host and colon and port.isdecimal() and 0 < int(port) < 65_536):
            raise ValueError("must be host:port, several separated by commas")
    return value


def _http_url(value: str) -> str:
    if not _is_http_url(value):
        raise ValueError("must look like https://host")
    return value


def _is_http_url(url: str) -> bool:
    try:
        parts = urlsplit(url)
        # Reading the port is what checks it; white space would be dropped without a word.
        return (
            parts.scheme in {"http", "https"}
            and bool(parts.hostname)
            and parts.port != 0
            and url.isprintable()
            and " " not in url
        )
    except ValueError:
        return False


def _public_keys(value: str) -> str:
    try:
        Verifier(value, audience="")
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError("must be Ed25519 public keys in PEM, concatenated") from None
    return value


def _time_zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (ValueError, OSError, LookupError):
        raise ValueError("must name a time zone, for example Australia/Sydney") from None
    return value


PostgresUrl = Annotated[SecretStr, AfterValidator(_postgres_url)]
BootstrapServers = Annotated[str, AfterValidator(_bootstrap_servers)]
HttpUrl = Annotated[str, AfterValidator(_http_url)]
PublicKeys = Annotated[str, AfterValidator(_public_keys)]
TimeZone = Annotated[str, AfterValidator(_time_zone)]


class Settings(BaseSettings):
    """What every service can be told."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid", validate_default=False)

    database_url: PostgresUrl = Field(description="PostgreSQL as this service's own role, which may not create tables")
    owner_database_url: PostgresUrl | None = Field(
        None, description="PostgreSQL as the owner of this service's schema; needed by `migrate` alone"
    )
    kafka_bootstrap_servers: BootstrapServers = Field(description="Kafka brokers as host:port, separated by commas")
    topic_prefix: str = Field("", max_length=60, description="Prepended to every topic and consumer group")
    instance: str | None = Field(
        None, max_length=60, description="Stable name of this process; makes its Kafka group membership static"
    )
    http_host: str = Field("127.0.0.1", description="Address to listen on")
    http_port: int = Field(0, ge=0, le=65_535, description="Port to listen on; 0 takes any free one and logs it")
    http: bool = Field(True, description="Serve HTTP beyond health and metrics in this process")
    consume: bool = Field(True, description="Consume topics in this process")
    work: bool = Field(True, description="Run the service's workers in this process")
    relay: bool = Field(True, description="Let this process relay the outbox (one of all relays works at a time)")
    outbox_alarm_rows: int = Field(100_000, gt=0, description="Events that wait in the outbox before it is an alarm")
    outbox_alarm_age_seconds: float = Field(60.0, gt=0, description="Age of the oldest of them before it is an alarm")
    outbox_alarm_table_bytes: int = Field(
        2 * 1_073_741_824, gt=0, description="Size of the outbox with its indexes before it is an alarm"
    )
    token_public_keys: PublicKeys = Field(
        "", description="Ed25519 public keys in PEM, concatenated, that sign internal tokens"
    )
    database_pool_max_connections: int = Field(8, ge=2, le=100, description="PostgreSQL connections of this process")
    database_command_timeout_seconds: float = Field(30.0, gt=0, description="Longest wait for one statement")
    shutdown_timeout_seconds: float = Field(20.0, gt=0, description="Longest wait for work in flight when stopping")
    request_timeout_seconds: float = Field(30.0, gt=0, description="Longest time from a request's start to its answer")
    idempotency_retention_hours: int = Field(
        48, ge=24, le=8_760, description="How long an answer is kept under its Idempotency-Key"
    )
    body_max_bytes: int = Field(1_048_576, gt=0, description="Largest request body of ordinary endpoints")
    log_level: str = Field("info", pattern="^(debug|info|warning|error)$", description="Lowest level that is logged")
    clock_file: Path | None = Field(None, description="Local mode only: the file that offsets business time")
    otlp_endpoint: HttpUrl | None = Field(None, description="OpenTelemetry collector (OTLP over HTTP); none: no export")

    @classmethod
    def load(cls, service: str, environment: Mapping[str, str] | None = None) -> Self:
        """Read the settings of `service` from the environment. Raises SettingsError."""
        prefix, given = cls._given(service, environment)
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            raise SettingsError(_sentence(prefix, error.errors(include_input=False, include_url=False)[0])) from None

    @classmethod
    def load_common(cls, service: str, environment: Mapping[str, str] | None = None) -> Settings:
        """Read what every service has; what only `service` has may be missing, but not wrong. Raises SettingsError."""
        prefix, given = cls._given(service, environment)
        try:
            cls.model_validate(given)
        except ValidationError as error:
            for each in error.errors(include_input=False, include_url=False):
                if each["loc"][0] in {*given, *Settings.model_fields}:
                    raise SettingsError(_sentence(prefix, each)) from None
        return Settings.model_validate({name: value for name, value in given.items() if name in Settings.model_fields})

    @classmethod
    def _given(cls, service: str, environment: Mapping[str, str] | None) -> tuple[str, dict[str, str]]:
        variables = os.environ if environment is None else environment
        prefix = f"{service.replace('-', '_').upper()}_"
        given = {
            name.removeprefix(prefix).lower(): value for name, value in variables.items() if name.startswith(prefix)
        }
        for name in sorted(set(given) - set(cls.model_fields)):
            near = difflib.get_close_matches(name, cls.model_fields, n=1)
            hint = f"; did you mean {prefix}{near[0].upper()}?" if near else ""
            raise SettingsError(f"{prefix}{name.upper()} is not a setting of {service}{hint}")
        return prefix, given

    @classmethod
    def described(cls, service: str) -> list[tuple[str, str, str]]:
        """Every variable of `service`: name, default (empty: required), description."""
        prefix = f"{service.replace('-', '_').upper()}_"
        return [
            (f"{prefix}{name.upper()}", _default(field.default, required=field.is_required()), field.description or "")
            for name, field in cls.model_fields.items()
        ]


def _default(value: Any, *, required: bool) -> str:
    return "" if required else "none" if value is None else str(value)


def _sentence(prefix: str, first: ErrorDetails) -> str:
    name = f"{prefix}{'_'.join(str(part) for part in first['loc']).upper()}"
    if first["type"] == "missing":
        return f"{name} is not set"
    return f"{name} {first['msg'].removeprefix('Value error, ')}"
