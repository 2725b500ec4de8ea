"""The registry holds together by itself: what contradicts it does not import."""

from __future__ import annotations

import ast
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from contracts.envelope import Entity, Money, Payload
from contracts.events import AuditEventRecorded, MessageDeadLettered, PaymentUpdated
from contracts.registry import (
    EventType,
    IncompleteRegistryError,
    UnknownTypeError,
    UnknownVersionError,
    all_types,
    assert_complete,
    declare,
    event_type,
    lookup,
    type_of,
)
from contracts.topics import PAYMENTS_EVENTS, TOPICS, Topic, own_topic

import contracts

SOURCES = Path(contracts.__file__).parent
HOLDS = Topic("holds-events", owner="holds", key="the hold", description="Holds.")


class HoldMoved(Payload):
    """A hold moved to another day."""

    day: str
    amount: Money | None = None
    about: tuple[Entity, ...] = ()
    by_reason: dict[str, int]


def declared(sentence: str, payload: type[Payload] = HoldMoved) -> EventType:
    return declare(payload, "hold.moved", version=1, topic=PAYMENTS_EVENTS, entity="hold", sentence=sentence)


def test_every_type_is_found_by_name_and_by_class() -> None:
    for each in all_types():
        assert lookup(each.name, each.version) is each
        assert type_of(each.payload) is each
        assert each.dataschema.endswith(f"/{each.version}")


def test_every_service_announces_its_dead_letters_on_its_own_topic() -> None:
    assert {topic.owner for topic in type_of(MessageDeadLettered).topics} == {topic.owner for topic in TOPICS}
    assert own_topic("payments") is PAYMENTS_EVENTS
    with pytest.raises(KeyError):
        own_topic("chassis")


def test_importing_any_module_registers_every_type() -> None:
    program = "from contracts.registry import all_types; print(len(all_types()))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert int(done.stdout) == len(all_types())


def test_contracts_import_the_standard_library_and_pydantic_alone() -> None:
    allowed = sys.stdlib_module_names | {"contracts", "pydantic"}
    for path in SOURCES.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or "."] if isinstance(node, ast.ImportFrom) else []
            assert {name.split(".")[0] for name in names} <= allowed, path.name


@pytest.mark.parametrize(
    ("sentence", "fault"),
    [
        ("{actor} moved it to {body.month}", "HoldMoved has no field 'month'"),
        ("{actor} moved it{when: on {}}", "has no field 'when'"),
        ("{body.day.first}", "str has no field 'first'"),
        ("{body.amount.currency.name}", "has no field 'name'"),
        ("{before.day}", "has no field 'day'"),
        ("{after}", "has no words"),
        ("{body}", "HoldMoved has no words"),
        ("{body.by_reason}", "has no words"),
        ("{data.actor}", "has no field 'data'"),
    ],
)
def test_a_sentence_may_read_only_what_exists_and_has_words(sentence: str, fault: str) -> None:
    with pytest.raises(ValueError, match="the sentence reads") as refused:
        declared(sentence)
    assert fault in str(refused.value)


@pytest.mark.parametrize(
    "sentence",
    [
        "{actor}",
        "{entity}{reason: because {}}",
        "{workflow.id}",
        "{body.amount: of {}}",
        "{body.amount.currency}",
        "{body.about}",
    ],
)
def test_a_sentence_may_read_the_envelope_and_the_body(sentence: str) -> None:
    assert declared(sentence).sentence.template == sentence


def test_a_declaration_needs_a_docstring_a_known_topic_and_a_version() -> None:
    class Silent(Payload):
        day: str

    with pytest.raises(ValueError, match="has no docstring"):
        declared("{actor} moved a hold", Silent)
    with pytest.raises(ValueError, match="topic registry does not hold"):
        declare(HoldMoved, "hold.moved", version=1, topic=(), entity="hold", sentence="{actor}")
    with pytest.raises(ValueError, match="topic registry does not hold"):
        declare(HoldMoved, "hold.moved", version=1, topic=HOLDS, entity="hold", sentence="{actor}")
    with pytest.raises(ValueError, match="in lower case"):
        declare(HoldMoved, "HoldMoved", version=1, topic=PAYMENTS_EVENTS, entity="hold", sentence="{actor}")
    with pytest.raises(ValueError, match="count from 1"):
        declare(HoldMoved, "hold.moved", version=0, topic=PAYMENTS_EVENTS, entity="hold", sentence="{actor}")


def test_a_type_and_version_is_declared_once() -> None:
    known = type_of(PaymentUpdated)
    with pytest.raises(ValueError, match="declared twice"):
        event_type(known.name, version=1, topic=PAYMENTS_EVENTS, entity="payment", sentence="{actor}")(HoldMoved)
    with pytest.raises(KeyError):
        type_of(HoldMoved)


def test_a_type_that_is_not_registered_and_a_version_that_is_not_are_told_apart() -> None:
    with pytest.raises(UnknownTypeError):
        lookup("hold.moved", 1)
    with pytest.raises(UnknownVersionError):
        lookup(type_of(PaymentUpdated).name, 2)


def test_the_registry_as_it_stands_is_complete() -> None:
    assert_complete(TOPICS, all_types())


@pytest.mark.parametrize(
    ("topics", "types", "fault"),
    [
        ((*TOPICS, HOLDS), all_types(), "holds-events carries no event type"),
        ((*TOPICS, HOLDS), all_types(), "holds-events does not carry message.dead_lettered"),
        ((*TOPICS, replace(HOLDS, owner="")), all_types(), "holds-events has no owner"),
        ((*TOPICS, replace(HOLDS, name="holds")), all_types(), "holds owns topics but has no topic holds-events"),
        ((*TOPICS, replace(HOLDS, name="holds.events")), all_types(), "holds.events is not kebab-case"),
        ((*TOPICS, PAYMENTS_EVENTS), all_types(), "payments-events is registered twice"),
        ((PAYMENTS_EVENTS,), all_types(), "is on audit-events, which is not registered"),
        ((*TOPICS,), (type_of(AuditEventRecorded),), "payments-events carries no event type"),
        (
            TOPICS,
            (*all_types(), replace(type_of(PaymentUpdated), version=3)),
            "payment.updated has versions [1, 3]: one in between is missing",
        ),
    ],
)
def test_an_incomplete_registry_does_not_import(
    topics: tuple[Topic, ...], types: tuple[EventType, ...], fault: str
) -> None:
    with pytest.raises(IncompleteRegistryError) as refused:
        assert_complete(topics, types)
    assert fault in str(refused.value)
