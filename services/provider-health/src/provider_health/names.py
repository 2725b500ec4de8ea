"""What is checked, by the names that events and paths carry, and the words by which an owner knows it."""

from __future__ import annotations

from typing import Final

STRIPE: Final = "stripe"
GOCARDLESS: Final = "gocardless"
MEMBERS_API: Final = "members-api"
PAYMENT_WEBHOOKS: Final = "payment-webhooks"
AI_DECISIONS: Final = "ai-decisions"
API: Final = "api"
HTTP: Final = "http"
WEBHOOKS: Final = "webhooks"
EVENTS: Final = "events"
_NAMES: Final = {
    STRIPE: "Stripe",
    GOCARDLESS: "GoCardless",
    MEMBERS_API: "The Members API",
    PAYMENT_WEBHOOKS: "The payment webhooks",
    AI_DECISIONS: "The log of AI decisions",
}
KNOWN: Final = frozenset(_NAMES)
PAYMENT_PROVIDERS: Final = frozenset({STRIPE, GOCARDLESS})


def name_of(provider: str) -> str:
    """Return those words; the provider's own where there are none."""
    return _NAMES.get(provider, provider)
