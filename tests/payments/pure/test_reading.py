"""From bytes to provider events: everything that arrives has an answer, and a copy is known from a forgery."""

from __future__ import annotations

import gzip
import json
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from payments.deliveries.domain import ProviderEvent, Sameness, Unreadable, UnreadableReason, compare
from payments.providers.reading import read_gocardless, read_stripe

from tests.payments.pure import payloads
from tests.payments.pure.given import debit_event, read

GOOD = payloads.body(payloads.stripe_event("charge.succeeded", payloads.charge()))


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "not_json"),
        (b"hello", "not_json"),
        (GOOD[:-1], "not_json"),
        (GOOD + b"{}", "not_json"),
        (gzip.compress(GOOD), "not_json"),
        (b"\xef\xbb\xbf" + GOOD, "not_json"),
        (GOOD.replace(b"11000", b"NaN"), "not_json"),
        (GOOD.replace(b"11000", b"Infinity"), "not_json"),
        (GOOD.replace(b"11000", b"1e400"), "not_json"),
        (GOOD.replace(b"Subscription update", b"\\ud800"), "not_json"),
        (GOOD.replace(b"Subscription update", b"\xff"), "not_json"),
        (b"[" * 5_000 + b"]" * 5_000, "too_deep"),
        (b'{"a":' * 5_000 + b"1" + b"}" * 5_000, "too_deep"),
        (b"[" * 300 + b"]" * 300, "too_deep"),
        (GOOD.replace(b'"amount": 11000', b'"amount": 1, "amount": 11000'), "duplicate_keys"),
        (b'{"id":"evt_1","\\u0069d":"evt_2","type":"x"}', "duplicate_keys"),
        (b'{"a\\\\":1,"a\\\\":2}', "duplicate_keys"),
        (b'{"k":"x\\\\","k":1}', "duplicate_keys"),
        (b"null", "wrong_shape"),
        (b"[]", "wrong_shape"),
        (b"3", "wrong_shape"),
        (b"{}", "wrong_shape"),
        (b'{"id":"evt_1"}', "wrong_shape"),
        (b'{"id":1,"type":"charge.succeeded"}', "wrong_shape"),
        (b'{"id":"","type":"charge.succeeded"}', "wrong_shape"),
        (b'{"id":"evt\\u00001","type":"charge.succeeded"}', "wrong_shape"),
        (b'{"id":"' + b"e" * 256 + b'","type":"charge.succeeded"}', "wrong_shape"),
        (b'{"id":"evt_1","type":["charge.succeeded"]}', "wrong_shape"),
        (b'{"id":"evt_1","type":"charge.succeeded","livemode":"yes"}', "wrong_shape"),
        (b'{"id":"evt_1","type":"charge.succeeded","account":"a/b"}', "wrong_shape"),
        (b'{"id":"evt_1","type":"charge.succeeded","account":"acct_\\u00e9"}', "wrong_shape"),
        (b'{"id":"evt_1","type":"charge.succeeded","data":"none"}', "wrong_shape"),
        (b'{"id":"evt_1","type":"charge.succeeded","data":{"object":[1]}}', "wrong_shape"),
    ],
)
def test_a_body_that_cannot_be_used_says_why(body: bytes, reason: str) -> None:
    found = read_stripe(body)
    assert isinstance(found, Unreadable)
    assert found.reason == reason
    if reason != "wrong_shape":
        assert isinstance(read_gocardless(body, livemode=False), Unreadable)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=6),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=3)),
    max_leaves=12,
)


