"""The ingress: where providers post. Signature, raw bytes, dedupe, the worker's rows; then, and only then, 2xx.

Promises: a 2xx is sent after the commit that holds the delivery; deliveries that arrive together share one commit; a
delivery that is refused is kept as evidence as long as the quota lasts. Kafka is not needed; without PostgreSQL the
answer is 503, and the provider comes again. Plain routes: a framework's validation would be most of their time.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

import asyncpg
import structlog
from chassis.clock import real_now
from chassis.database import Database, Wake
from chassis.group_commit import GroupCommit, GroupLimits
from chassis.ids import new_id
from chassis.service import Part
from chassis.telemetry import metrics
from chassis.web import BAD_REQUEST, BODY_TOO_LARGE, OVERLOADED, Problem, ProblemType
from chassis.web.context import RequestContext
from chassis.web.problems import REQUEST_TIMEOUT, problem_of
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

from payments.deliveries import store
from payments.deliveries.domain import OWN_ACCOUNT, Provider, ProviderEvent, Refused, Unreadable, Verified
from payments.deliveries.reading import read_items
from payments.deliveries.store import Arrived, ArrivedEvent, Rejected
from payments.providers.signatures import Secret, verify_gocardless, verify_stripe
from payments.settings import PaymentsSettings, split_secrets

RawHeaders = Iterable[tuple[bytes, bytes]]
log = structlog.get_logger()
_HEADERS_MAX_BYTES: Final = 16_384
_HASHED_MAX_BYTES: Final = 64 * 1_048_576
_HUNG_UP: Final = "The sender hung up before the body was whole."
_SECRET_HEADERS: Final = frozenset({b"authorization", b"cookie", b"proxy-authorization"})

REFUSED_BY_STRIPE_RULES: Final = ProblemType("signature-refused", "The signature proves nothing", 400)
REFUSED_BY_GOCARDLESS_RULES: Final = ProblemType("invalid-token", "The signature proves nothing", 498)


@dataclass(frozen=True, slots=True)
class Door:
    """How one provider signs and writes, and how it wants to be refused."""

    provider: Provider
    signature_header: bytes
    verify: Callable[[bytes, bytes | None, datetime], Verified | Refused]
    read: Callable[[bytes], Sequence[ProviderEvent | Unreadable]]
    refusal: ProblemType


def doors(settings: PaymentsSettings) -> tuple[Door, ...]:
    """The doors of both providers, with the secrets that are active."""
    stripe = _secrets("stripe", split_secrets(settings.stripe_webhook_secrets))
    gocardless = _secrets("gocardless", split_secrets(settings.gocardless_webhook_secrets))
    tolerance, livemode = settings.signature_tolerance_seconds, settings.livemode
    return (
        Door(
            "stripe",
            b"stripe-signature",
            lambda body, header, now: verify_stripe(body, header, stripe, now.timestamp(), tolerance),
            lambda body: read_items("stripe", body, livemode=livemode),
            REFUSED_BY_STRIPE_RULES,
        ),
        Door(
            "gocardless",
            b"webhook-signature",
            lambda body, header, _: verify_gocardless(body, header, gocardless),
            lambda body: read_items("gocardless", body, livemode=livemode),
            REFUSED_BY_GOCARDLESS_RULES,
        ),
    )


def _secrets(provider: Provider, values: Sequence[str]) -> tuple[Secret, ...]:
    return tuple(Secret(f"{provider}-{number}", value.encode()) for number, value in enumerate(values, 1))


@dataclass(frozen=True, slots=True)
class _Body:
    """What was received; `whole` None where it was too large to keep."""

    whole: bytes | None
    size_bytes: int
    sha256: bytes


class DeliveryIngress:
    """The plain routes of both providers and the group commits behind them."""

    def __init__(self, database: Database, settings: PaymentsSettings) -> None:
        self._settings = settings
        self.in_flight_bytes = 0
        """Bytes of all deliveries that are being received or wait for their commit."""
        limits = GroupLimits(max_delay_seconds=settings.group_commit_max_delay_ms / 1_000)
        self._accepted: GroupCommit[Arrived, None] = GroupCommit(
            database, _accept, name="ingress", size_of=lambda item: len(item.body), limits=limits
        )
        self._rejected: GroupCommit[Rejected, None] = GroupCommit(
            database, self._reject, name="ingress.rejected", size_of=lambda item: item.body_bytes, limits=limits
        )
        self.parts: Sequence[Part] = (self._accepted, self._rejected)
        self.routes: Sequence[Route] = tuple(
            Route(f"/webhooks/{door.provider}", _Endpoint(self, door), methods=["POST"]) for door in doors(settings)
        )

    @property
    def committed(self) -> Wake:
        return self._accepted.committed

    async def _reject(self, connection: asyncpg.Connection, rejected: Sequence[Rejected]) -> Sequence[None]:
        async with connection.transaction():
            await store.reject(connection, rejected, kept_max_bytes=self._settings.rejected_kept_max_bytes)
        return [None] * len(rejected)

    async def take(self, door: Door, headers: RawHeaders, receive: Receive, traceparent: str | None = None) -> None:
        """Keep one delivery, which is part of the trace `traceparent`; returns when it is durable.

        Raises Problem for everything that is not a 2xx.
        """
        received_at = real_now()
        message = await receive()
        taken = 0
        try:
            if message["type"] == "http.disconnect":
                raise Problem(BAD_REQUEST, _HUNG_UP)
            if message.get("more_body", False):
                body, taken = await self._read(message, receive)
            else:
                whole = message.get("body", b"")
                taken = len(whole)
                self._take(taken)
                body = _Body(whole, taken, hashlib.sha256(whole).digest())
            await self._judge(door, headers, received_at, body, traceparent)
        finally:
            self.in_flight_bytes -= taken

    async def _judge(
        self, door: Door, headers: RawHeaders, received_at: datetime, body: _Body, traceparent: str | None
    ) -> None:
        limit = self._settings.delivery_max_bytes
        if body.whole is None or body.size_bytes > limit:
            large = replace(body, whole=None)
            await self._keep_rejected(door, headers, received_at, 413, "too_large", large)
            raise Problem(BODY_TOO_LARGE, f"A delivery may have {limit} bytes.")
        signature = next((value for name, value in headers if name == door.signature_header), None)
        verdict = door.verify(body.whole, signature, received_at)
        if isinstance(verdict, Refused):
            await self._keep_rejected(door, headers, received_at, door.refusal.status, verdict.reason, body)
            raise Problem(door.refusal, f"The delivery is kept and not used: {verdict.reason}.")
        arrived = _arrived(door, headers, received_at, verdict, body.whole, body.sha256, traceparent)
        await self._accepted.submit(arrived)

    async def _read(self, first: Message, receive: Receive) -> tuple[_Body, int]:
        """The rest of a body that comes in parts, and how many of its bytes count as in flight."""
        limit, size, taken = self._settings.delivery_max_bytes, 0, 0
        parts: list[bytes] = []
        digest = hashlib.sha256()
        message = first
        try:
            async with asyncio.timeout(self._settings.delivery_read_timeout_seconds):
                while True:
                    part = message.get("body", b"")
                    size += len(part)
                    digest.update(part)
                    if size <= limit:
                        taken += len(part)
                        self._take(len(part))
                        parts.append(part)
                    if message["type"] == "http.disconnect" or size > _HASHED_MAX_BYTES:
                        break
                    if not message.get("more_body", False):
                        whole = b"".join(parts) if size <= limit else None
                        return _Body(whole, size, digest.digest()), taken
                    message = await receive()
        except BaseException as error:
            self.in_flight_bytes -= taken
            if isinstance(error, TimeoutError):
                seconds = self._settings.delivery_read_timeout_seconds
                raise Problem(REQUEST_TIMEOUT, f"The body was not whole after {seconds:g} s.") from None
            raise
        if message["type"] == "http.disconnect":
            self.in_flight_bytes -= taken
            raise Problem(BAD_REQUEST, _HUNG_UP)
        return _Body(None, size, digest.digest()), taken

    def _take(self, size_bytes: int) -> None:
        self.in_flight_bytes += size_bytes
        if self.in_flight_bytes > self._settings.deliveries_in_flight_max_bytes:
            raise Problem(OVERLOADED, "Too many deliveries arrive at once. Send this one again.")

    async def _keep_rejected(
        self, door: Door, headers: RawHeaders, received_at: datetime, status: int, refusal: str, body: _Body
    ) -> None:
        await self._rejected.submit(
            Rejected(
                id=new_id(),
                provider=door.provider,
                account=OWN_ACCOUNT,
                received_at=received_at,
                status_answered=status,
                refusal=refusal,
                headers=_kept_headers(headers),
                body=body.whole,
                body_bytes=body.size_bytes,
                sha256=body.sha256,
            )
        )
        log.warning("delivery.rejected", provider=door.provider, status=status, refusal=refusal)


class _Endpoint:
    """One door as a bare ASGI application: a request and a response object would cost more than the signature."""

    def __init__(self, ingress: DeliveryIngress, door: Door) -> None:
        self._ingress = ingress
        self._door = door
        self._accepted = metrics.INGRESS_ANSWERS.labels(door.provider, "200")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            traceparent = RequestContext.of(scope).traceparent
            await self._ingress.take(self._door, scope["headers"], receive, traceparent)
        except Exception as error:
            # Whoever answers for it (chassis.web.edge) makes the same problem of it.
            metrics.INGRESS_ANSWERS.labels(self._door.provider, str(problem_of(error).type.status)).inc()
            raise
        self._accepted.inc()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})


async def _accept(connection: asyncpg.Connection, deliveries: Sequence[Arrived]) -> Sequence[None]:
    await store.accept(connection, deliveries)
    return [None] * len(deliveries)


def _arrived(
    door: Door,
    headers: RawHeaders,
    received_at: datetime,
    verdict: Verified,
    body: bytes,
    sha256: bytes,
    traceparent: str | None,
) -> Arrived:
    read = door.read(body)
    return Arrived(
        id=new_id(),
        provider=door.provider,
        account=OWN_ACCOUNT,
        received_at=received_at,
        verified_by=verdict.key_id,
        traceparent=traceparent,
        headers=_kept_headers(headers),
        body=body,
        sha256=sha256,
        events=tuple(ArrivedEvent(new_id(), event) for event in read if isinstance(event, ProviderEvent)),
        unreadable=tuple(item.index for item in read if isinstance(item, Unreadable)),
    )


def _kept_headers(headers: RawHeaders) -> bytes:
    """The headers as they came, without those that carry somebody's secret."""
    lines = [name + b": " + value for name, value in headers if name not in _SECRET_HEADERS]
    return b"\r\n".join(lines)[:_HEADERS_MAX_BYTES]
