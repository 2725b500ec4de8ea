"""Reading one object from its provider: what a delivery only names, its provider can show.

Reading changes nothing at the provider, so it may be tried as often as it takes. Answers are kept as they came.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol
from urllib.parse import quote

import httpx
import orjson

from payments.collection.objects import (
    CHARGE,
    CREDIT_NOTE,
    DEBIT,
    DISPUTE,
    ENTRY,
    INTENT,
    INVOICE,
    INVOICE_PAYMENT,
    PAYOUT,
    REFUND,
    Key,
)
from payments.deliveries.domain import OWN_ACCOUNT
from payments.settings import PaymentsSettings

_GOCARDLESS_VERSION: Final = "2015-07-06"
_ANSWER_MAX_BYTES: Final = 4 * 1_048_576
_PAGES_MAX: Final = 200
_STRIPE_PATHS: Final[Mapping[str, str]] = {
    CHARGE: "charges",
    INTENT: "payment_intents",
    INVOICE: "invoices",
    INVOICE_PAYMENT: "invoice_payments",
    REFUND: "refunds",
    DISPUTE: "disputes",
    CREDIT_NOTE: "credit_notes",
    ENTRY: "balance_transactions",
}
_EXPANDED: Final[Mapping[str, str]] = {
    CHARGE: "?expand[]=balance_transaction&expand[]=refunds",
    INVOICE: "?expand[]=payments",
}
_BASIL: Final = {"Stripe-Version": "2025-03-31.basil"}
"""What pays an invoice is shown so from this version on, whichever the account has."""


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

    async def aclose(self) -> None:
        """Close every connection."""


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
        """The provider's answer for this object, with what has to be read beside it.

        A GoCardless payment comes with its mandate, which says whose it is; a payout with all of its lines; a Stripe
        charge with its balance transaction and refunds, an invoice with its payments. Raises ObjectNotReadError.
        """
        match key.provider, key.kind:
            case "stripe", kind if kind == PAYOUT:
                return await self._stripe_payout(key)
            case "stripe", kind if kind in _STRIPE_PATHS:
                expanded = _EXPANDED.get(kind, "")
                path = f"/v1/{_STRIPE_PATHS[kind]}/{segment(key, key.id)}{expanded}"
                return await _get(self.stripe, key, path, _account(key) | (_BASIL if kind == INVOICE else {}))
            case "gocardless", kind if kind == DEBIT:
                return await self._debit(key)
            case "gocardless", kind if kind == REFUND:
                return await _get(self.gocardless, key, f"/refunds/{segment(key, key.id)}")
            case "gocardless", kind if kind == PAYOUT:
                return await self._gocardless_payout(key)
            case _:
                raise ObjectNotReadError(key, "there is no address for it")

    async def _debit(self, key: Key) -> bytes:
        payment = _object(key, await _get(self.gocardless, key, f"/payments/{segment(key, key.id)}"))
        described = payment.get("payments")
        links = described.get("links") if isinstance(described, dict) else None
        mandate = links.get("mandate") if isinstance(links, dict) else None
        if isinstance(mandate, str) and mandate:
            payment |= _object(key, await _get(self.gocardless, key, f"/mandates/{segment(key, mandate)}"))
        return orjson.dumps(payment)

    async def _stripe_payout(self, key: Key) -> bytes:
        """The payout and, once they can be listed, its balance transactions: an automatic payout's alone can be."""
        payout = _object(key, await _get(self.stripe, key, f"/v1/payouts/{segment(key, key.id)}", _account(key)))
        if payout.get("automatic") is not True or payout.get("reconciliation_status") == "in_progress":
            return orjson.dumps(payout)
        items: list[Any] = []
        query, after = f"/v1/balance_transactions?payout={segment(key, key.id)}&limit=100", ""
        for _ in range(_PAGES_MAX):
            page = _object(key, await _get(self.stripe, key, f"{query}{after}", _account(key)))
            items += _listed(key, page, "data")
            if page.get("has_more") is not True:
                return orjson.dumps({"payout": payout, "items": items})
            after = f"&starting_after={segment(key, _id_of_last(key, items))}"
        raise ObjectNotReadError(key, f"more than {_PAGES_MAX} pages of balance transactions")

    async def _gocardless_payout(self, key: Key) -> bytes:
        payout = _object(key, await _get(self.gocardless, key, f"/payouts/{segment(key, key.id)}"))
        items: list[Any] = []
        query, after = f"/payout_items?payout={segment(key, key.id)}&limit=500", ""
        for _ in range(_PAGES_MAX):
            page = _object(key, await _get(self.gocardless, key, f"{query}{after}"))
            items += _listed(key, page, "payout_items")
            meta = page.get("meta")
            cursors = meta.get("cursors") if isinstance(meta, dict) else None
            cursor = cursors.get("after") if isinstance(cursors, dict) else None
            if not isinstance(cursor, str) or not cursor:
                return orjson.dumps({"payouts": payout.get("payouts"), "payout_items": items})
            after = f"&after={segment(key, cursor)}"
        raise ObjectNotReadError(key, f"more than {_PAGES_MAX} pages of lines")

    async def aclose(self) -> None:
        """Close every connection."""
        await self.stripe.aclose()
        await self.gocardless.aclose()


def _account(key: Key) -> dict[str, str]:
    """The header that names a connected account."""
    return {} if key.account == OWN_ACCOUNT else {"Stripe-Account": key.account}


def _listed(key: Key, page: dict[str, Any], name: str) -> list[Any]:
    listed = page.get(name)
    if not isinstance(listed, list):
        raise ObjectNotReadError(key, f"an answer without {name}")
    return listed


def _id_of_last(key: Key, items: list[Any]) -> str:
    last = items[-1] if items else None
    id_ = last.get("id") if isinstance(last, dict) else None
    if not isinstance(id_, str) or not id_:
        raise ObjectNotReadError(key, "a page that has more and nothing to go on from")
    return id_


def segment(key: Key, id_: str) -> str:
    """The id as one segment of a path: whatever it holds, it leads nowhere else."""
    if id_ in {".", ".."}:
        raise ObjectNotReadError(key, "there is no address for it")
    return quote(id_, safe="")


async def _get(client: httpx.AsyncClient, key: Key, path: str, headers: dict[str, str] | None = None) -> bytes:
    """The answer's body: all of it within the client's time, and never more of it in memory than may be kept."""
    try:
        async with (
            asyncio.timeout(client.timeout.read),
            client.stream("GET", path, headers=headers) as answer,
        ):
            if answer.status_code != httpx.codes.OK:
                raise ObjectNotReadError(key, f"status {answer.status_code} for {path}")
            body = bytearray()
            async for piece in answer.aiter_bytes():
                body += piece
                if len(body) > _ANSWER_MAX_BYTES:
                    raise ObjectNotReadError(key, f"an answer of more than {_ANSWER_MAX_BYTES} bytes")
            return bytes(body)
    except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
        raise ObjectNotReadError(key, type(error).__name__) from error


def _object(key: Key, body: bytes) -> dict[str, Any]:
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise ObjectNotReadError(key, "an answer that is not JSON") from error
    if not isinstance(value, dict):
        raise ObjectNotReadError(key, "an answer that is no object")
    return value
