"""What the provider-health service can be told."""

from __future__ import annotations

from chassis.settings import HttpUrl, Settings, TimeZone
from contracts.tasks import QUEUES
from pydantic import Field, SecretStr, field_validator


class ProviderHealthSettings(Settings):
    """Where to look and how often, and what to do about what is seen, beside what every service has."""

    stripe_api_url: HttpUrl = Field("https://api.stripe.com", description="Where Stripe's API is looked at")
    stripe_api_key: SecretStr = Field(SecretStr(""), description="Reads Stripe's balance; none: Stripe stays unknown")
    gocardless_api_url: HttpUrl = Field("https://api.gocardless.com", description="Where GoCardless' API is looked at")
    gocardless_access_token: SecretStr = Field(
        SecretStr(""), description="Reads GoCardless' creditors; none: GoCardless stays unknown"
    )
    gateway_url: str = Field("", description="Our Members API; several instances separated by commas")
    payments_url: str = Field("", description="Our door for webhooks; several instances separated by commas")
    check_cadence_seconds: int = Field(
        30, ge=1, le=3_600, description="How often a provider's API is looked at, in business time"
    )
    door_cadence_seconds: int = Field(
        30, ge=1, le=3_600, description="How often a door of ours is looked at, in business time"
    )
    door_grace_seconds: float = Field(
        60.0, ge=0, description="How long after its own start a process does not believe that a door of ours is shut"
    )
    check_timeout_seconds: float = Field(10.0, gt=0, le=60, description="Longest wait for one look's answer")
    check_slow_ms: int = Field(3_000, gt=0, description="An answer that takes longer is impaired, not working")
    check_dwell_seconds: int = Field(
        120, ge=0, le=3_600, description="How long an alarm stands at least before a check may be up again"
    )
    pause_on_outage: bool = Field(True, description="Pause collection at a provider whose API is down or flapping")
    outage_pause_hours: int = Field(24, ge=1, le=24, description="How long such a pause lasts at most")
    heartbeat_seconds: float = Field(2.0, gt=0, le=5, description="How often the pauses' heartbeat is told")
    prevention_queue: str = Field("Operations", description="Queue that is asked to prevent another severe incident")
    prevention_due_days: int = Field(14, ge=1, le=365, description="Business days' end by which it is due, in days")
    business_timezone: TimeZone = Field("Australia/Sydney", description="Time zone of business days")

    @field_validator("gateway_url", "payments_url")
    @classmethod
    def _urls(cls, value: str) -> str:
        for url in filter(None, (each.strip() for each in value.split(","))):
            if not url.startswith(("http://", "https://")) or " " in url:
                raise ValueError("must look like https://host, several separated by commas")
        return value

    @field_validator("prevention_queue")
    @classmethod
    def _a_queue(cls, value: str) -> str:
        if value not in QUEUES:
            raise ValueError(f"must be one of {', '.join(QUEUES)}")
        return value
