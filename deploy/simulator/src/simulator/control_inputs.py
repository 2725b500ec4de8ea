"""What the control origin takes."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from simulator.settings import Provider
from simulator.stripe.account import DEFAULT_API_VERSION


class NoSuchThingError(LookupError):
    """The control origin was asked for something that is not there."""


def known(value: str, names: list[str], what: str) -> None:
    """Raise ValueError for a name that means nothing here."""
    if value not in names:
        raise ValueError(f"No {what} {value!r}; there are: {', '.join(names)}")


class _Input(BaseModel):
    model_config = ConfigDict(extra="forbid")


class EndpointInput(_Input):
    provider: Provider
    url: str = Field(pattern=r"^https?://")
    secrets: Annotated[list[str], Field(min_length=1, max_length=5)]
    payload: Literal["snapshot", "thin"] = "snapshot"
    api_version: str = Field(DEFAULT_API_VERSION, pattern=r"^\d{4}-\d{2}-\d{2}(\.[a-z]+)?$")


class Endpoints(_Input):
    endpoints: list[EndpointInput]


class Script(_Input):
    """What happens to a customer's next charges, one each."""

    outcomes: list[str]


class Action(_Input):
    action: str
    cause: str | None = None
    will_attempt_retry: bool = False
    outcome: str | None = None


class Period(_Input):
    """A month of membership that Stripe bills by itself."""

    customer: str
    amount_minor: int = Field(ge=50, le=99_999_999)
    currency: str = "aud"
    description: str = "Monthly membership"
    subscription: str | None = None


class Payout(_Input):
    """Payments to pay out; none given: all that are confirmed."""

    payments: list[str] | None = None


class Forgery(_Input):
    """A delivery that did not come from the provider: an earlier one, falsified and sent once."""

    provider: Provider
    how: Literal["altered_byte", "other_secret", "stale_timestamp", "future_timestamp"] = "other_secret"
    delivery: str | None = None


class Flush(_Input):
    timeout_seconds: float = Field(10, gt=0, le=300)


class Reset(_Input):
    seed: str | None = Field(None, min_length=1)


class StripeDispute(_Input):
    """A cardholder's bank disputes a charge; an inquiry moves no money."""

    inquiry: bool = False
    reason: str = "fraudulent"
    amount_minor: int | None = Field(None, ge=1)


class StripeFees(_Input):
    """When a charge's balance transaction is known: with its success, or a moment later."""

    late: bool
