"""The ingress: where providers post. Signature, raw bytes, dedupe, the worker's rows; then, and only then, 2xx.

Promises: a 2xx is sent after the commit that holds the delivery; deliveries that arrive together share one commit; a
delivery that is refused is kept as evidence as long as the quota lasts. Kafka is not needed; without PostgreSQL the
answer is 503, and the provider comes again. Plain routes: a framework's validation would be most of their time.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
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
from chassis.web import BODY_TOO_LARGE, OVERLOADED, Problem, ProblemType
from chassis.web.problems import REQUEST_TIMEOUT
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from payments.deliveries import store
from payments.deliveries.domain import OWN_ACCOUNT, Provider, ProviderEvent, Refused, Unreadable, Verified
from payments.deliveries.store import Arrived, ArrivedEvent, Rejected
from payments.providers.reading import read_gocardless, read_stripe
from payments.providers.signatures import Secret, verify_gocardless, verify_stripe
from payments.settings import PaymentsSettings, split_secrets

log = structlog.get_logger()
_HEADERS_MAX_BYTES: Final = 16_384
_HASHED_MAX_BYTES: Final = 64 * 1_048_576
_SECRET_HEADERS: Final = frozenset({b"authorization", b"cookie", b"proxy-authorization"})

REFUSED_BY_STRIPE_RULES: Final = ProblemType("signature-refused", "The signature proves nothing", 400)
REFUSED_BY_GOCARDLESS_RULES: Final = ProblemType("invalid-token", "The signature proves nothing", 498)


@dataclass(frozen=True, slots=True)
class Door:
    """How one provider signs and writes, and how it wants to be refused."""

    provider: Provider
    signature_header: str
    verify: Callable[[bytes, str | None, datetime], Verified | Refused]
    read: Callable[[bytes], Sequence[ProviderEvent | Unreadable]]
    refusal: ProblemType


def doors(settings: PaymentsSettings) -> tuple[Door, ...]:
    """The doors of both providers, with the secrets that are active."""
    stripe = _secrets("stripe", split_secrets(settings.stripe_webhook_secrets))
    gocardless = _secrets("gocardless", split_secrets(settings.gocardless_webhook_secrets))
    tolerance = settings.signature_tolerance_seconds
    return (
        Door(
            "stripe",
            "stripe-signature",
            lambda body, header, now: verify_stripe(body, header, stripe, now.timestamp(), tolerance),
            lambda body: (read_stripe(body),),
            REFUSED_BY_STRIPE_RULES,
        ),
        Door(
            "gocardless",
            "webhook-signature",
            lambda body, header, _: verify_gocardless(body, header, gocardless),
            lambda body: read_gocardless_items(body, livemode=settings.gocardless_livemode),
            REFUSED_BY_GOCARDLESS_RULES,
        ),
    )


def read_gocardless_items(body: bytes, *, livemode: bool) -> Sequence[ProviderEvent | Unreadable]:
    """Each item of a GoCardless body in order; a body that cannot be read at all is one unreadable item."""
    read = read_gocardless(body, livemode=livemode)
    return (read,) if isinstance(read, Unreadable) else read


def _secrets(provider: Provider, values: Sequence[str]) -> tuple[Secret, ...]:
    return tuple(Secret(f"{provider}-{number}", value.encode()) for number, value in enumerate(values, 1))


class DeliveryIngress:
    """The plain routes of both providers and the group commits behind them."""

    def __init__(self, database: Database, settings: PaymentsSettings) -> None:
        self._settings = settings
        self._in_flight_bytes = 0
        limits = GroupLimits(max_delay_seconds=settings.group_commit_max_delay_ms / 1_000)
        self._accepted: GroupCommit[Arrived, None] = GroupCommit(
            database, _accept, name="ingress", size_of=lambda item: len(item.body), limits=limits
        )
        self._rejected: GroupCommit[Rejected, None] = GroupCommit(
            database, self._reject, name="ingress.rejected", size_of=lambda item: item.body_bytes, limits=limits
        )
        self.parts: Sequence[Part] = (self._accepted, self._rejected)
        self.routes: Sequence[Route] = tuple(
            Route(f"/webhooks/{door.provider}", self._endpoint(door), methods=["POST"]) for door in doors(settings)
        )

    @property
    def committed(self) -> Wake:
        return self._accepted.committed

    async def _reject(self, connection: asyncpg.Connection, rejected: Sequence[Rejected]) -> Sequence[None]:
        await store.reject(connection, rejected, kept_max_bytes=self._settings.rejected_kept_max_bytes)
        return [None] * len(rejected)

    def _endpoint(self, door: Door) -> Callable[[Request], object]:
        async def receive(request: Request) -> Response:
            try:
                response = await self._receive(door, request)
            except Problem as problem:
                metrics.INGRESS_ANSWERS.labels(door.provider, str(problem.type.status)).inc()
                raise
            metrics.INGRESS_ANSWERS.labels(door.provider, str(response.status_code)).inc()
            return response

        return receive

    async def _receive(self, door: Door, request: Request) -> Response:
        received_at = real_now()
        async with self._read(door, request, received_at) as body:
            verdict = door.verify(body, request.headers.get(door.signature_header), received_at)
            if isinstance(verdict, Refused):
                await self._keep_rejected(door, request, received_at, door.refusal.status, verdict.reason, body)
                raise Problem(door.refusal, f"The delivery is kept and not used: {verdict.reason}.")
            await self._accepted.submit(_arrived(door, request, received_at, verdict, body))
        return Response(status_code=200)

    @asynccontextmanager
    async def _read(self, door: Door, request: Request, received_at: datetime) -> AsyncIterator[bytes]:
        """The whole body, while its bytes count against what may be in flight."""
        limit, taken = self._settings.delivery_max_bytes, 0
        parts: list[bytes] = []
        digest = hashlib.sha256()
        size = 0
        try:
            async with asyncio.timeout(self._settings.delivery_read_timeout_seconds) as clock:
                async for part in request.stream():
                    size += len(part)
                    digest.update(part)
                    if size > limit:
                        parts.clear()
                        if size > _HASHED_MAX_BYTES:
                            break
                        continue
                    taken += len(part)
                    self._take(len(part))
                    parts.append(part)
            if size > limit:
                await self._keep_rejected(
                    door, request, received_at, 413, "too_large", None, size=size, sha256=digest.digest()
                )
                raise Problem(BODY_TOO_LARGE, f"A delivery may have {limit} bytes.")
            yield parts[0] if len(parts) == 1 else b"".join(parts)
        except TimeoutError:
            if not clock.expired():
                raise
            seconds = self._settings.delivery_read_timeout_seconds
            raise Problem(REQUEST_TIMEOUT, f"The body was not whole after {seconds:g} s.") from None
        finally:
            self._in_flight_bytes -= taken

    def _take(self, size_bytes: int) -> None:
        self._in_flight_bytes += size_bytes
        if self._in_flight_bytes > self._settings.deliveries_in_flight_max_bytes:
            raise Problem(OVERLOADED, "Too many deliveries arrive at once. Send this one again.")

    async def _keep_rejected(
        self,
        door: Door,
        request: Request,
        received_at: datetime,
        status: int,
        refusal: str,
        body: bytes | None,
        *,
        size: int | None = None,
        sha256: bytes | None = None,
    ) -> None:
        await self._rejected.submit(
            Rejected(
                id=new_id(),
                provider=door.provider,
                account=OWN_ACCOUNT,
                received_at=received_at,
                status_answered=status,
                refusal=refusal,
                headers=_raw_headers(request),
                body=body,
                body_bytes=len(body or b"") if size is None else size,
                sha256=sha256 or hashlib.sha256(body or b"").digest(),
            )
        )
        log.warning("delivery.rejected", provider=door.provider, status=status, refusal=refusal)


async def _accept(connection: asyncpg.Connection, deliveries: Sequence[Arrived]) -> Sequence[None]:
    await store.accept(connection, deliveries)
    return [None] * len(deliveries)


def _arrived(door: Door, request: Request, received_at: datetime, verdict: Verified, body: bytes) -> Arrived:
    read = door.read(body)
    return Arrived(
        id=new_id(),
        provider=door.provider,
        account=OWN_ACCOUNT,
        received_at=received_at,
        verified_by=verdict.key_id,
        headers=_raw_headers(request),
        body=body,
        sha256=hashlib.sha256(body).digest(),
        events=tuple(ArrivedEvent(new_id(), event) for event in read if isinstance(event, ProviderEvent)),
        unreadable=tuple(item.index for item in read if isinstance(item, Unreadable)),
    )


def _raw_headers(request: Request) -> bytes:
    """The headers as they came, without those that carry somebody's secret."""
    lines = [b"%b: %b" % (name, value) for name, value in request.headers.raw if name not in _SECRET_HEADERS]
    return b"\r\n".join(lines)[:_HEADERS_MAX_BYTES]
