"""Signatures of deliveries, by the rules of the official libraries, over the raw bytes.

Stripe signs `t.body` with HMAC-SHA256 and may send several `v1` while a secret rotates; its library accepts any time
in the future, we do not. GoCardless signs the body alone, so only the event id stops a replay. Nothing here raises:
what cannot be read is refused. Several secrets may be active, and a match tells which.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from payments.deliveries.domain import Refused, Verified

__all__ = ["Refused", "Secret", "Verified", "verify_gocardless", "verify_stripe"]

HEADER_MAX_BYTES: Final = 8_192
TOLERANCE_SECONDS: Final = 300
_BLANK: Final = " \t\r\n\f\v"

NO_SECRET: Final = Refused("no_secret")
NO_HEADER: Final = Refused("no_header")
HEADER_NOT_ASCII: Final = Refused("header_not_ascii")
HEADER_TOO_LONG: Final = Refused("header_too_long")
HEADER_MALFORMED: Final = Refused("header_malformed")
NO_SIGNATURE: Final = Refused("no_signature")
NO_MATCH: Final = Refused("no_match")
TOO_OLD: Final = Refused("too_old")
TOO_NEW: Final = Refused("too_new")


@dataclass(frozen=True, slots=True)
class Secret:
    """An active signing secret; `key_id` names it in logs and rows, the value never leaves this object's repr."""

    key_id: str
    value: bytes = field(repr=False)


def verify_stripe(
    body: bytes,
    header: bytes | str | None,
    secrets: Sequence[Secret],
    now: float,
    tolerance_seconds: float = TOLERANCE_SECONDS,
) -> Verified | Refused:
    """Check a `Stripe-Signature`; `now` is real time in epoch seconds.

    A wrong signature is told before a wrong time, so that `too_old` always means bytes that Stripe once signed.
    """
    text = _ascii(header)
    if isinstance(text, Refused):
        return text
    read = _timestamp_and_signatures(text)
    if read is None:
        return HEADER_MALFORMED
    timestamp, signatures = read
    if not signatures:
        return NO_SIGNATURE
    found = _matching(b"%d.%b" % (timestamp, body), signatures, secrets)
    if isinstance(found, Refused):
        return found
    if timestamp < now - tolerance_seconds:
        return TOO_OLD
    if timestamp > now + tolerance_seconds:
        return TOO_NEW
    return found


def verify_gocardless(body: bytes, header: bytes | str | None, secrets: Sequence[Secret]) -> Verified | Refused:
    """Check a `Webhook-Signature`: lower-case hex of the raw body's HMAC-SHA256."""
    text = _ascii(header)
    if isinstance(text, Refused):
        return text
    return _matching(body, [text], secrets)


def _ascii(header: bytes | str | None) -> str | Refused:
    if not header:
        return NO_HEADER
    if len(header) > HEADER_MAX_BYTES:
        return HEADER_TOO_LONG
    if not header.isascii():
        return HEADER_NOT_ASCII
    return header.decode("ascii") if isinstance(header, bytes) else header


def _timestamp_and_signatures(header: str) -> tuple[int, list[str]] | None:
    """Read the header as the official library does: first `t` wins, unknown schemes are passed over."""
    timestamps: list[str] = []
    signatures: list[str] = []
    for item in header.split(","):
        name, *values = item.split("=", 2)
        if name not in ("t", "v1"):
            continue
        if not values:
            return None
        (timestamps if name == "t" else signatures).append(values[0])
    try:
        return int(timestamps[0]), signatures
    except (IndexError, ValueError):
        return None


def _matching(message: bytes, signatures: Sequence[str], secrets: Sequence[Secret]) -> Verified | Refused:
    usable = [secret for secret in secrets if secret.value.strip(_BLANK.encode())]
    if not usable:
        return NO_SECRET
    for secret in usable:
        expected = hmac.digest(secret.value, message, "sha256").hex()
        if any(hmac.compare_digest(expected, signature) for signature in signatures):
            return Verified(secret.key_id)
    return NO_MATCH
