"""Tokens of staff: which pass, and each way of forging or keeping one that does not."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import httpx
import jwt
import pytest
from chassis.clock import real_now
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from gateway.oidc import FixedKeys, KeysAwayError, PublishedKeys, TokenRefusedError, Tokens, keys_of
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from tests.gateway.behind import Standing, listening, replying

ISSUER, AUDIENCE = "https://issuer.example", "backbone"
RSA = rsa.generate_private_key(65_537, 2_048)
EC = ec.generate_private_key(ec.SECP256R1())
ED = Ed25519PrivateKey.generate()
OTHER = Ed25519PrivateKey.generate()
PRIVATE: dict[str, Any] = {"RS256": RSA, "ES256": EC, "EdDSA": ED}


def published(**more: Any) -> dict[str, Any]:
    """The key set of the issuer."""
    keys = [
        {**json.loads(RSAAlgorithm.to_jwk(RSA.public_key())), "kid": "RS256", "use": "sig"},
        {**json.loads(ECAlgorithm.to_jwk(EC.public_key())), "kid": "ES256"},
        {**json.loads(OKPAlgorithm.to_jwk(ED.public_key())), "kid": "EdDSA", "alg": "EdDSA"},
        *more.get("keys", ()),
    ]
    return {"keys": keys}


def claims(**more: Any) -> dict[str, Any]:
    now = real_now()
    given = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": "maria-rossi",
        "name": "Maria Rossi",
        "roles": ["billing"],
        "iat": now,
        "exp": now + timedelta(minutes=5),
        **more,
    }
    return {name: value for name, value in given.items() if value is not None}


def signed(algorithm: str = "EdDSA", *, kid: str | None = None, key: Any = None, **more: Any) -> str:
    headers = {"kid": algorithm if kid is None else kid}
    return jwt.encode(claims(**more), key or PRIVATE[algorithm], algorithm=algorithm, headers=headers)


def tokens() -> Tokens:
    return Tokens(FixedKeys(published()), issuer=ISSUER, audience=AUDIENCE)


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
async def test_a_genuine_token_says_who_it_is(algorithm: str) -> None:
    assert (await tokens().claims(signed(algorithm)))["sub"] == "maria-rossi"


def segment(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def unsigned() -> str:
    said = {
        name: value if isinstance(value, str | list) else int(value.timestamp()) for name, value in claims().items()
    }
    return f"{segment({'alg': 'none', 'kid': 'EdDSA'})}.{segment(said)}."


def signed_with_the_public_key() -> str:
    """The classic: an HMAC under the public key, which everybody has."""
    public = RSA.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    said = {
        name: value if isinstance(value, str | list) else int(value.timestamp()) for name, value in claims().items()
    }
    text = f"{segment({'alg': 'HS256', 'kid': 'RS256'})}.{segment(said)}"
    proof = base64.urlsafe_b64encode(hmac.digest(public, text.encode(), hashlib.sha256)).rstrip(b"=").decode()
    return f"{text}.{proof}"


AGO, SOON = timedelta(minutes=-2), timedelta(minutes=2)
FORGED: dict[str, Callable[[], str]] = {
    "no signature": unsigned,
    "HMAC under a public key": signed_with_the_public_key,
    "another key under a known id": lambda: signed(key=OTHER),
    "an unknown key": lambda: signed(key=OTHER, kid="other"),
    "an algorithm that its key is not for": lambda: signed("EdDSA", kid="RS256"),
    "another issuer": lambda: signed(iss="https://elsewhere.example"),
    "another audience": lambda: signed(aud="another"),
    "expired": lambda: signed(exp=real_now() + AGO),
    "not valid yet": lambda: signed(nbf=real_now() + SOON),
    "issued in the future": lambda: signed(iat=real_now() + SOON),
    "without an end": lambda: signed(exp=None),
    "without an issuer": lambda: signed(iss=None),
    "without an audience": lambda: signed(aud=None),
    "without anybody": lambda: signed(sub=None),
    "for an empty name": lambda: signed(sub=" "),
    "changed": lambda: signed()[:-4] + "AAAA",
    "a word": lambda: "hunter2",
    "nothing": lambda: "",
    "no text": lambda: "é" * 20,
    "huge": lambda: signed(note="x" * 20_000),
    "deep": lambda: f"{segment({'alg': 'EdDSA', 'kid': 'EdDSA'})}.{'[' * 3_000}.x",
    "a key id that is no text": lambda: f"{segment({'alg': 'EdDSA', 'kid': 7})}.{segment({})}.x",
}


@pytest.mark.parametrize("forged", FORGED)
async def test_nothing_else_passes(forged: str) -> None:
    token = FORGED[forged]()
    with pytest.raises(TokenRefusedError) as refused:
        await tokens().claims(token)
    assert len(token) < 3 or token not in str(refused.value), "a refusal never repeats the token"


async def test_clocks_may_differ_by_some_seconds() -> None:
    late = signed(exp=real_now() - timedelta(seconds=3))
    early = signed(nbf=real_now() + timedelta(seconds=3), iat=real_now() + timedelta(seconds=3))

    assert await tokens().claims(late)
    assert await tokens().claims(early)


def test_keys_that_are_weak_or_for_something_else_are_left_out() -> None:
    weak = json.loads(RSAAlgorithm.to_jwk(rsa.generate_private_key(65_537, 1_024).public_key()))  # noqa: S505 - that is the point
    curve = json.loads(ECAlgorithm.to_jwk(ec.generate_private_key(ec.SECP384R1()).public_key()))
    given = [
        {**weak, "kid": "weak"},
        {**curve, "kid": "curve"},
        {"kty": "oct", "k": "c2VjcmV0", "kid": "symmetric", "alg": "HS256"},
        {**json.loads(OKPAlgorithm.to_jwk(OTHER.public_key())), "kid": "encrypts", "use": "enc"},
        {**json.loads(OKPAlgorithm.to_jwk(OTHER.public_key())), "kid": "mislabelled", "alg": "RS256"},
        {"kty": "RSA", "kid": "broken", "n": "!", "e": "!"},
        "no key",
    ]
    assert set(keys_of({"keys": given})) == set()
    assert keys_of({"keys": "none"}) == keys_of({}) == {}
    assert set(keys_of(published(keys=given))) == {"RS256", "ES256", "EdDSA"}


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(trust_env=False) as opened:
        yield opened


def issuer_with(document: object) -> Standing:
    return replying(200, json.dumps(document).encode())


async def test_keys_are_fetched_once_and_for_an_unknown_id_at_most_once_a_minute(client: httpx.AsyncClient) -> None:
    standing = issuer_with(published())
    async with listening(standing) as url:
        checked = Tokens(PublishedKeys(client, f"{url}/keys"), issuer=ISSUER, audience=AUDIENCE)
        for _ in range(3):
            assert await checked.claims(signed())
        assert len(standing.seen) == 1
        for number in range(5):
            with pytest.raises(TokenRefusedError):
                await checked.claims(signed(key=OTHER, kid=f"other-{number}"))

    assert len(standing.seen) == 1, "it was fetched a moment ago"


async def test_known_keys_go_on_serving_while_the_issuer_is_away(client: httpx.AsyncClient) -> None:
    async with listening(issuer_with(published())) as url:
        keys = PublishedKeys(client, f"{url}/keys")
        checked = Tokens(keys, issuer=ISSUER, audience=AUDIENCE)
        assert await checked.claims(signed())

    keys._fetched_at -= 3_600
    keys._tried_at -= 3_600
    assert await checked.claims(signed())
    with pytest.raises(TokenRefusedError):
        await checked.claims(signed(key=OTHER, kid="other"))
    assert await checked.claims(signed())
    await keys.close()


async def test_a_new_key_is_found_once_a_minute_has_passed(client: httpx.AsyncClient) -> None:
    document = published()
    standing = Standing(lambda method, path: (200, {}, json.dumps(document).encode()))
    async with listening(standing) as url:
        keys = PublishedKeys(client, f"{url}/keys")
        checked = Tokens(keys, issuer=ISSUER, audience=AUDIENCE)
        assert await checked.claims(signed())
        document["keys"] = [{**json.loads(OKPAlgorithm.to_jwk(OTHER.public_key())), "kid": "new"}]
        keys._tried_at -= 61

        assert await checked.claims(signed(key=OTHER, kid="new"))
        with pytest.raises(TokenRefusedError):
            await checked.claims(signed())


@pytest.mark.parametrize(
    "standing",
    [
        replying(500),
        replying(302, location="/elsewhere"),
        replying(200, b"<html>"),
        replying(200, b"[]"),
        replying(200, b'{"keys": []}'),
        replying(200, b'{"keys": "' + b"x" * 300_000 + b'"}'),
    ],
    ids=["broken", "redirects", "no JSON", "no object", "no keys", "too large"],
)
async def test_without_any_key_it_is_the_issuer_that_is_away(standing: Standing, client: httpx.AsyncClient) -> None:
    async with listening(standing) as url:
        checked = Tokens(PublishedKeys(client, f"{url}/keys"), issuer=ISSUER, audience=AUDIENCE)
        with pytest.raises(KeysAwayError):
            await checked.claims(signed())
