"""The providers' webhook signatures, made the way each provider makes them."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from datetime import datetime

from simulator.clock import epoch


def stripe_signature(body: bytes, secrets: Iterable[str], at: datetime) -> str:
    """Return the `Stripe-Signature` value: one `v1` for each active secret of the endpoint."""
    timestamp = epoch(at)
    signed = b"%d.%s" % (timestamp, body)
    return ",".join([f"t={timestamp}", *(f"v1={_hex(signed, secret)}" for secret in secrets)])


def gocardless_signature(body: bytes, secret: str) -> str:
    """Return the `Webhook-Signature` value. It covers the body alone: no timestamp."""
    return _hex(body, secret)


def _hex(message: bytes, secret: str) -> str:
    return hmac.new(secret.encode(), message, hashlib.sha256).hexdigest()
