"""The AsyncAPI 3.0 document: which service sends what on which topic, for people and tools outside this repository."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from contracts.envelope import CONTENT_TYPE
from contracts.golden import folder_of
from contracts.registry import EventType
from contracts.schemas import DIALECT
from contracts.topics import Topic

Document = dict[str, Any]
SCHEMA_FORMAT: Final = "application/schema+json;version=draft-07"


def document(topics: Sequence[Topic], types: Sequence[EventType]) -> Document:
    """The whole document; payloads refer to the golden schemas beside it."""
    if DIALECT != "http://json-schema.org/draft-07/schema#":
        raise ValueError("the schemas' dialect and the format that AsyncAPI is told differ")
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Backbone events",
            "version": "1.0.0",
            "description": "What the services of Backbone say to each other: CloudEvents 1.0 in structured JSON, "
            "one event per Kafka record, keyed so that the events of one key keep their order.",
        },
        "defaultContentType": CONTENT_TYPE,
        "channels": {topic.name: _channel(topic, types) for topic in topics},
        "operations": {f"{topic.owner}.sends.{topic.name}": _sends(topic, types) for topic in topics},
        "components": {"messages": {_key(each): _message(each) for each in types}},
    }


def _key(declared: EventType) -> str:
    return f"{declared.name}.{declared.version}"


def _channel(topic: Topic, types: Sequence[EventType]) -> Document:
    configuration: Document = {"cleanup.policy": [topic.cleanup]}
    configuration["retention.ms"] = -1 if topic.retention_ms is None else topic.retention_ms
    return {
        "address": topic.name,
        "description": f"{topic.description} Owner: {topic.owner}. Key: {topic.key}.",
        "messages": {
            _key(each): {"$ref": f"#/components/messages/{_key(each)}"} for each in types if topic in each.topics
        },
        "bindings": {
            "kafka": {"topic": topic.name, "partitions": topic.partitions, "topicConfiguration": configuration}
        },
    }


def _sends(topic: Topic, types: Sequence[EventType]) -> Document:
    return {
        "action": "send",
        "summary": f"The {topic.owner} service tells what happened.",
        "channel": {"$ref": f"#/channels/{topic.name}"},
        "messages": [
            {"$ref": f"#/channels/{topic.name}/messages/{_key(each)}"} for each in types if topic in each.topics
        ],
    }


def _message(declared: EventType) -> Document:
    return {
        "name": declared.name,
        "title": f"{declared.name}, version {declared.version}",
        "summary": (declared.payload.__doc__ or "").splitlines()[0],
        "contentType": CONTENT_TYPE,
        "payload": {"schemaFormat": SCHEMA_FORMAT, "schema": {"$ref": f"./{folder_of(declared)}/schema.json"}},
        "bindings": {"kafka": {"key": {"type": "string", "description": " or ".join(t.key for t in declared.topics)}}},
        "x-sentence": declared.sentence.template,
        "x-technical": declared.technical,
        "x-replay": declared.replay,
    }
