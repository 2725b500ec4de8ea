"""Asking a provider to try again to collect a payment, at most once for each attempt.

Whatever happens is an answer, never an exception. Every request looks first how the payment stands: an attempt that was
made before, by a process that died or in a call that was never answered, is found and not made again. At Stripe the
call carries the attempt's idempotency key; GoCardless takes none, so the look is all that protects there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

import httpx
import orjson

from payments.collection.objects import CHARGE, DEBIT, INTENT, Key
from payments.deliveries.domain import OWN_ACCOUNT
from payments.providers.clients import ObjectNotReadError, ProviderClients, segment

_ANSWER_MAX_BYTES: Final = 1_048_576
_MOVING: Final = frozenset({"succeeded", "processing", "requires_capture"})
_DEBITS_MOVING: Final = frozenset(
    {"pending_customer_approval", "pending_submission", "submitted", "confirmed", "paid_out"}
)
# The provider did not act, or cannot say whether it did: the same call may be made again with the same key.
_NOT_DECIDED: Final = frozenset({401, 403, 408, 409, 425, 429})
Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Request:
    """One attempt: `key` is its idempotency key, `known` are the ids by which the payment's attempts are known.

    `send` False: only look what became of it. `customer` given: use what that customer has as default method now.
    """

    payment: Key
    number: int
    key: str
    known: frozenset[str]
    send: bool = True
    customer: str | None = None


@dataclass(frozen=True, slots=True)
class Accepted:
    """The provider collects, or has collected; `show` is the object that tells how it goes."""

    told: str
    show: Key | None = None


@dataclass(frozen=True, slots=True)
class Declined:
    """The attempt was made and failed; `show` is the object that tells why."""

    told: str
    show: Key | None = None


@dataclass(frozen=True, slots=True)
class Unknown:
    """Nobody can say yet whether the attempt was made: look again later. `untouched`: by now it was not."""

    told: str
    untouched: bool = False


@dataclass(frozen=True, slots=True)
class NotMade:
    """The provider will not make it: nothing was collected, and asking again does not help."""

    told: str


Answer = Accepted | Declined | Unknown | NotMade


class Collects(Protocol):
    """Whoever can ask a provider to collect."""

    async def collect(self, request: Request) -> Answer:
        """Make the attempt, unless it was made already. Never raises for what the provider says or does not say."""

    async def aclose(self) -> None:
        """Close every connection."""


class NoAnswerError(Exception):
    """The provider did not answer, or not in a way that decides anything."""


class ProviderCollector:
    """The APIs of both providers."""

    def __init__(self, clients: ProviderClients) -> None:
        self._clients = clients

    async def aclose(self) -> None:
        """Close every connection."""
        await self._clients.aclose()

    async def collect(self, request: Request) -> Answer:
        """Make the attempt, unless it was made already."""
        try:
            match request.payment.provider, request.payment.kind:
                case "stripe", kind if kind == INTENT:
                    return await self._stripe(request)
                case "gocardless", kind if kind == DEBIT:
                    return await self._gocardless(request)
                case _:
                    return NotMade("there is nothing at the provider that could be tried again")
        except NoAnswerError as error:
            return Unknown(str(error))
        except ObjectNotReadError as error:
            return NotMade(error.told)

    async def _stripe(self, request: Request) -> Answer:
        path = f"/v1/payment_intents/{segment(request.payment, request.payment.id)}"
        headers = {} if request.payment.account == OWN_ACCOUNT else {"Stripe-Account": request.payment.account}
        status, intent = await ask(self._clients.stripe, "GET", path, headers=headers)
        if status != httpx.codes.OK:
            return NotMade(f"Stripe answered {status} for the payment")
        state, charge = intent.get("status"), _id(intent.get("latest_charge"))
        shown = Key("stripe", request.payment.account, CHARGE, charge) if charge else None
        if state in _MOVING:
            return Accepted(f"Stripe calls it {state}", shown)
        if charge is not None and charge not in request.known:
            return Declined("Stripe has made an attempt that failed", shown)
        if state == "canceled":
            return NotMade("the payment was cancelled at Stripe")
        if not request.send:
            return Unknown("Stripe shows no attempt", untouched=True)
        method = await self._method(request, intent, headers)
        if method is None:
            return NotMade("Stripe knows no payment method for it")
        headers = {**headers, "Idempotency-Key": request.key}
        form = {"payment_method": method, "off_session": "true"}
        status, body = await ask(self._clients.stripe, "POST", f"{path}/confirm", headers=headers, form=form)
        return _confirmed(request.payment, status, body)

    async def _method(self, request: Request, intent: Json, headers: Mapping[str, str]) -> str | None:
        if request.customer is not None:
            path = f"/v1/customers/{segment(request.payment, request.customer)}"
            status, customer = await ask(self._clients.stripe, "GET", path, headers=headers)
            settings = customer.get("invoice_settings") if status == httpx.codes.OK else None
            newest = _id(settings.get("default_payment_method")) if isinstance(settings, dict) else None
            if newest is not None:
                return newest
        error = intent.get("last_payment_error")
        failed = _id(error.get("payment_method")) if isinstance(error, dict) else None
        return _id(intent.get("payment_method")) or failed

    async def _gocardless(self, request: Request) -> Answer:
        path = f"/payments/{segment(request.payment, request.payment.id)}"
        status, body = await ask(self._clients.gocardless, "GET", path)
        if status != httpx.codes.OK:
            return NotMade(f"GoCardless answered {status} for the payment")
        payment = body.get("payments")
        state = payment.get("status") if isinstance(payment, dict) else None
        if state in _DEBITS_MOVING:
            return Accepted(f"GoCardless calls it {state}")
        if state != "failed":
            return NotMade(f"GoCardless calls it {state}")
        if not request.send:
            return Unknown("GoCardless shows no attempt", untouched=True)
        status, body = await ask(self._clients.gocardless, "POST", f"{path}/actions/retry", json={"data": {}})
        if status in (httpx.codes.OK, httpx.codes.CREATED):
            return Accepted("GoCardless tries again")
        return NotMade(f"GoCardless refused to try again ({status})")


def _confirmed(payment: Key, status: int, body: Json) -> Answer:
    if status == httpx.codes.OK:
        charge = _id(body.get("latest_charge"))
        shown = Key("stripe", payment.account, CHARGE, charge) if charge else None
        state = body.get("status")
        if state in _MOVING:
            return Accepted(f"Stripe calls it {state}", shown)
        return Declined(f"Stripe calls it {state}", shown)
    error = body.get("error")
    given = error if isinstance(error, dict) else {}
    if status == httpx.codes.PAYMENT_REQUIRED:
        charge = _id(given.get("charge"))
        shown = Key("stripe", payment.account, CHARGE, charge) if charge else None
        code = given.get("decline_code") or given.get("code") or "declined"
        return Declined(str(code)[:100].replace("_", " "), shown)
    return NotMade(f"Stripe refused to try again ({str(given.get('code') or status)[:100]})")


async def ask(
    client: httpx.AsyncClient,
    method: str,
    path: str,
    *,
    headers: Mapping[str, str] | None = None,
    form: Mapping[str, str] | None = None,
    json: Json | None = None,
    decides: Collection[int] = (),
) -> tuple[int, Json]:
    """The status and the JSON of an answer that decides something, `decides` among them. Raises NoAnswerError."""
    try:
        async with (
            asyncio.timeout(client.timeout.read),
            client.stream(method, path, headers=headers, data=form, json=json) as answer,
        ):
            status = answer.status_code
            undecided = status in _NOT_DECIDED and status not in decides
            if status >= httpx.codes.INTERNAL_SERVER_ERROR or undecided or answer.is_redirect:
                raise NoAnswerError(f"status {status}")
            body = bytearray()
            async for piece in answer.aiter_bytes():
                body += piece
                if len(body) > _ANSWER_MAX_BYTES:
                    raise NoAnswerError(f"an answer of more than {_ANSWER_MAX_BYTES} bytes")
            value = orjson.loads(bytes(body))
    except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, orjson.JSONDecodeError) as error:
        raise NoAnswerError(type(error).__name__) from error
    if not isinstance(value, dict):
        raise NoAnswerError("an answer that is no object")
    return status, value


def _id(value: object) -> str | None:
    """The id of another object, whether given as an id or expanded in place."""
    if isinstance(value, dict):
        value = value.get("id")
    return value if isinstance(value, str) and value else None
