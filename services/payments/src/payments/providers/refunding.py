"""Asking a provider to give money back. Whatever it says is an answer; the same key never makes two refunds.

Stripe and GoCardless both keep idempotency keys: Stripe answers a repeated one as before, GoCardless says which refund
it made of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

import httpx

from payments.collection.objects import INTENT, Key
from payments.deliveries.domain import OWN_ACCOUNT
from payments.providers.clients import ProviderClients
from payments.providers.collecting import NoAnswerError, ask

_TOLD_MAX_CHARACTERS: Final = 200


@dataclass(frozen=True, slots=True)
class RefundCall:
    """One refund to be made: `total_minor` is what all refunds of the payment add up to with it."""

    request_id: str
    payment: Key
    amount_minor: int
    total_minor: int
    key: str


@dataclass(frozen=True, slots=True)
class Made:
    """The provider has made the refund with this id."""

    refund: str


@dataclass(frozen=True, slots=True)
class Refused:
    """The provider will not make it."""

    told: str


@dataclass(frozen=True, slots=True)
class Unanswered:
    """Nobody can say yet whether it was made: the same call again will tell."""

    told: str


class Refunds(Protocol):
    """Whoever can have a provider give money back."""

    async def refund(self, call: RefundCall) -> Made | Refused | Unanswered:
        """Have it made, unless it was made already. Never raises for what the provider says."""

    async def aclose(self) -> None:
        """Close every connection."""


class ProviderRefunds:
    """The APIs of both providers."""

    def __init__(self, clients: ProviderClients) -> None:
        self._clients = clients

    async def aclose(self) -> None:
        """Close every connection."""
        await self._clients.aclose()

    async def refund(self, call: RefundCall) -> Made | Refused | Unanswered:
        """Have it made, unless it was made already."""
        try:
            return await (self._stripe(call) if call.payment.provider == "stripe" else self._gocardless(call))
        except NoAnswerError as error:
            return Unanswered(str(error))

    async def _stripe(self, call: RefundCall) -> Made | Refused | Unanswered:
        headers = {"Idempotency-Key": call.key}
        if call.payment.account != OWN_ACCOUNT:
            headers["Stripe-Account"] = call.payment.account
        named = "payment_intent" if call.payment.kind == INTENT else "charge"
        form = {named: call.payment.id, "amount": str(call.amount_minor), "metadata[request]": call.request_id}
        status, body = await ask(self._clients.stripe, "POST", "/v1/refunds", headers=headers, form=form)
        refund = body.get("id")
        if status == httpx.codes.OK and isinstance(refund, str):
            return Made(refund)
        return Refused(f"Stripe refused ({_told(body.get('error'), status)})")

    async def _gocardless(self, call: RefundCall) -> Made | Refused | Unanswered:
        wanted = {
            "amount": call.amount_minor,
            "total_amount_confirmation": call.total_minor,
            "links": {"payment": call.payment.id},
            "metadata": {"request": call.request_id},
        }
        headers = {"Idempotency-Key": call.key}
        json = {"refunds": wanted}
        status, body = await ask(
            self._clients.gocardless, "POST", "/refunds", headers=headers, json=json, decides={httpx.codes.CONFLICT}
        )
        made = body.get("refunds")
        if (
            status in (httpx.codes.OK, httpx.codes.CREATED)
            and isinstance(made, dict)
            and isinstance(made.get("id"), str)
        ):
            return Made(made["id"])
        known = _conflicting(body)
        if known is not None:
            return Made(known)
        return Refused(f"GoCardless refused ({_told(body.get('error'), status)})")


def _conflicting(body: Mapping[str, Any]) -> str | None:
    """The refund that was made under the same key before."""
    error = body.get("error")
    for each in error.get("errors", ()) if isinstance(error, dict) else ():
        links = each.get("links") if isinstance(each, dict) else None
        found = links.get("conflicting_resource_id") if isinstance(links, dict) else None
        if isinstance(found, str) and found:
            return found
    return None


def _told(error: object, status: int) -> str:
    given = error if isinstance(error, dict) else {}
    return str(given.get("message") or given.get("code") or status)[:_TOLD_MAX_CHARACTERS]
