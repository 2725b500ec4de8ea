"""What the payments service can be told."""

from __future__ import annotations

from typing import Literal

from chassis.settings import HttpUrl, Settings, TimeZone
from pydantic import Field, SecretStr, field_validator


class PaymentsSettings(Settings):
    """Secrets of the providers and limits of the ingress, beside what every service has."""

    stripe_webhook_secrets: SecretStr = Field(
        SecretStr(""), description="Signing secrets of Stripe's endpoint, separated by commas; all of them are active"
    )
    gocardless_webhook_secrets: SecretStr = Field(
        SecretStr(""), description="Signing secrets of GoCardless' endpoint, separated by commas; all are active"
    )
    livemode: bool = Field(
        False, description="Whether this set-up is live: GoCardless deliveries do not say, Stripe's must agree with it"
    )
    stripe_accounts: str = Field(
        "",
        description="Connected accounts at Stripe whose money is ours, by commas; of others nothing is read",
    )
    gocardless_api_url: HttpUrl = Field("https://api.gocardless.com", description="Where GoCardless objects are read")
    gocardless_access_token: SecretStr = Field(SecretStr(""), description="Reads GoCardless payments and mandates")
    stripe_api_url: HttpUrl = Field("https://api.stripe.com", description="Where Stripe objects are read")
    stripe_api_key: SecretStr = Field(SecretStr(""), description="Reads Stripe charges that no delivery has told of")
    pause_heartbeat_max_age_seconds: float = Field(
        10.0, gt=0, description="Age of the pauses' last heartbeat beyond which no money moves"
    )
    retry_release_max_per_second: int = Field(10, ge=1, le=1_000, description="Held retries let go in one second")
    provider_timeout_seconds: float = Field(10.0, gt=0, description="Longest wait for a provider's answer")
    delivery_max_bytes: int = Field(8 * 1_048_576, gt=0, description="Largest delivery; beyond it: 413")
    deliveries_in_flight_max_bytes: int = Field(
        64 * 1_048_576, gt=0, description="Bytes of all deliveries being received at once; beyond it: 503"
    )
    delivery_read_timeout_seconds: float = Field(10.0, gt=0, description="Longest time to receive one body")
    rejected_kept_max_bytes: int = Field(
        256 * 1_048_576,
        ge=0,
        description="Bodies and headers of rejected deliveries kept per provider; then by hash only",
    )
    rejections_retention_days: int = Field(
        90,
        ge=1,
        le=3_650,
        description="How long it is counted how many deliveries were rejected in each minute, and why",
    )
    signature_tolerance_seconds: int = Field(300, gt=0, description="How far a signature's time may be off, both ways")
    group_commit_max_delay_ms: float = Field(3.0, gt=0, description="Longest wait for deliveries to share a commit")
    parked_task_after_seconds: float = Field(
        3_600.0, ge=0, description="How long something stays parked before somebody is asked about it"
    )
    parked_poll_seconds: float = Field(5.0, gt=0, description="How often parked things are looked at")
    payout_check_poll_seconds: float = Field(
        300.0, gt=0, description="How often the lines of payouts are looked for in the ledger"
    )
    debt_relief_poll_seconds: float = Field(
        300.0, gt=0, description="How often debts that have become twelve months overdue are looked for"
    )
    worker_batch_max_events: int = Field(200, ge=1, le=2_000, description="Events that a worker takes at once")
    verify_every_seconds: float = Field(600.0, gt=0, description="How often the ledger is verified")
    business_timezone: TimeZone = Field("Australia/Sydney", description="Time zone of business days")
    gst_registered: bool = Field(True, description="Whether the business is registered for GST")
    gst_basis: Literal["accrual", "cash"] = Field(
        "accrual", description="When GST is owed: with the invoice (accrual), or with the money (cash)"
    )

    @field_validator("stripe_webhook_secrets", "gocardless_webhook_secrets")
    @classmethod
    def _long_enough(cls, value: SecretStr) -> SecretStr:
        if any(len(secret) < 16 for secret in split_secrets(value)):
            raise ValueError("every signing secret must have at least 16 characters")
        return value


def accounts_of(settings: PaymentsSettings) -> frozenset[str]:
    """The connected accounts at Stripe whose money is ours."""
    return frozenset(each.strip() for each in settings.stripe_accounts.split(",") if each.strip())


def split_secrets(value: SecretStr) -> tuple[str, ...]:
    """The active secrets, newest first as they were given."""
    return tuple(secret.strip() for secret in value.get_secret_value().split(",") if secret.strip())
