"""Tokens of staff: checked against the keys that their issuer publishes (OpenID Connect, JWKS).

It promises that a token passes only with a signature by a known key of the kind that its algorithm means (RS256,
ES256, EdDSA; `none` and HMAC are no algorithms here), from this issuer, for this audience, within its time. Keys are
cached. An unknown key id makes them be fetched again, at most once a minute; while the issuer is away the keys that
are known go on serving. Tested in tests/gateway/test_oidc.py.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

import httpx
import jwt
import orjson
import structlog
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

log = structlog.get_logger()
ALGORITHMS: Final = ("RS256", "ES256", "EdDSA")
LEEWAY_SECONDS: Final = 10
TOKEN_MAX_CHARACTERS: Final = 16_384
JWKS_MAX_BYTES: Final = 262_144
KEYS_MAX: Final = 100
FETCH_TIMEOUT_SECONDS: Final = 1.5
REFRESH_MIN_SECONDS: Final = 60.0
RETRY_MIN_SECONDS: Final = 2.0
KEYS_FRESH_SECONDS: Final = 900.0
RSA_MIN_BITS: Final = 2_048
PublicKey = RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey


class TokenRefusedError(Exception):
    """The token proves nothing; the message says why in a clause and never repeats the token."""


class KeysAwayError(Exception):
    """No key of the issuer is known, and it does not answer."""


@dataclass(frozen=True, slots=True)
class Key:
    """One public key, and the one algorithm that it may be used with."""

    public: PublicKey
    algorithm: str


class Keys(Protocol):
    """Where the issuer's keys come from."""

    async def find(self, key_id: str | None) -> Key | None:
        """The key of this id; the only key where a token names none. Raises KeysAwayError."""


class Tokens:
    """Verifies tokens of one issuer for one audience."""

    def __init__(self, keys: Keys, *, issuer: str, audience: str) -> None:
        self._keys = keys
        self.issuer = issuer
        self._audience = audience

    async def claims(self, token: str) -> dict[str, Any]:
        """What a genuine token says. Raises TokenRefusedError and KeysAwayError."""
        if len(token) > TOKEN_MAX_CHARACTERS or not token.isascii():
            raise TokenRefusedError("the token is no token")
        try:
            header = jwt.get_unverified_header(token)
        except (jwt.PyJWTError, ValueError, RecursionError):
            raise TokenRefusedError("the token is no token") from None
        algorithm, key_id = header.get("alg"), header.get("kid")
        if algorithm not in ALGORITHMS or not (key_id is None or isinstance(key_id, str)):
            raise TokenRefusedError("the token is signed in no way that is accepted here")
        key = await self._keys.find(key_id)
        if key is None:
            raise TokenRefusedError("the token is signed by no key that the issuer publishes")
        return self._verified(token, key)

    def _verified(self, token: str, key: Key) -> dict[str, Any]:
        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                key.public,
                algorithms=[key.algorithm],
                audience=self._audience,
                issuer=self.issuer,
                leeway=LEEWAY_SECONDS,
                options={"require": ["exp", "iat", "sub", "aud", "iss"]},
            )
        except jwt.PyJWTError as error:
            raise TokenRefusedError(_WHY.get(type(error), "the token is not genuine")) from None
        except (ValueError, TypeError, OverflowError, RecursionError):
            raise TokenRefusedError("the token is no token") from None
        if not isinstance(claims["sub"], str) or not claims["sub"].strip():
            raise TokenRefusedError("the token names nobody")
        return claims


_WHY: Final[Mapping[type[Exception], str]] = {
    jwt.ExpiredSignatureError: "the token has expired",
    jwt.ImmatureSignatureError: "the token is not valid yet",
    jwt.InvalidIssuerError: "the token is from another issuer",
    jwt.InvalidAudienceError: "the token is for somebody else",
    jwt.MissingRequiredClaimError: "the token lacks a claim",
}


