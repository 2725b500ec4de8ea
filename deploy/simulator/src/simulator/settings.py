"""What can be configured, all of it from the environment (`SIMULATOR_...`)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from simulator.stripe.account import DEFAULT_API_VERSION

PREFIX: Final = "SIMULATOR_"
_HOUR: Final = 1 / 3600

Port = Annotated[int, Field(ge=0, le=65535)]
Provider = Literal["stripe", "gocardless"]


class Settings(BaseSettings):
    """Settings of the simulator. Lists are separated by commas."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="forbid", frozen=True)

    host: str = Field("127.0.0.1", description="Address to listen on.")
    control_port: Port = Field(8310, description="Port of the control origin; 0 takes a free one.")
    stripe_port: Port = Field(8311, description="Port of the Stripe API; 0 takes a free one.")
    gocardless_port: Port = Field(8312, description="Port of the GoCardless API; 0 takes a free one.")
    seed: str = Field("backbone", min_length=1, description="Ids and faults repeat with the same seed.")
    clock_file: Path | None = Field(
        None, description='File with the offset of business time: {"offset_seconds": n} or a number.'
    )
    state_file: Path | None = Field(
        None, description="Snapshot of everything held, so that a restarted simulator continues; none: memory only."
    )
    stripe_webhook_urls: Annotated[list[str], NoDecode] = Field([], description="Where Stripe's events go.")
    stripe_webhook_secrets: Annotated[list[SecretStr], NoDecode] = Field(
        [], description="Signing secrets of those endpoints; several during a rotation."
    )
    stripe_api_version: str = Field(
        DEFAULT_API_VERSION,
        pattern=r"^\d{4}-\d{2}-\d{2}(\.[a-z]+)?$",
        description="API version of the account and of its webhook endpoints.",
    )
    stripe_smart_retries: bool = Field(
        False, description="Whether Stripe itself retries failed invoices after 3, 5 and 7 days of business time."
    )
    gocardless_webhook_urls: Annotated[list[str], NoDecode] = Field([], description="Where GoCardless' events go.")
    gocardless_webhook_secret: SecretStr | None = Field(None, description="Signing secret of those endpoints.")
    gocardless_batch_window_seconds: float = Field(
        0, ge=0, le=60, description="How long events wait to share a webhook; 0 joins those of one action."
    )
    gocardless_batch_max_events: int = Field(250, ge=1, le=1000, description="Most events in one webhook.")
    retry_scale: float = Field(
        _HOUR, gt=0, le=1, description="Real seconds for each second of the providers' retry schedule."
    )
    attempts_max: int = Field(16, ge=1, le=100, description="Attempts before a delivery is given up.")
    timeout_seconds: float = Field(10, gt=0, le=60, description="How long an endpoint may take to answer.")
    concurrency: int = Field(
        1, ge=1, le=256, description="Deliveries under way at once to one endpoint; 1 keeps their order."
    )
    body_max_bytes: int = Field(1_048_576, ge=1024, description="Largest request body that is read.")
    deliveries_kept_max: int = Field(20_000, ge=1, description="Finished deliveries that can still be looked up.")

    @field_validator("stripe_webhook_urls", "stripe_webhook_secrets", "gocardless_webhook_urls", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value

    @field_validator("stripe_webhook_urls", "gocardless_webhook_urls")
    @classmethod
    def _check_url(cls, urls: list[str]) -> list[str]:
        for url in urls:
            if not url.startswith(("http://", "https://")):
                raise ValueError(f"{url} is not an http or https URL")
        return urls

    @model_validator(mode="after")
    def _check_secrets(self) -> Settings:
        if self.stripe_webhook_urls and not self.stripe_webhook_secrets:
            raise ValueError(f"{PREFIX}STRIPE_WEBHOOK_URLS needs {PREFIX}STRIPE_WEBHOOK_SECRETS")
        if self.gocardless_webhook_urls and self.gocardless_webhook_secret is None:
            raise ValueError(f"{PREFIX}GOCARDLESS_WEBHOOK_URLS needs {PREFIX}GOCARDLESS_WEBHOOK_SECRET")
        return self


def unknown_settings() -> list[str]:
    """Return the names in the environment that look like ours and mean nothing: misspelt, most likely."""
    known = {f"{PREFIX}{name}".upper() for name in Settings.model_fields}
    return sorted(name for name in os.environ if name.upper().startswith(PREFIX) and name.upper() not in known)


def documentation() -> str:
    """Return every setting with its default and meaning, as `--help` prints it."""
    lines = []
    for name, field in Settings.model_fields.items():
        default = "" if field.default in (None, []) else f" [{field.default}]"
        lines.append(f"  {PREFIX}{name.upper()}{default}\n      {field.description}")
    return "\n".join(lines)
