"""Reading one object from its provider: what a delivery only names, its provider can show.

Reading changes nothing at the provider, so it may be tried as often as it takes. Answers are kept as they came.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

import httpx

from payments.collection.objects import CHARGE, CUSTOMER, DEBIT, INTENT, INVOICE, MANDATE, Key
from payments.deliveries.domain import OWN_ACCOUNT
from payments.settings import PaymentsSettings

_GOCARDLESS_VERSION: Final = "2015-07-06"
_ANSWER_MAX_BYTES: Final = 4 * 1_048_576
_PATHS: Final = {
    ("stripe", CHARGE): "/v1/charges",
    ("stripe", INTENT): "/v1/payment_intents",
    ("stripe", INVOICE): "/v1/invoices",
    ("stripe", CUSTOMER): "/v1/customers",
    ("gocardless", DEBIT): "/payments",
    ("gocardless", MANDATE): "/mandates",
    ("gocardless", CUSTOMER): "/customers",
}


class ObjectNotReadError(Exception):
    """The provider did not show the object; `told` is what it answered, or why there was no answer."""

    def __init__(self, key: Key, told: str) -> None:
        super().__init__(f"{key.text} could not be read: {told}")
        self.key = key
        self.told = told


class ReadsObjects(Protocol):
    """Whoever can show a provider's object."""

    async def read(self, key: Key) -> bytes:
        """The provider's answer for this object. Raises ObjectNotReadError."""


@dataclass(frozen=True, slots=True)
class ProviderClients:
    """The APIs of both providers, read only."""

    stripe: httpx.AsyncClient
    gocardless: httpx.AsyncClient

    @classmethod
    def of(cls, settings: PaymentsSettings) -> ProviderClients:
        """Clients for the addresses and keys of the settings; close them with `aclose`."""
        limits = httpx.Limits(max_connections=10, max_keepalive_connections=5)
        timeout = httpx.Timeout(settings.provider_timeout_seconds)
        return cls(
            stripe=httpx.AsyncClient(
                base_url=settings.stripe_api_url,
                headers={"Authorization": f"Bearer {settings.stripe_api_key.get_secret_value()}"},
                timeout=timeout,
                limits=limits,
            ),
            gocardless=httpx.AsyncClient(
                base_url=settings.gocardless_api_url,
                headers={
                    "Authorization": f"Bearer {settings.gocardless_access_token.get_secret_value()}",
                    "GoCardless-Version": _GOCARDLESS_VERSION,
                },
                timeout=timeout,
                limits=limits,
            ),
        )

    async def read(self, key: Key) -> bytes:
        """The provider's answer for this object. Raises ObjectNotReadError."""
        path = _PATHS.get((key.provider, key.kind))
        if path is None or not key.id.isascii() or "/" in key.id:
            raise ObjectNotReadError(key, "there is no address for it")
        client = self.stripe if key.provider == "stripe" else self.gocardless
        connected = key.provider == "stripe" and key.account != OWN_ACCOUNT
        try:
            answer = await client.get(
                httpx.URL(path=f"{path}/{key.id}"), headers={"Stripe-Account": key.account} if connected else None
            )
        except httpx.HTTPError as error:
            raise ObjectNotReadError(key, type(error).__name__) from error
        if answer.status_code != httpx.codes.OK:
            raise ObjectNotReadError(key, f"status {answer.status_code}")
        if len(answer.content) > _ANSWER_MAX_BYTES:
            raise ObjectNotReadError(key, f"an answer of {len(answer.content)} bytes")
        return answer.content

    async def aclose(self) -> None:
        """Close every connection."""
        await self.stripe.aclose()
        await self.gocardless.aclose()
