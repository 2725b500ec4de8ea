"""Internal tokens: what is let in, and each way of forging or keeping one that is not."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from datetime import timedelta
from typing import Any

import jwt
import pytest
from chassis.clock import real_now
from chassis.tokens import TOKEN_LIFETIME, Minter, TokenRefusedError, Verifier, mint
from contracts.envelope import Actor
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from tests.support.specimen import MARIA, key_pair

PRIVATE, PUBLIC = key_pair()
NOW = real_now()
CLAIMS: dict[str, Any] = {
    "iss": "backbone",
    "aud": "payments",
    "sub": "staff-maria",
    "kind": "staff",
    "name": "Maria Rossi",
    "scope": "payments:read",
    "jti": "0198",
    "iat": NOW,
    "exp": NOW + TOKEN_LIFETIME,
}


def verifier(*public_keys: str) -> Verifier:
    return Verifier("\n".join(public_keys or (PUBLIC,)), audience="payments")


def token(**claims: Any) -> str:
    """A token as the gateway signs it, with some claims replaced, or left out where they are None."""
    given = {name: value for name, value in {**CLAIMS, **claims}.items() if value is not None}
    return jwt.encode(given, PRIVATE, algorithm="EdDSA")


def encoded(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).rstrip(b"=").decode()


def test_a_token_says_who_acts_and_what_they_may_do() -> None:
    identity = verifier().verify(mint(PRIVATE, audience="payments", actor=MARIA, scopes=["b:write", "a:read"]))

    assert identity.actor == MARIA
    assert identity.scopes == {"a:read", "b:write"}
    assert identity.token_id


def test_two_tokens_are_never_the_same() -> None:
    tokens = {mint(PRIVATE, audience="payments", actor=MARIA, scopes=[], now=NOW) for _ in range(100)}

    assert len(tokens) == 100


@pytest.mark.parametrize(
    "claims",
    [
        pytest.param({"aud": "audit"}, id="for another service"),
        pytest.param({"aud": ["audit", "gateway"]}, id="for other services"),
        pytest.param({"aud": None}, id="for nobody"),
        pytest.param({"iss": "somebody"}, id="by another issuer"),
        pytest.param({"iat": NOW - timedelta(minutes=5), "exp": NOW - timedelta(minutes=4)}, id="expired"),
        pytest.param({"iat": NOW + timedelta(hours=5), "exp": NOW + timedelta(hours=5, minutes=1)}, id="of the future"),
        pytest.param({"exp": NOW + timedelta(minutes=2)}, id="lives too long"),
        pytest.param({"exp": NOW + timedelta(days=3650)}, id="lives for ever"),
        pytest.param({"exp": None}, id="without an end"),
        pytest.param({"iat": None}, id="without a beginning"),
        pytest.param({"jti": None}, id="without an id"),
        pytest.param({"sub": None}, id="of nobody"),
        pytest.param({"kind": "owner"}, id="of an unknown kind"),
        pytest.param({"kind": ["staff"]}, id="of no kind at all"),
        pytest.param({"name": None}, id="without a name"),
        pytest.param({"scope": ["payments:read"]}, id="scopes that are no text"),
        pytest.param({"exp": "soon"}, id="an end that is no time"),
        pytest.param({"sub": 42}, id="a subject that is no text"),
        pytest.param({"sub": ""}, id="an empty subject"),
    ],
)
def test_a_token_with_wrong_claims_is_refused(claims: dict[str, Any]) -> None:
    with pytest.raises(TokenRefusedError):
        verifier().verify(token(**claims))


def test_a_token_by_another_key_is_refused() -> None:
    other, _ = key_pair()

    with pytest.raises(TokenRefusedError, match="no key that is known here"):
        verifier().verify(mint(other, audience="payments", actor=MARIA, scopes=["payments:read"]))


def test_algorithm_none_is_refused() -> None:
    unsigned = jwt.encode(CLAIMS, None, algorithm="none")  # type: ignore[arg-type]

    with pytest.raises(TokenRefusedError):
        verifier().verify(unsigned)


@pytest.mark.parametrize("secret", [PUBLIC.encode(), PUBLIC.strip().encode(), b""])
def test_the_public_key_is_no_secret_to_sign_with(secret: bytes) -> None:
    """The confusion attack: HS256 with the public key as its secret."""
    header = encoded(json.dumps({"alg": "HS256", "typ": "JWT"}).encode())
    claims = {**CLAIMS, "iat": int(NOW.timestamp()), "exp": int((NOW + TOKEN_LIFETIME).timestamp())}
    signed = f"{header}.{encoded(json.dumps(claims).encode())}"
    signature = encoded(hmac.digest(secret, signed.encode(), hashlib.sha256))

    with pytest.raises(TokenRefusedError):
        verifier().verify(f"{signed}.{signature}")


def test_an_altered_token_is_refused() -> None:
    header, claims, signature = mint(PRIVATE, audience="payments", actor=MARIA, scopes=["payments:read"]).split(".")
    more = json.loads(base64.urlsafe_b64decode(claims + "=="))
    more["scope"] = "payments:approve"

    with pytest.raises(TokenRefusedError):
        verifier().verify(f"{header}.{encoded(json.dumps(more).encode())}.{signature}")


@pytest.mark.parametrize(
    "text", ["", ".", "..", "a.b.c", "é.é.é", "\x00", "[" * 4_000, "x" * 4_097, "\ud800", token() + "."]
)
def test_what_is_no_token_is_refused(text: str) -> None:
    with pytest.raises(TokenRefusedError) as refused:
        verifier().verify(text)

    assert len(text) < 3 or text not in str(refused.value), "a refusal never repeats the token"


def test_keys_rotate_without_a_gap() -> None:
    new_private, new_public = key_pair()
    old = mint(PRIVATE, audience="payments", actor=MARIA, scopes=[])
    new = mint(new_private, audience="payments", actor=MARIA, scopes=[])

    both = verifier(PUBLIC, new_public)
    assert both.verify(old).actor == both.verify(new).actor == MARIA
    with pytest.raises(TokenRefusedError):
        verifier(new_public).verify(old)


def test_without_keys_nobody_is_let_in() -> None:
    with pytest.raises(TokenRefusedError):
        Verifier("", audience="payments").verify(mint(PRIVATE, audience="payments", actor=MARIA, scopes=[]))


def test_keys_of_another_kind_are_refused_when_the_service_starts() -> None:
    private = generate_private_key(SECP256R1())
    public_pem = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    private_pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()

    with pytest.raises(ValueError, match="Ed25519"):
        verifier(PUBLIC, public_pem)
    with pytest.raises(ValueError, match="Ed25519"):
        mint(private_pem, audience="payments", actor=MARIA, scopes=[])
    for no_key in ("not a key", PRIVATE, PUBLIC.replace("END PUBLIC", "END")):
        with pytest.raises(ValueError, match="key"):
            verifier(no_key)


def test_any_actor_may_be_named() -> None:
    alessandro = Actor(kind="consumer", id="consumer-7", name='Alessandro "é" ' + "\U0001f600")

    assert verifier().verify(mint(PRIVATE, audience="payments", actor=alessandro, scopes=[])).actor == alessandro


def test_who_calls_often_carries_one_token_that_is_never_used_up() -> None:
    minter, scopes = Minter(PRIVATE), frozenset({"payments:read"})
    token = minter.token(audience="payments", actor=MARIA, scopes=scopes)

    assert minter.token(audience="payments", actor=MARIA, scopes=scopes) == token
    assert verifier().verify(token).scopes == scopes
    others = {
        minter.token(audience="audit", actor=MARIA, scopes=scopes),
        minter.token(audience="payments", actor=MARIA, scopes=frozenset()),
        minter.token(audience="payments", actor=Actor(kind="staff", id="isla", name="Isla Morgan"), scopes=scopes),
    }
    assert len(others | {token}) == 4
