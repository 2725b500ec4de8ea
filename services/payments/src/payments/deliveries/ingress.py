"""The ingress: where providers post. Signature, raw bytes, dedupe, the worker's rows; then, and only then, 2xx.

Promises: a 2xx is sent after the commit that holds the delivery; deliveries that arrive together share one commit; a
delivery that is refused is kept as evidence as long as the quota lasts. It breaks its promise to nobody when Kafka is
away, and answers 503 when PostgreSQL is. Plain Starlette: a framework's validation would be most of its time.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import asyncpg
import structlog
from chassis.clock import real_now
from chassis.database import Wake
from chassis.group_commit import GroupCommit, OverloadedError
from chassis.ids import new_id
from chassis.web import Problem
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from payments.deliveries import store
from payments.deliveries.store import Arrived, ArrivedEvent, Rejected
from payments.providers.reading import ProviderEvent, read_gocardless, read_stripe
from payments.providers.signatures import Refused, Verified, verify_gocardless, verify_stripe
from payments.settings import PaymentsSettings, split_secrets

log = structlog.get_logger()
_HEADERS_MAX_BYTES: Final = 16_384
_HASHED_MAX_BYTES: Final = 64 * 1_048_576
_RETRY_AFTER_SECONDS: Final = 5
_OWN_ACCOUNT: Final = ""

Verify = Callable[[bytes, "Request"], "Verified | Refused"]
Read = Callable[[bytes], "list[ProviderEvent | None]"]


@dataclass(frozen=True, slots=True)
class Door:
    """How one provider signs, writes and wants to be refused."""

    provider: str
    verify: Verify
    read: Read
    refused_status: int


class TooLargeError(Exception):
    """The body is larger than a delivery may be; `sha256` of what was received, at most 64 MiB of it."""

    def __init__(self, size_bytes: int, sha256: bytes) -> None:
        super().__init__(f"a delivery of more than {size_bytes} bytes")
        self.size_bytes = size_bytes
        self.sha256 = sha256
