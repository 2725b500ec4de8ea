"""Signatures: the official libraries are the oracle, over headers that nobody would send."""

from __future__ import annotations

import hmac
import time
from collections.abc import Callable

import pytest
import stripe
from gocardless_pro import webhooks
from gocardless_pro.errors import InvalidSignatureError
from hypothesis import given, settings
from hypothesis import strategies as st
from payments.deliveries.domain import Refused, Verified
from payments.providers.signatures import HEADER_MAX_BYTES, Secret, verify_gocardless, verify_stripe

NOW = 1_790_000_000
BODY = b'{\n  "id": "evt_1"\n}'
OLD, NEW = Secret("old", b"whsec_oldoldoldold"), Secret("new", b"whsec_newnewnewnew")


def _signed(secret: Secret = NEW, at: int = NOW, body: bytes = BODY) -> str:
    return str(stripe.WebhookSignature.generate_signature_header(body.decode(), secret.value.decode(), at))


def _reason(answer: Verified | Refused) -> str:
    return answer.reason if isinstance(answer, Refused) else f"verified by {answer.key_id}"


@pytest.mark.parametrize(
    ("header", "secrets", "expected"),
    [
        (_signed(), [NEW], "verified by new"),
        (_signed().encode(), [NEW], "verified by new"),
        (_signed(OLD), [NEW, OLD], "verified by old"),
        (_signed(OLD) + "," + _signed(NEW).split(",")[1], [NEW], "verified by new"),
        (_signed() + ",v0=anything,scheme", [NEW], "verified by new"),
        (_signed(OLD), [NEW], "no_match"),
        (_signed(at=NOW - 300), [NEW], "verified by new"),
        (_signed(at=NOW + 300), [NEW], "verified by new"),
        (_signed(at=NOW - 301), [NEW], "too_old"),
        (_signed(at=NOW + 301), [NEW], "too_new"),
        (_signed(OLD, at=NOW - 301), [NEW], "no_match"),
        (None, [NEW], "no_header"),
        ("", [NEW], "no_header"),
        (b"", [NEW], "no_header"),
        ("t=1,v1=ä", [NEW], "header_not_ascii"),
        (b"t=1,v1=\xff", [NEW], "header_not_ascii"),
        ("t=1," + "v1=a," * HEADER_MAX_BYTES, [NEW], "header_too_long"),
        ("t=1", [NEW], "no_signature"),
        ("t=1,v0=a", [NEW], "no_signature"),
        ("v1=a", [NEW], "header_malformed"),
        ("t,v1=a", [NEW], "header_malformed"),
        ("t=now,v1=a", [NEW], "header_malformed"),
        ("t=" + "9" * 5_000 + ",v1=a", [NEW], "header_malformed"),
        (_signed(), [], "no_secret"),
        (_signed(), [Secret("blank", b"  \n")], "no_secret"),
    ],
)
def test_a_stripe_header_is_answered_by_a_fixed_word(
    header: str | bytes | None, secrets: list[Secret], expected: str
) -> None:
    assert _reason(verify_stripe(BODY, header, secrets, NOW)) == expected


def test_an_altered_byte_is_refused() -> None:
    for place in range(len(BODY)):
        altered = BODY[:place] + bytes([BODY[place] ^ 1]) + BODY[place + 1 :]
        assert _reason(verify_stripe(altered, _signed(), [NEW], NOW)) == "no_match"


def test_a_body_that_is_no_text_can_be_rightly_signed() -> None:
    """The raw bytes are signed, whatever they are: gzip is then unreadable, not forged."""
    body = b"\x1f\x8b\x08\x00\xff"
    signature = hmac.new(NEW.value, b"%d.%b" % (NOW, body), "sha256").hexdigest()
    assert _reason(verify_stripe(body, f"t={NOW},v1={signature}", [NEW], NOW)) == "verified by new"


ITEMS = st.one_of(
    st.just(_signed(at=int(time.time())).split(",")[1]),
    st.builds(
        "t={}".format, st.one_of(st.integers(-5, 5).map(lambda off: int(time.time()) + off), st.text(max_size=5))
    ),
    st.builds("v1={}".format, st.text(max_size=70)),
    st.sampled_from(["t", "v1", "v1=", "t=", "v0=1", "t= 12 ", "t=1_0", "=", "v1=a=b", "v1"]),
    st.text(max_size=10),
)
HEADERS = st.one_of(st.none(), st.text(max_size=40), st.lists(ITEMS, max_size=6).map(",".join))


@given(header=HEADERS, signed=st.booleans(), body=st.text(max_size=40))
@settings(max_examples=600, deadline=None)
def test_we_accept_what_the_stripe_library_accepts_and_nothing_else(
    header: str | None, signed: bool, body: str
) -> None:
    now = int(time.time())
    raw = body.encode("utf-8", "replace")
    if signed:
        header = f"{_signed(at=now, body=raw)},{header or ''}"
    answer = verify_stripe(raw, header, [OLD, NEW], now)

    # The one thing in which we are stricter: a header is ASCII, or it is refused before it is taken apart.
    accepted = (header or "").isascii() and any(_accepts(raw, header, secret) for secret in (OLD, NEW))
    assert isinstance(answer, Verified) == accepted, (answer, header)


def _accepts(body: bytes, header: str | None, secret: Secret) -> bool:
    try:
        return bool(stripe.WebhookSignature.verify_header(body, header, secret.value.decode(), tolerance=300))
    except (stripe.SignatureVerificationError, TypeError):  # TypeError: it compares signatures that are not ASCII
        return False


@given(header=st.one_of(st.none(), st.binary(max_size=200), st.text(max_size=200)), body=st.binary(max_size=50))
@settings(max_examples=300, deadline=None)
def test_nothing_that_a_client_sends_raises(header: str | bytes | None, body: bytes) -> None:
    assert isinstance(verify_stripe(body, header, [NEW], NOW), Refused)
    assert isinstance(verify_gocardless(body, header, [NEW]), Refused)


def _hex(body: bytes, secret: Secret) -> str:
    return hmac.new(secret.value, body, "sha256").hexdigest()


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda right: right, "verified by new"),
        (lambda right: right.encode(), "verified by new"),
        (lambda right: right.upper(), "no_match"),
        (lambda right: right + " ", "no_match"),
        (lambda right: right[:-1], "no_match"),
        (lambda _: _hex(BODY, Secret("other", b"another")), "no_match"),
        (lambda _: None, "no_header"),
        (lambda _: "é", "header_not_ascii"),
        (lambda right: right * 1_000, "header_too_long"),
    ],
)
def test_a_gocardless_header_is_answered_by_a_fixed_word(
    change: Callable[[str], str | bytes | None], expected: str
) -> None:
    assert _reason(verify_gocardless(BODY, change(_hex(BODY, NEW)), [OLD, NEW])) == expected


@given(body=st.binary(max_size=60), header=st.one_of(st.none(), st.text(max_size=70)), signed=st.booleans())
@settings(max_examples=300, deadline=None)
def test_we_accept_what_the_gocardless_library_accepts(body: bytes, header: str | None, signed: bool) -> None:
    if signed:
        header = _hex(body, NEW)
    try:
        webhooks._verify_signature(body, NEW.value.decode(), header)
        accepted = True
    except (InvalidSignatureError, TypeError):
        accepted = False
    assert isinstance(verify_gocardless(body, header, [OLD, NEW]), Verified) == accepted
