"""Interoperability: the CloudEvents SDK reads what we write, and we read what it writes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from cloudevents.core.bindings import kafka
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from contracts.envelope import CONTENT_TYPE, Event, Payload
from contracts.examples import EXAMPLES
from contracts.registry import decode, typed

EXTENSIONS = ("correlationid", "causationid", "partitionkey", "traceparent")
EXAMPLE = pytest.mark.parametrize("event", EXAMPLES, ids=lambda each: each.type)


def our_record(event: Event[Payload]) -> kafka.KafkaMessage:
    """The record as the relay sends it."""
    headers = {"content-type": CONTENT_TYPE.encode()}
    return kafka.KafkaMessage(headers=headers, key=event.partitionkey.encode(), value=event.encode())


@EXAMPLE
def test_the_sdk_reads_what_we_write(event: Event[Payload]) -> None:
    read = kafka.from_kafka(our_record(event), JSONFormat())

    plain: dict[str, Any] = json.loads(event.encode())
    assert read.get_specversion() == "1.0"
    assert (read.get_id(), read.get_source(), read.get_type()) == (event.id, event.source, event.type)
    assert (read.get_subject(), read.get_time(), read.get_dataschema()) == (event.subject, event.time, event.dataschema)
    assert read.get_datacontenttype() == "application/json"
    assert {name: read.get_extension(name) for name in EXTENSIONS} == {name: plain[name] for name in EXTENSIONS}
    assert read.get_data() == plain["data"]


@EXAMPLE
def test_we_read_what_the_sdk_writes(event: Event[Payload]) -> None:
    plain: dict[str, Any] = json.loads(event.encode())
    data = plain.pop("data")
    written = kafka.to_structured(CloudEvent({**plain, "time": event.time}, data), JSONFormat())

    assert written.headers["content-type"] == CONTENT_TYPE.encode()
    assert typed(decode(written.value)) == event


@EXAMPLE
def test_an_event_survives_the_way_through_the_sdk(event: Event[Payload]) -> None:
    again = kafka.to_structured(kafka.from_kafka(our_record(event), JSONFormat()), JSONFormat())

    assert again.key == event.partitionkey
    assert typed(decode(again.value)) == event