class FixedKeys:
    """Keys that are known from the start."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._keys = keys_of(document)

    async def find(self, key_id: str | None) -> Key | None:
        return _chosen(self._keys, key_id)


class PublishedKeys:
    """Keys that the issuer publishes at an address."""

    def __init__(self, client: httpx.AsyncClient, url: str) -> None:
        self._client = client
        self._url = url
        self._keys: dict[str | None, Key] = {}
        self._fetched_at = self._tried_at = -KEYS_FRESH_SECONDS
        self._turn = asyncio.Lock()
        self._renewal: asyncio.Task[None] | None = None

    async def find(self, key_id: str | None) -> Key | None:
        """The key of this id, fetched where it is not known. Raises KeysAwayError where none ever was."""
        found = _chosen(self._keys, key_id)
        if found is None:
            await self._fetch(REFRESH_MIN_SECONDS if self._keys else RETRY_MIN_SECONDS)
            found = _chosen(self._keys, key_id)
        elif time.monotonic() - self._fetched_at > KEYS_FRESH_SECONDS and self._renewal is None:
            # A key that the issuer has withdrawn goes; nobody waits for that.
            self._renewal = asyncio.create_task(self._renew())
        if not self._keys:
            raise KeysAwayError(self._url)
        return found

    async def close(self) -> None:
        """End a fetch that nobody waits for."""
        if self._renewal is not None:
            self._renewal.cancel()
            await asyncio.gather(self._renewal, return_exceptions=True)

    async def _renew(self) -> None:
        try:
            await self._fetch(REFRESH_MIN_SECONDS)
        finally:
            self._renewal = None

    async def _fetch(self, min_seconds: float) -> None:
        """Fetch the keys unless that was tried in the last `min_seconds`; a failure leaves what is known."""
        async with self._turn:
            if time.monotonic() - self._tried_at < min_seconds:
                return
            self._tried_at = time.monotonic()
            try:
                async with asyncio.timeout(FETCH_TIMEOUT_SECONDS):
                    keys = keys_of(await self._document())
            except (httpx.HTTPError, OSError, ValueError) as error:
                log.warning("oidc.keys_away", url=self._url, error=type(error).__name__, known=len(self._keys))
                return
            if keys:
                self._keys, self._fetched_at = keys, time.monotonic()
            else:
                log.warning("oidc.no_keys", url=self._url, known=len(self._keys))

    async def _document(self) -> dict[str, Any]:
        body = b""
        async with self._client.stream("GET", self._url, headers={"Accept": "application/json"}) as answer:
            if answer.status_code != httpx.codes.OK:
                raise ValueError(f"the issuer answers {answer.status_code}")
            async for piece in answer.aiter_bytes():
                body += piece
                if len(body) > JWKS_MAX_BYTES:
                    raise ValueError("the key set is too large")
        document = orjson.loads(body)
        if not isinstance(document, dict):
            raise ValueError("the key set is no object")
        return document


def keys_of(document: Mapping[str, Any]) -> dict[str | None, Key]:
    """The usable public keys of a JWKS by id; what is of another kind, too weak or for encryption is left out."""
    listed = document.get("keys")
    if not isinstance(listed, list):
        return {}
    found: dict[str | None, Key] = {}
    for each in listed[:KEYS_MAX]:
        key = _key_of(each) if isinstance(each, dict) else None
        if key is not None:
            key_id = each.get("kid")
            found[key_id if isinstance(key_id, str) else None] = key
    return found


def _key_of(given: dict[str, Any]) -> Key | None:
    if given.get("use", "sig") != "sig" or given.get("kty") not in {"RSA", "EC", "OKP"}:
        return None
    try:
        public = jwt.PyJWK(given, algorithm=_algorithm_of(given)).key
    except (jwt.PyJWTError, ValueError, TypeError, KeyError):
        return None
    match public:
        case RSAPublicKey() if public.key_size >= RSA_MIN_BITS:
            key = Key(public, "RS256")
        case EllipticCurvePublicKey() if isinstance(public.curve, SECP256R1):
            key = Key(public, "ES256")
        case Ed25519PublicKey():
            key = Key(public, "EdDSA")
        case _:
            return None
    return key if given.get("alg", key.algorithm) == key.algorithm else None


def _algorithm_of(given: dict[str, Any]) -> str:
    return {"RSA": "RS256", "EC": "ES256", "OKP": "EdDSA"}[given["kty"]]


def _chosen(keys: Mapping[str | None, Key], key_id: str | None) -> Key | None:
    if key_id is None and len(keys) == 1:
        return next(iter(keys.values()))
    return keys.get(key_id)