@given(value=JSON, ascii_only=st.booleans())
@settings(max_examples=400, deadline=None)
def test_keys_are_never_called_duplicate_where_they_are_not(value: Any, ascii_only: bool) -> None:
    """However the writer escapes: the quick count and the exact one agree with the truth."""
    found = read_stripe(json.dumps({"x": value}, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass"))
    assert isinstance(found, Unreadable)
    assert found.reason is not UnreadableReason.DUPLICATE_KEYS


@given(key=st.text(max_size=4), first=JSON, second=JSON, escaped=st.booleans())
@settings(max_examples=400, deadline=None)
def test_a_duplicate_key_is_always_found(key: str, first: Any, second: Any, escaped: bool) -> None:
    plain, other = json.dumps(key), json.dumps(key)
    if escaped:
        other = '"' + "".join(f"\\u{ord(each):04x}" for each in key if ord(each) < 0x10000) + '"'
    if json.loads(other) != key:
        return
    found = read_stripe(f"{{{plain}: {json.dumps(first)}, {other}: {json.dumps(second)}}}".encode())
    assert isinstance(found, Unreadable)
    assert found.reason is UnreadableReason.DUPLICATE_KEYS


@given(body=st.binary(max_size=300))
@settings(max_examples=300, deadline=None)
def test_no_bytes_raise(body: bytes) -> None:
    assert isinstance(read_stripe(body), Unreadable)
    assert isinstance(read_gocardless(body, livemode=True), Unreadable)


@given(
    value=st.fixed_dictionaries(
        {},
        optional=dict.fromkeys(
            ("id", "type", "account", "context", "user_id", "data", "created", "livemode", "api_version"), JSON
        ),
    )
)
@settings(max_examples=500, deadline=None)
def test_no_shape_raises(value: dict[str, Any]) -> None:
    assert isinstance(read_stripe(json.dumps(value).encode()), ProviderEvent | Unreadable)
    found = read_gocardless(json.dumps({"events": [value, {"links": value, "id": "EV1"}]}).encode(), livemode=True)
    assert isinstance(found, tuple)


@pytest.mark.parametrize(
    ("extra", "account"),
    [
        ({}, "self"),
        ({"account": None}, "self"),
        ({"account": ""}, "self"),
        ({"account": "acct_gym"}, "acct_gym"),
        ({"context": "acct_gym"}, "acct_gym"),
        ({"user_id": "acct_gym"}, "acct_gym"),
        ({"account": "acct_gym", "context": "acct_other"}, "acct_gym"),
    ],
)
def test_the_account_is_never_empty(extra: dict[str, Any], account: str) -> None:
    assert read(payloads.stripe_event("charge.succeeded", payloads.charge(), **extra)).identity.account == account


@pytest.mark.parametrize("request_", [None, "req_1", {}, {"id": None}, {"id": "req_1", "idempotency_key": None}])
def test_what_real_deliveries_show_is_read(request_: object) -> None:
    event = payloads.stripe_event("charge.succeeded", payloads.charge(), version=None, request=request_)
    found = read(event | {"id": "no-prefix at all"})
    assert (found.identity.id, found.api_version, found.identity.livemode) == ("no-prefix at all", None, False)
    assert read(payloads.stripe_event("x", None, id_="evt_1")).object == {}
    assert read(payloads.stripe_event("x", {}, id_="evt_1", version="2025-03-31.basil; a_beta=v1")).object == {}


def test_a_thin_event_has_what_it_points_at_for_an_object() -> None:
    thin: dict[str, Any] = {
        "id": "evt_1",
        "object": "v2.core.event",
        "type": "v1.billing.meter.error",
        "created": "2026-10-01T00:00:00Z",
    }
    found = read_stripe(orjson.dumps(thin))
    assert isinstance(found, ProviderEvent)
    assert found.object == {"object": "v2.core.event", "related_object": None}
    assert found.created_at is not None
    pointing = {"id": "ch_1", "type": "charge", "url": "/v1/charges/ch_1"}
    found = read_stripe(orjson.dumps(thin | {"related_object": pointing, "context": "acct_1"}))
    assert isinstance(found, ProviderEvent)
    assert (found.object["related_object"], found.identity.account) == (pointing, "acct_1")


def _compare(first: dict[str, Any], second: dict[str, Any]) -> Sameness:
    known = read(first)
    return compare(
        read(second),
        api_version=known.api_version,
        content_hash=known.content_hash,
        essence_hash=known.essence_hash,
    )


def test_a_copy_is_a_duplicate_whatever_is_volatile() -> None:
    """Fewer pending webhooks, another request, keys in another order: the same event."""
    first = payloads.stripe_event("charge.succeeded", payloads.charge())
    second = dict(reversed(first.items())) | {"pending_webhooks": 0, "request": None}
    second["data"] = {"object": dict(reversed(payloads.charge().items())), "previous_attributes": {}}
    assert _compare(first, second) is Sameness.DUPLICATE


def test_the_same_event_in_another_version_is_an_alternative() -> None:
    basil = payloads.stripe_event("invoice.paid", payloads.invoice())
    classic = payloads.stripe_event(
        "invoice.paid", payloads.invoice(version=payloads.CLASSIC), version=payloads.CLASSIC
    )
    assert _compare(basil, classic) is Sameness.ALTERNATIVE


@pytest.mark.parametrize("version", [payloads.BASIL, payloads.CLASSIC])
@pytest.mark.parametrize("changed", [{"amount": 1}, {"currency": "nzd"}, {"id": "ch_2"}])
def test_other_content_under_a_known_id_is_a_conflict(version: str, changed: dict[str, Any]) -> None:
    first = payloads.stripe_event("charge.succeeded", payloads.charge())
    second = payloads.stripe_event("charge.succeeded", payloads.charge() | changed, version=version, id_=first["id"])
    assert _compare(first, second) is Sameness.CONFLICT
    other_type = payloads.stripe_event("charge.failed", payloads.charge(), version=version, id_=first["id"])
    assert _compare(first, other_type) is Sameness.CONFLICT


def test_metadata_changed_within_a_version_is_a_conflict_too() -> None:
    first = payloads.stripe_event("charge.succeeded", payloads.charge())
    second = payloads.stripe_event("charge.succeeded", payloads.charge(metadata={"member": "other"}))
    assert _compare(first, second) is Sameness.CONFLICT


def test_one_malformed_item_among_250_leaves_the_others_fine() -> None:
    items: list[Any] = [payloads.debit("confirmed", id_=f"EV{number}") for number in range(250)]
    items[17] = {"id": "EV17", "action": 5}
    items[18] = "nothing"
    found = read_gocardless(payloads.debits(*items), livemode=True)
    assert isinstance(found, tuple)
    wrong = [each for each in found if isinstance(each, Unreadable)]
    assert [(each.index, each.event_id) for each in wrong] == [(17, "EV17"), (18, None)]
    right = [each for each in found if isinstance(each, ProviderEvent)]
    assert [each.index for each in right] == [number for number in range(250) if number not in (17, 18)]
    assert all(each.identity.livemode for each in right)


def test_a_gocardless_body_without_events_is_no_error() -> None:
    assert read_gocardless(b'{"events":[]}', livemode=True) == ()
    for body in (b"{}", b"[]", b'{"events":{}}', b'{"events":null}'):
        assert isinstance(read_gocardless(body, livemode=True), Unreadable)


def test_gocardless_links_may_name_the_organisation_or_be_absent() -> None:
    assert debit_event(payloads.debit("confirmed")).identity.account == "self"
    links = {"payment": "PM1", "organisation": "OR1"}
    assert debit_event(payloads.debit("confirmed", links=links)).identity.account == "OR1"
    assert debit_event({"id": "EV1", "resource_type": "billing_requests", "action": "made_up"}).type == (
        "billing_requests.made_up"
    )
