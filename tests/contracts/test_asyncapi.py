"""The AsyncAPI document: every required part exists, every reference leads somewhere, nothing is left out."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from contracts.__main__ import DIRECTORY
from contracts.registry import all_types
from contracts.topics import TOPICS
from jsonschema import Draft7Validator

DOCUMENT: dict[str, Any] = json.loads((DIRECTORY / "asyncapi.json").read_text())


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for each in node.values():
            yield from references(each)
    elif isinstance(node, list):
        for each in node:
            yield from references(each)


def resolve(reference: str) -> Any:
    """What a reference leads to: a part of the document, or of a file beside it. Raises KeyError or OSError."""
    file, _, pointer = reference.partition("#")
    node = json.loads((DIRECTORY / file).read_text()) if file else DOCUMENT
    for name in filter(None, pointer.split("/")):
        node = node[name.replace("~1", "/").replace("~0", "~")]
    return node


def test_the_required_parts_exist() -> None:
    assert DOCUMENT["asyncapi"] == "3.0.0"
    assert DOCUMENT["info"]["title"]
    assert DOCUMENT["info"]["version"]
    for name in DOCUMENT["components"]["messages"]:
        assert re.fullmatch(r"[A-Za-z0-9._-]+", name)


@pytest.mark.parametrize("reference", sorted(set(references(DOCUMENT))))
def test_every_reference_leads_somewhere(reference: str) -> None:
    assert isinstance(resolve(reference), dict)


def test_every_topic_is_a_channel_with_its_types_and_its_kafka_settings() -> None:
    assert set(DOCUMENT["channels"]) == {topic.name for topic in TOPICS}
    for topic in TOPICS:
        channel = DOCUMENT["channels"][topic.name]
        carried = {resolve(each["$ref"])["name"] for each in channel["messages"].values()}
        assert channel["address"] == topic.name
        assert carried == {each.name for each in all_types() if topic in each.topics}
        assert channel["bindings"]["kafka"]["partitions"] == topic.partitions


def test_every_operation_sends_what_its_channel_carries() -> None:
    for operation in DOCUMENT["operations"].values():
        assert operation["action"] == "send"
        channel = resolve(operation["channel"]["$ref"])
        sent = [reference["$ref"] for reference in operation["messages"]]
        assert sent == [f"{operation['channel']['$ref']}/messages/{name}" for name in channel["messages"]]


def test_every_message_refers_to_a_schema_of_the_format_that_it_names() -> None:
    messages = DOCUMENT["components"]["messages"]
    assert len(messages) == len(all_types())
    for message in messages.values():
        schema = resolve(message["payload"]["schema"]["$ref"])
        assert message["payload"]["schemaFormat"] == "application/schema+json;version=draft-07"
        assert schema["$schema"] == Draft7Validator.META_SCHEMA["$schema"]
        assert schema["properties"]["type"]["const"] == message["name"]
        for reference in references(schema):
            assert reference.removeprefix("#/$defs/") in schema["$defs"]
