"""The issuer of local mode: the gateway vouches for whoever chooses a role. It exists nowhere else.

Its tokens are ordinary ones, checked like any other issuer's, so that local mode runs the code that staff will meet.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

import jwt
from chassis.clock import real_now
from chassis.ids import new_id
from chassis.tokens import signing_key
from contracts.envelope import Actor
from contracts.roles import Role
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

ISSUER: Final = "backbone-local"
AUDIENCE: Final = "backbone-gateway"
LIFETIME: Final = timedelta(hours=1)

STAFF: Final[Mapping[Role, Actor]] = {
    "owner": Actor(kind="staff", id="owner", name="Owner"),
    "billing": Actor(kind="staff", id="maria-rossi", name="Maria Rossi"),
    "front_desk": Actor(kind="staff", id="front-desk", name="Front desk"),
    "coach": Actor(kind="staff", id="coach-sarah", name="Coach Sarah"),
    "operations": Actor(kind="staff", id="operations", name="Operations"),
    "platform": Actor(kind="staff", id="platform", name="Platform"),
    "security": Actor(kind="staff", id="security", name="Security"),
}
"""Who one is in local mode after choosing a role."""


class LocalIssuer:
    """Signs tokens for staff with a key of its own, and publishes that key."""

    def __init__(self, private_key_pem: str) -> None:
        """Raises ValueError for a key that is not Ed25519."""
        self._key = signing_key(private_key_pem)
        raw = self._key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self._key_id = base64.urlsafe_b64encode(raw[:8]).decode()
        self._public = base64.urlsafe_b64encode(raw).rstrip(b"=").decode()

    def key_set(self) -> dict[str, Any]:
        """The JWKS of this issuer."""
        key = {"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": self._key_id, "x": self._public}
        return {"keys": [key]}

    def token(self, actor: Actor, roles: Sequence[Role], *, lifetime: timedelta = LIFETIME) -> str:
        """A token that says that `actor` holds `roles`."""
        now = real_now()
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": actor.id,
            "name": actor.name,
            "roles": list(roles),
            "jti": new_id(),
            "iat": now,
            "nbf": now,
            "exp": now + lifetime,
        }
        return jwt.encode(claims, self._key, algorithm="EdDSA", headers={"kid": self._key_id})
