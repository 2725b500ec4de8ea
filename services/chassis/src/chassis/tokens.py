"""Internal tokens: how the gateway tells a service who acts. Services trust nothing else.

An Ed25519-signed JWT for one service (`aud`), valid for 60 seconds, that names the actor (`sub`, `kind`, `name`) and
what the actor may do (`scope`). Several public keys may be active, so that keys rotate without a gap.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import jwt
from contracts.envelope import Actor, ActorKind
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from chassis.clock import real_now
from chassis.ids import new_id

TOKEN_LIFETIME: Final = timedelta(seconds=60)
_ISSUER: Final = "backbone"
_LEEWAY_SECONDS: Final = 5
_TOKEN_MAX_CHARACTERS: Final = 4_096
_MINTED_MAX: Final = 1_000
_KINDS: Final[frozenset[ActorKind]] = frozenset({"staff", "provider", "consumer", "system"})
_PEM: Final = re.compile(r"-----BEGIN PUBLIC KEY-----.+?-----END PUBLIC KEY-----", re.DOTALL)


class TokenRefusedError(Exception):
    """The token is missing, malformed, expired, for another service or signed by nobody we know."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who acts and what they may do, as a verified token says."""

    actor: Actor
    scopes: frozenset[str]
    token_id: str


def mint(
    private_key_pem: str, *, audience: str, actor: Actor, scopes: Iterable[str], now: datetime | None = None
) -> str:
    """A token for `actor` at the service `audience`. Raises ValueError for a key that is not Ed25519."""
    return _signed(signing_key(private_key_pem), audience=audience, actor=actor, scopes=scopes, issued=now)


def signing_key(private_key_pem: str) -> Ed25519PrivateKey:
    """The key that signs internal tokens. Raises ValueError for a key that is not Ed25519."""
    key = load_pem_private_key(private_key_pem.encode(), password=None)
    if not isinstance(key, Ed25519PrivateKey):
        raise ValueError("internal tokens are signed with an Ed25519 key")
    return key


def _signed(
    key: Ed25519PrivateKey, *, audience: str, actor: Actor, scopes: Iterable[str], issued: datetime | None
) -> str:
    issued = issued or real_now()
    claims = {
        "iss": _ISSUER,
        "aud": audience,
        "sub": actor.id,
        "kind": actor.kind,
        "name": actor.name,
        "scope": " ".join(sorted(scopes)),
        "jti": new_id(),
        "iat": issued,
        "exp": issued + TOKEN_LIFETIME,
    }
    return jwt.encode(claims, key, algorithm="EdDSA")


class Minter:
    """Signs tokens for whoever calls often: one token serves the same actor, scopes and service for some seconds.

    A token handed out has at least half its lifetime left.
    """

    def __init__(self, private_key_pem: str) -> None:
        """Raises ValueError for a key that is not Ed25519."""
        self._key = signing_key(private_key_pem)
        self._minted: dict[tuple[str, Actor, frozenset[str]], tuple[str, datetime]] = {}

    def token(self, *, audience: str, actor: Actor, scopes: frozenset[str]) -> str:
        """A token for `actor` at the service `audience`."""
        now, wanted = real_now(), (audience, actor, scopes)
        kept = self._minted.get(wanted)
        if kept is not None and kept[1] <= now < kept[1] + TOKEN_LIFETIME / 2:
            return kept[0]
        if len(self._minted) >= _MINTED_MAX:
            self._minted.clear()
        token = _signed(self._key, audience=audience, actor=actor, scopes=scopes, issued=now)
        self._minted[wanted] = (token, now)
        return token


class Verifier:
    """Verifies tokens for one service against the active public keys."""

    def __init__(self, public_keys_pem: str, *, audience: str) -> None:
        """Raises ValueError when a key is not an Ed25519 public key in PEM."""
        self._audience = audience
        self._keys: list[Ed25519PublicKey] = []
        for pem in _PEM.findall(public_keys_pem):
            key = load_pem_public_key(pem.encode())
            if not isinstance(key, Ed25519PublicKey):
                raise ValueError("internal tokens are verified with Ed25519 keys")
            self._keys.append(key)
        if public_keys_pem.strip() and not self._keys:
            raise ValueError("no public key in PEM found")

    def verify(self, token: str) -> Identity:
        """Who the token says acts. Raises TokenRefusedError, which names the reason and never the token."""
        if len(token) > _TOKEN_MAX_CHARACTERS:
            raise TokenRefusedError("the token is too long")
        if not token.isascii():
            raise TokenRefusedError("the token is not ASCII")
        for key in self._keys:
            try:
                claims = jwt.decode(
                    token,
                    key,
                    algorithms=["EdDSA"],
                    audience=self._audience,
                    issuer=_ISSUER,
                    leeway=_LEEWAY_SECONDS,
                    options={"require": ["exp", "iat", "sub", "aud", "iss", "jti"]},
                )
            except jwt.InvalidSignatureError:
                continue
            except jwt.PyJWTError as error:
                raise TokenRefusedError(f"the token is refused: {error}") from None
            return _identity(claims)
        raise TokenRefusedError("the token is signed by no key that is known here")


def _identity(claims: dict[str, object]) -> Identity:
    kind, name, scope = claims.get("kind"), claims.get("name"), claims.get("scope")
    if not isinstance(kind, str) or kind not in _KINDS or not isinstance(name, str) or not isinstance(scope, str):
        raise TokenRefusedError("the token does not say who acts")
    if not claims["sub"]:
        raise TokenRefusedError("the token does not say who acts")
    lifetime = float(str(claims["exp"])) - float(str(claims["iat"]))
    if lifetime > TOKEN_LIFETIME.total_seconds():
        raise TokenRefusedError("the token lives longer than internal tokens may")
    actor = Actor(kind=kind, id=str(claims["sub"]), name=name)
    return Identity(actor, frozenset(scope.split()), str(claims["jti"]))
