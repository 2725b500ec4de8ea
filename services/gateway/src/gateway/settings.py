"""What the gateway can be told: who vouches for staff, where the services are, how much is let through."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final

from chassis.settings import HttpUrl, PublicKeys, Settings, TimeZone
from chassis.tokens import signing_key
from cryptography.exceptions import UnsupportedAlgorithm
from limits import parse
from pydantic import AfterValidator, Field, SecretStr, TypeAdapter, ValidationError, ValidationInfo, field_validator

UPSTREAMS: Final = ("payments", "provider-health", "tasks", "audit")
_ONE_URL: Final = TypeAdapter[str](HttpUrl)
_OIDC: Final = ("oidc_issuer", "oidc_audience", "oidc_jwks_url")


def _urls(value: str) -> str:
    try:
        for url in value.split(","):
            _ONE_URL.validate_python(url.strip())
    except ValidationError:
        raise ValueError("must look like https://host, several separated by commas") from None
    return value


def _private_key(value: SecretStr) -> SecretStr:
    try:
        signing_key(value.get_secret_value())
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError("must be an Ed25519 private key in PEM") from None
    return value


def _rate(value: str) -> str:
    try:
        parse(value)
    except ValueError:
        raise ValueError("must look like 600/minute") from None
    return value


def _storage(value: str) -> str:
    if "://" not in value:
        raise ValueError("must look like memory:// or valkey://host:port")
    return value


Urls = Annotated[str, AfterValidator(_urls)]
PrivateKey = Annotated[SecretStr, AfterValidator(_private_key)]
Rate = Annotated[str, AfterValidator(_rate)]
Storage = Annotated[str, AfterValidator(_storage)]


class GatewaySettings(Settings):
    """What the gateway service can be told beyond what every service has."""

    payments_url: Urls = Field(description="Where payments is; several processes separated by commas")
    provider_health_url: Urls = Field(description="Where provider-health is; several processes separated by commas")
    tasks_url: Urls = Field(description="Where tasks is; several processes separated by commas")
    audit_url: Urls = Field(description="Where audit is; several processes separated by commas")
    upstream_timeout_seconds: float = Field(
        1.2, gt=0, le=60, description="Longest wait for a service, all of its processes together"
    )
    upstream_connect_timeout_seconds: float = Field(0.4, gt=0, description="Longest wait for one connection")
    upstream_max_connections: int = Field(64, ge=1, le=1_000, description="Connections to one service")
    upstream_body_max_bytes: int = Field(8 * 1_048_576, gt=0, description="Largest answer of a service")
    token_private_key: PrivateKey = Field(description="Ed25519 private key in PEM that signs internal tokens")
    oidc_issuer: HttpUrl | None = Field(None, description="Who issues staff's tokens; their `iss`")
    oidc_audience: str | None = Field(None, min_length=1, max_length=300, description="What `aud` of a token names")
    oidc_jwks_url: HttpUrl | None = Field(None, description="Where the issuer publishes its keys")
    oidc_roles_claim: str = Field(
        "roles", pattern=r"^[\w:/.-]{1,200}$", description="The claim that lists somebody's roles"
    )
    session_secret: SecretStr = Field(min_length=32, description="Signs session cookies; the same for every process")
    session_minutes: int = Field(60, ge=1, le=720, description="How long a session in a browser lasts")
    public_url: HttpUrl | None = Field(
        None, description="The address that browsers use; cookies are Secure unless it is http, or local mode"
    )
    trusted_proxies: int = Field(
        0, ge=0, le=10, description="Proxies in front whose X-Forwarded-For says who calls; 0 believes none"
    )
    rate_limit_storage: Storage = Field(
        "memory://", description="Where rate limits are counted: memory:// or valkey://"
    )
    rate_limit_read: Rate = Field("6000/minute", description="Reads of one caller")
    rate_limit_write: Rate = Field("1200/minute", description="Writes of one caller")
    rate_limit_anonymous: Rate = Field("120/minute", description="Requests of one address that names nobody")
    business_timezone: TimeZone = Field("Australia/Sydney", description="Time zone in which pages tell instants")
    test_results_file: Path | None = Field(None, description="Signed test results that came with this build")
    test_results_public_keys: PublicKeys = Field(
        "", description="Ed25519 public keys in PEM, concatenated, whose test results are believed"
    )
    local_issuer_private_key: PrivateKey | None = Field(
        None,
        validate_default=True,
        description="Local mode only: the gateway itself vouches for whoever chooses a role, with this Ed25519 key",
    )

    @field_validator("local_issuer_private_key")
    @classmethod
    def _one_issuer(cls, value: SecretStr | None, known: ValidationInfo) -> SecretStr | None:
        missing = [f"GATEWAY_{name.upper()}" for name in _OIDC if known.data.get(name) is None]
        if value is None and missing:
            raise ValueError(f"is not set, so somebody else must vouch for staff: set {', '.join(missing)}")
        if value is not None and len(missing) < len(_OIDC):
            raise ValueError("is for local mode, where no other issuer is set: leave it out")
        return value

    @property
    def is_local(self) -> bool:
        """Whether the gateway vouches for staff itself."""
        return self.local_issuer_private_key is not None

    @property
    def cookies_are_secure(self) -> bool:
        """Whether browsers are told to send the session over https only."""
        return self.public_url.startswith("https:") if self.public_url else not self.is_local

    @property
    def upstream_urls(self) -> Mapping[str, tuple[str, ...]]:
        """Every process of each service."""
        given = (self.payments_url, self.provider_health_url, self.tasks_url, self.audit_url)
        return {
            name: tuple(url.strip().rstrip("/") for url in urls.split(","))
            for name, urls in zip(UPSTREAMS, given, strict=True)
        }
