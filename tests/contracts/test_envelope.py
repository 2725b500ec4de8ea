"""An event survives the wire unchanged; bytes that are none are refused in one way only."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from contracts.envelope import LARGEST_INTEGER, Actor, Data, Entity, Event, Money, Workflow
from contracts.events import PaymentUpdated, ProviderDeliveryRejected, Referenced
from contracts.examples import EXAMPLES, example_of
from contracts.registry import (
    EventType,
    UnknownTypeError,
    UnknownVersionError,
    UnreadableEventError,
    all_types,
    decode,
    lookup,
    read_body,
    type_of,
    typed,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from tests.contracts.strategies import PLAIN_JSON, events_of

TYPES = pytest.mark.parametrize("declared", all_types(), ids=lambda each: f"{each.name}/{each.version}")
PAYMENT_UPDATED = example_of(type_of(PaymentUpdated))
WITHOUT_DEADLINE = settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])


def _as_json(event: Event[Any] = PAYMENT_UPDATED) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads(event.encode())
    return plain


def _with(path: str, value: object) -> bytes:
    """The example with the field at a dotted path set to the value."""
    plain = _as_json()
    *parents, last = path.split(".")
    inner = plain
    for name in parents:
        inner = inner[name]
    inner[last] = value
    return json.dumps(plain).encode()


@TYPES
@WITHOUT_DEADLINE
@given(data=st.data())
def test_what_was_written_is_what_is_read(declared: EventType, data: st.DataObject) -> None:
    event = data.draw(events_of(declared))

    read = typed(decode(event.encode()))

    assert read == event
    assert read.encode() == event.encode()
    assert type(read) is declared.event
    assert type(read.data.body) is declared.payload


@TYPES
@WITHOUT_DEADLINE
@given(unknown=PLAIN_JSON)
def test_unknown_fields_are_ignored_when_reading(declared: EventType, unknown: Any) -> None:
    event = example_of(declared)
    plain = _as_json(event)
    for place in (plain, plain["data"], plain["data"]["actor"], plain["data"]["body"]):
        place["not_yet_known"] = unknown

    assert typed(decode(json.dumps(plain).encode())) == event


@TYPES
def test_unknown_fields_are_refused_when_writing(declared: EventType) -> None:
    written = example_of(declared).data.body
    with pytest.raises(ValidationError, match="not_yet_known"):
        declared.payload.model_validate({**written.__dict__, "not_yet_known": 1})


def test_unknown_fields_of_the_envelope_are_refused_when_writing() -> None:
    with pytest.raises(ValidationError, match="nickname"):
        Actor.model_validate({"kind": "staff", "id": "maria-rossi", "name": "Maria Rossi", "nickname": "M"})


def test_nulls_inside_snapshots_are_kept_and_null_fields_left_out() -> None:
    before = {"hold": None, "plan": {"ends": None, "steps": [None, 1]}}
    data = PAYMENT_UPDATED.data.model_copy(update={"before": before, "reason": None})
    written = PAYMENT_UPDATED.model_copy(update={"data": data}).encode()

    assert json.loads(written)["data"]["before"] == before
    assert "reason" not in json.loads(written)["data"]
    assert decode(written).data.before == before


def test_a_body_is_written_whole_whatever_class_the_event_was_built_with() -> None:
    body = PaymentUpdated(change="matched", payment=Referenced(id="pay-1", reference="ch_1"))
    data = {"actor": Actor(kind="system", id="payments", name="Payments"), "body": body}
    data |= {"entity": Entity(type="payment", id="pay-1"), "workflow": Workflow(name="collection", id="pay-1")}
    envelope = {**PAYMENT_UPDATED.__dict__, "data": Data[Any](**data)}

    written = [Event(**envelope).encode(), Event[PaymentUpdated](**envelope).encode()]

    assert written[0] == written[1]
    assert typed(decode(written[0])).data.body == body


def test_instants_are_written_in_utc_with_microseconds() -> None:
    sydney = timezone(timedelta(hours=11))
    rejected = ProviderDeliveryRejected(
        provider="stripe", minute=datetime(2026, 3, 2, 20, 15, tzinfo=sydney), count=1, by_reason={}
    )

    assert rejected.minute.tzinfo is UTC
    assert json.loads(rejected.model_dump_json())["minute"] == "2026-03-02T09:15:00.000000Z"


@pytest.mark.parametrize(
    "wrong",
    [
        "2026-03-02T09:15:00",
        "2026-03-02",
        "20260302T091500Z00000",
        "2026-13-02T09:15:00Z",
        "0001-01-01T00:00:00+14:00",
        1772442900,
        None,
        True,
    ],
)
def test_an_instant_without_offset_or_form_is_unreadable(wrong: object) -> None:
    with pytest.raises(UnreadableEventError, match="time: "):
        decode(_with("time", wrong))


@pytest.mark.parametrize("wrong", ["11000", 110.0, True, LARGEST_INTEGER + 1, None])
def test_money_is_read_as_a_whole_number_only(wrong: object) -> None:
    with pytest.raises(UnreadableEventError):
        typed(decode(_with("data.body.amount.amount_minor", wrong)))


@pytest.mark.parametrize("path", ["data.before.fee", "data.after.fee", "data.body.fee"])
@pytest.mark.parametrize("wrong", [1.5, [{"deep": [2.0]}], 2**53, -(2**53)])
def test_floats_and_inexact_integers_are_unreadable(path: str, wrong: object) -> None:
    with pytest.raises(UnreadableEventError, match="not allowed in an event"):
        decode(_with(path, wrong))


def test_floats_are_refused_when_writing_a_snapshot() -> None:
    with pytest.raises(ValidationError, match="float values are not allowed"):
        Data[PaymentUpdated](**{**PAYMENT_UPDATED.data.__dict__, "after": {"fee": 2.17}})


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"null", id="null"),
        pytest.param(b"[]", id="list"),
        pytest.param(b"{}", id="no envelope"),
        pytest.param(b"\xff\xfe\x00", id="not UTF-8"),
        pytest.param(b"\x1f\x8b\x08\x00", id="gzip"),
        pytest.param(b"[" * 5_000, id="open lists"),
        pytest.param(b'{"a":' * 5_000 + b"1" + b"}" * 5_000, id="5,000 levels"),
        pytest.param(b"1" * 1_000_000, id="1 MB of digits"),
        pytest.param(b'{"id":"' + b"a" * 1_000_000 + b'"}', id="1 MB of text"),
        pytest.param(_with("data.after", "X").replace(b'"X"', b'{"a": NaN}'), id="NaN"),
        pytest.param(_with("data.after", "X").replace(b'"X"', b'{"a": [-Infinity]}'), id="Infinity"),
        pytest.param(_with("data.after", "X").replace(b'"X"', b'{"a": 1e999}'), id="1e999"),
        pytest.param(_with("data.reason", "X").replace(b'"X"', rb'"\ud800"'), id="lone surrogate"),
        pytest.param(_with("data.reason", "X").replace(b'"X"', b'"\xed\xa0\x80"'), id="encoded surrogate"),
        pytest.param(_with("specversion", "0.3"), id="another CloudEvents version"),
        pytest.param(_with("id", ""), id="empty id"),
        pytest.param(_with("data", {}), id="empty data"),
        pytest.param(_with("data.body", []), id="body is a list"),
        pytest.param(PAYMENT_UPDATED.encode() + b"x", id="something after it"),
        pytest.param(PAYMENT_UPDATED.encode()[:-1], id="cut off"),
        pytest.param(b"\xef\xbb\xbf" + PAYMENT_UPDATED.encode(), id="byte order mark"),
    ],
)
def test_bytes_that_are_no_event_are_unreadable(value: bytes) -> None:
    with pytest.raises(UnreadableEventError) as refused:
        decode(value)
    assert 0 < len(str(refused.value)) <= 500


@settings(deadline=None, max_examples=300)
@given(
    value=st.binary(max_size=400) | st.text().map(str.encode) | PLAIN_JSON.map(lambda each: json.dumps(each).encode())
)
def test_arbitrary_bytes_raise_nothing_else(value: bytes) -> None:
    with pytest.raises(UnreadableEventError):
        decode(value)


@settings(deadline=None, max_examples=300)
@given(data=st.data())
def test_a_damaged_event_is_read_or_unreadable(data: st.DataObject) -> None:
    value = bytearray(data.draw(st.sampled_from(EXAMPLES)).encode())
    at = data.draw(st.integers(0, len(value) - 1))
    value[at : at + data.draw(st.integers(0, 9))] = data.draw(st.binary(max_size=9))
    try:
        typed(decode(bytes(value)))
    except (UnreadableEventError, UnknownTypeError, UnknownVersionError):
        return


def test_of_a_key_given_twice_the_last_one_counts() -> None:
    value = PAYMENT_UPDATED.encode().replace(b'"subject":', b'"subject":"first","subject":')
    assert decode(value).subject == PAYMENT_UPDATED.subject


def test_a_lone_surrogate_cannot_be_written() -> None:
    forged = Actor(kind="staff", id="maria-rossi", name="\ud800")
    data = PAYMENT_UPDATED.data.model_copy(update={"actor": forged})
    with pytest.raises(ValueError, match=r"surrogates|utf-8"):
        PAYMENT_UPDATED.model_copy(update={"data": data}).encode()


def test_an_error_does_not_repeat_the_personal_data_of_the_event() -> None:
    with pytest.raises(UnreadableEventError) as refused:
        typed(decode(_with("data.body.member", {"id": 7, "name": "Mark Stevens"})))
    assert "member.id" in str(refused.value)
    assert "Mark Stevens" not in str(refused.value)


def test_an_unknown_type_and_an_unknown_version_are_told_apart() -> None:
    with pytest.raises(UnknownTypeError, match="forgotten"):
        typed(decode(_with("type", "payment.forgotten")))
    with pytest.raises(UnknownVersionError, match="/9"):
        typed(decode(_with("dataschema", PAYMENT_UPDATED.dataschema.replace("/1", "/9"))))


@pytest.mark.parametrize("schema", ["urn:x", "urn:x/", "urn:x/one", "urn:x/-1", "urn:x/²", "urn:x/" + "9" * 5_000])
def test_a_dataschema_without_a_version_has_version_0(schema: str) -> None:
    assert decode(_with("dataschema", schema)).version == 0


def test_read_body_reads_by_a_declared_schema() -> None:
    declared = lookup(PAYMENT_UPDATED.type, 1)
    raw = decode(PAYMENT_UPDATED.encode())
    assert read_body(declared, raw.data.body) == PAYMENT_UPDATED.data.body
    with pytest.raises(UnreadableEventError, match="payment"):
        read_body(declared, {"change": "matched"})


def test_events_are_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        PAYMENT_UPDATED.subject = "another"  # type: ignore[misc]
    with pytest.raises(ValidationError, match="frozen"):
        Money(amount_minor=1, currency="AUD").amount_minor = 2  # type: ignore[misc]
