"""Whom the gateway of local mode believes: staff by their roles, in tokens of the issuer that this stack trusts.

The gateway is that issuer when a browser signs in; here the same key signs for the terminal. What a token says is held
by tests/local/test_stack.py, against the running gateway.
"""

from __future__ import annotations

import base64
import uuid
from collections.abc import Mapping
from datetime import timedelta
from typing import Final

import jwt
from chassis.clock import real_now
from chassis.tokens import mint, signing_key
from contracts.envelope import Actor
from contracts.roles import Role, scopes_of
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from backbone.credentials import Credentials

ISSUER: Final = "backbone-local"
AUDIENCE: Final = "backbone-gateway"
LIFETIME: Final = timedelta(hours=1)
NAMES: Final[Mapping[Role, str]] = {
    "owner": "Owner",
    "billing": "Maria Rossi",
    "front_desk": "Front desk",
    "coach": "Coach Sarah",
    "operations": "Operations",
    "platform": "Platform",
    "security": "Security",
}
"""Who one is in local mode by saying no more than a role."""


def staff(role: Role, name: str | None = None) -> Actor:
    """Somebody of the staff by name; by nothing but a role, whom local mode has for it."""
    called = name or NAMES[role]
    return Actor(kind="staff", id=called.lower().replace(" ", "-").replace(".", "-"), name=called)


def for_gateway(credentials: Credentials, who: Actor, role: Role) -> str:
    """A bearer token that the gateway believes for an hour."""
    key = signing_key(credentials.issuer_private_key)
    raw = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    now = real_now()
    claims = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": who.id,
        "name": who.name,
        "roles": [role],
        "jti": str(uuid.uuid4()),
        "iat": now,
        "nbf": now,
        "exp": now + LIFETIME,
    }
    return jwt.encode(claims, key, algorithm="EdDSA", headers={"kid": base64.urlsafe_b64encode(raw[:8]).decode()})


def for_service(credentials: Credentials, who: Actor, role: Role, service: str) -> str:
    """A token that one service believes for a minute, as the gateway would show it."""
    return mint(credentials.token_private_key, audience=service, actor=who, scopes=scopes_of(role))
